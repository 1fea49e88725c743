/* needs: largest_of, sum_of_exponentials, high_product, divide_by_power, reciprocal_of_one_plus, clamped_16 */
/* Softmax of each row of 8-bit values, in 16 bits. exponentials: see softmax. */
static void softmax_to_16(const int8_t *x, int16_t *y, int32_t rows, int32_t depth, const int32_t *exponentials,
                          int32_t count) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += depth) {
    const int32_t largest = largest_of(x, depth);
    const int32_t sum = sum_of_exponentials(x, depth, largest, exponentials, count);
    int32_t headroom = 0;
    while (!(((uint32_t)sum << headroom) & 0x80000000u)) {
      ++headroom;
    }
    const int32_t scale = reciprocal_of_one_plus((int32_t)(((uint32_t)sum << headroom) - 0x80000000u));
    for (int32_t i = 0; i < depth; ++i) {
      const int32_t below = largest - x[i];
      const int32_t value =
          below < count ? divide_by_power(high_product(scale, exponentials[below]), 12 - headroom + 31 - 16) : 0;
      y[i] = clamped_16(value + INT16_MIN, INT16_MIN, INT16_MAX);
    }
  }
}
