/* needs: largest_of, sum_of_exponentials, high_product, divide_by_power, reciprocal_of_one_plus, clamped */
/* Softmax of each row. exponentials: exp of the differences 0, -1, ... from the row's largest value, as 31-bit fractions. */
static void softmax(const int8_t *x, int8_t *y, int32_t rows, int32_t depth, const int32_t *exponentials, int32_t count) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += depth) {
    const int32_t largest = largest_of(x, depth);
    const int32_t sum = sum_of_exponentials(x, depth, largest, exponentials, count);
    int32_t headroom = 0;
    while (headroom < 31 && !(((uint32_t)sum << headroom) & 0x80000000u)) { /* a table from a foreign record may add up to 0 */
      ++headroom;
    }
    const int32_t scale = reciprocal_of_one_plus((int32_t)(((uint32_t)sum << headroom) - 0x80000000u));
    for (int32_t i = 0; i < depth; ++i) {
      const int32_t below = largest - x[i];
      const int32_t shift = 12 - headroom + 31 - 8; /* from 32 on, of over 500 equal values, nothing is left */
      int32_t value = 0;
      if (below < count && shift < 32) {
        value = divide_by_power(high_product(scale, exponentials[below]), shift);
      }
      y[i] = clamped(value - 128, -128, 127);
    }
  }
}
