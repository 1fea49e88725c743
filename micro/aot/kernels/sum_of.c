/* needs: high_product, divide_by_power, clamped */
/* a + sign * b, both scaled to a common scale first. p: offset, multiplier and shift of a, the same of b, multiplier and shift
 * of the sum, output offset, lowest and highest output. */
static int8_t sum_of(int8_t a, int8_t b, int32_t sign, const int32_t *p) {
  const int32_t one = divide_by_power(high_product((a + p[0]) * ((int32_t)1 << 20), p[1]), p[2]);
  const int32_t other = divide_by_power(high_product((b + p[3]) * ((int32_t)1 << 20), p[4]), p[5]);
  const int32_t sum = divide_by_power(high_product(one + sign * other, p[6]), p[7]);
  return clamped(sum + p[8], p[9], p[10]);
}
