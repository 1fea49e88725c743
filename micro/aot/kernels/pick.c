/* Values of x at listed positions: n: output shape; at: offsets along the first axis, then along the second and so on. */
static void pick(const int8_t *x, int8_t *y, const int32_t *n, const int32_t *at) {
  const int32_t *const second = at + n[0], *const third = second + n[1], *const fourth = third + n[2];
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          *y++ = x[at[i] + second[j] + third[k] + fourth[l]];
        }
      }
    }
  }
}
