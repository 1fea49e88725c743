/* needs: high_product, divide_by_power, raised, leading_zeros, scaled, clamped */
/* Rows divided by their lengths. The reciprocal of the square root: five steps of Newton's method with 3 integer bits. */
static void l2_normalization(const int8_t *x, int8_t *y, int32_t rows, int32_t depth, int32_t x_offset) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += depth) {
    int32_t sum = 0, multiplier = INT32_MAX, shift = 0;
    for (int32_t i = 0; i < depth; ++i) {
      sum += (x[i] + x_offset) * (x[i] + x_offset);
    }
    if (sum > 1) {
      shift = 11;
      for (; sum >= (int32_t)1 << 29; sum /= 4) {
        ++shift;
      }
      const int32_t pairs = (leading_zeros(sum) - 1) / 2 - 1;
      const int32_t half = divide_by_power((int32_t)((uint32_t)sum << (2 * pairs)) >> 1, 1);
      multiplier = (int32_t)1 << 28;
      for (int32_t step = 0; step < 5; ++step) {
        const int32_t cube = raised(high_product(high_product(multiplier, multiplier), multiplier), 6);
        multiplier = raised(high_product(402653184, multiplier) - high_product(half, cube), 3);
      }
      multiplier = high_product(multiplier, 1518500250);
      shift -= pairs;
      if (shift < 0) {
        multiplier = (int32_t)((uint32_t)multiplier << -shift);
        shift = 0;
      }
    }
    for (int32_t i = 0; i < depth; ++i) {
      y[i] = clamped(scaled(x[i] + x_offset, multiplier, 7 - shift), -128, 127);
    }
  }
}
