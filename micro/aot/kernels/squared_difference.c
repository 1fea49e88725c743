/* needs: high_product, divide_by_power, scaled, clamped */
/* (a - b) squared, both scaled to a common scale first. n: output shape; sa, sb: strides, 0 where a value repeats; p: offset,
 * multiplier and shift of a, the same of b, multiplier, power and offset of the output. */
static void squared_difference(const int8_t *a, const int8_t *b, int8_t *y, const int32_t *n, const int32_t *sa,
                               const int32_t *sb, const int32_t *p) {
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          const int32_t from = a[i * sa[0] + j * sa[1] + k * sa[2] + l * sa[3]] + p[0];
          const int32_t to = b[i * sb[0] + j * sb[1] + k * sb[2] + l * sb[3]] + p[3];
          const int32_t one = divide_by_power(high_product(from * 128, p[1]), p[2]);
          const int32_t difference = one - divide_by_power(high_product(to * 128, p[4]), p[5]);
          *y++ = clamped(scaled(difference * difference, p[6], p[7]) + p[8], -128, 127);
        }
      }
    }
  }
}
