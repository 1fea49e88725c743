/* needs: scaled, within_16, leading_zeros, between_16 */
/* Softmax of each row of 16-bit values. The multiplier brings differences of -65535 to -10; exponentials: of -10 to 0;
 * reciprocals: 1 / (1 + x) for x from 0 to 1. The row of y holds exponentials first. */
static void softmax_16(const int16_t *x, int16_t *y, int32_t rows, int32_t depth, int32_t multiplier, int32_t power,
                       const int16_t *exponentials, const int16_t *reciprocals) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += depth) {
    int32_t largest = INT16_MIN;
    int32_t sum = 0;
    for (int32_t i = 0; i < depth; ++i) {
      largest = x[i] > largest ? x[i] : largest;
    }
    for (int32_t i = 0; i < depth; ++i) {
      y[i] = (int16_t)between_16(within_16(scaled(x[i] - largest, multiplier, power) + 32767), exponentials);
      sum += y[i];
    }
    const int32_t headroom = leading_zeros(sum), shift = 31 - headroom;
    const int32_t above = (int32_t)((((int64_t)sum << (headroom - 1)) + (1 << 13)) >> 14) - 98304;
    const int32_t scale = between_16(within_16(above), reciprocals);
    for (int32_t i = 0; i < depth; ++i) {
      const int32_t value = (int32_t)(((int64_t)y[i] * scale + ((int64_t)1 << (shift - 1))) >> shift);
      y[i] = (int16_t)within_16(value < 0 ? 0 : value);
    }
  }
}
