/* needs: term, high_product, divide_by_power, clamped */
/* Sums so far of `size` values that are `inner` apart, without the value itself (exclusive), from the end (reverse). p: see
 * add_n. */
static void cumsum(const int8_t *x, int8_t *y, int32_t outer, int32_t size, int32_t inner, int32_t exclusive,
                   int32_t reverse, const int32_t *p) {
  for (int32_t i = 0; i < outer * inner; ++i) {
    const int32_t start = i / inner * size * inner + i % inner;
    int32_t sum = term(0, p);
    for (int32_t j = 0; j < size; ++j) {
      const int32_t at = start + (reverse ? size - 1 - j : j) * inner, before = sum;
      sum += term(x[at], p);
      y[at] = clamped(divide_by_power(high_product(exclusive ? before : sum, p[3]), p[4]) + p[5], -128, 127);
    }
  }
}
