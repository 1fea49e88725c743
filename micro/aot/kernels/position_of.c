/* The position of the largest (or smallest) of `size` values that are `inner` apart; the first if there are several. */
static void position_of(const int8_t *x, int32_t *y, int32_t outer, int32_t size, int32_t inner, int32_t largest) {
  for (int32_t i = 0; i < outer; ++i, x += size * inner) {
    for (int32_t k = 0; k < inner; ++k) {
      int32_t best = 0;
      for (int32_t j = 1; j < size; ++j) {
        const int8_t one = x[j * inner + k], other = x[best * inner + k];
        best = (largest ? one > other : one < other) ? j : best;
      }
      *y++ = best;
    }
  }
}
