/* needs: largest_of, sum_of_exponentials, scaled, divide_by_power, logarithm, clamped */
/* Logarithm of the softmax of each row. exponentials: see softmax; p: multiplier and power of differences, and back. */
static void log_softmax(const int8_t *x, int8_t *y, int32_t rows, int32_t depth, const int32_t *exponentials, int32_t count,
                        const int32_t *p) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += depth) {
    const int32_t largest = largest_of(x, depth);
    const int32_t sum = sum_of_exponentials(x, depth, largest, exponentials, count);
    const int32_t log = logarithm(sum);
    const int32_t farthest = scaled((int32_t)((uint32_t)log + 0x80000000u), p[2], p[3]);
    for (int32_t i = 0; i < depth; ++i) {
      const int32_t difference = x[i] - largest;
      int32_t value = -128;
      if (difference > -count && difference > farthest) {
        const int32_t rest = (int32_t)((uint32_t)scaled(difference, p[0], p[1]) - (uint32_t)log);
        value = divide_by_power(rest, 22) + 127;
      }
      y[i] = clamped(value, -128, 127);
    }
  }
}
