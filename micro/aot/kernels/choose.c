/* a where the condition is true, else b. n: output shape; sc, sa, sb: strides, 0 where a value repeats. */
static void choose(const int8_t *condition, const int8_t *a, const int8_t *b, int8_t *y, const int32_t *n,
                   const int32_t *sc, const int32_t *sa, const int32_t *sb) {
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          *y++ = condition[i * sc[0] + j * sc[1] + k * sc[2] + l * sc[3]]
                     ? a[i * sa[0] + j * sa[1] + k * sa[2] + l * sa[3]]
                     : b[i * sb[0] + j * sb[1] + k * sb[2] + l * sb[3]];
        }
      }
    }
  }
}
