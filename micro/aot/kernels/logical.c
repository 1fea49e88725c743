/* A function of two truth values a and b: bit 2 * a + b of `table`. n: output shape; sa, sb: strides, 0 where a value
 * repeats. */
static void logical(const int8_t *a, const int8_t *b, int8_t *y, const int32_t *n, const int32_t *sa, const int32_t *sb,
                    int32_t table) {
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          const int32_t one = a[i * sa[0] + j * sa[1] + k * sa[2] + l * sa[3]] != 0 ? (int32_t)2 : (int32_t)0;
          const int32_t other = b[i * sb[0] + j * sb[1] + k * sb[2] + l * sb[3]] != 0 ? (int32_t)1 : (int32_t)0;
          *y++ = (int8_t)((table >> (one + other)) & 1);
        }
      }
    }
  }
}
