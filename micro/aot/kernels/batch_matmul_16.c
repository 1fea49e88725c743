/* needs: scaled_64, clamped_16 */
/* Matrix products of 16-bit values; see batch_matmul. */
static void batch_matmul_16(const int16_t *a, const int16_t *b, int16_t *y, const int32_t *n, const int32_t *sa,
                            const int32_t *sb, int32_t multiplier, int32_t power) {
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          const int16_t *one = a + i * sa[0] + j * sa[1] + k * sa[2] + l * sa[3];
          const int16_t *other = b + i * sb[0] + j * sb[1] + k * sb[2] + l * sb[3];
          int64_t sum = 0;
          for (int32_t m = 0; m < n[4]; ++m) {
            sum += (int32_t)one[m * sa[4]] * other[m * sb[4]];
          }
          *y++ = clamped_16(scaled_64(sum, multiplier, power), INT16_MIN, INT16_MAX);
        }
      }
    }
  }
}
