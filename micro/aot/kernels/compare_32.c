/* Comparison of 32-bit values; see compare. */
static void compare_32(const int32_t *a, const int32_t *b, int8_t *y, const int32_t *n, const int32_t *sa,
                       const int32_t *sb, int32_t true_where) {
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          const int32_t one = a[i * sa[0] + j * sa[1] + k * sa[2] + l * sa[3]];
          const int32_t other = b[i * sb[0] + j * sb[1] + k * sb[2] + l * sb[3]];
          *y++ = (int8_t)((true_where >> (one < other ? 0 : (one > other ? 2 : 1))) & 1);
        }
      }
    }
  }
}
