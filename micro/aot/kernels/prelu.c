/* needs: scaled, clamped */
/* x, or x * alpha where x is negative. n: output shape; sx, sa: strides, 0 where a value repeats; p: both offsets, multiplier
 * and power of positive values, the same of negative ones, output offset. */
static void prelu(const int8_t *x, const int8_t *alpha, int8_t *y, const int32_t *n, const int32_t *sx, const int32_t *sa,
                  const int32_t *p) {
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          const int32_t one = x[i * sx[0] + j * sx[1] + k * sx[2] + l * sx[3]] + p[0];
          const int32_t other = alpha[i * sa[0] + j * sa[1] + k * sa[2] + l * sa[3]] + p[1];
          const int32_t value = one >= 0 ? scaled(one, p[2], p[3]) : scaled(one * other, p[4], p[5]);
          *y++ = clamped(value + p[6], -128, 127);
        }
      }
    }
  }
}
