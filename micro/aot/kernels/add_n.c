/* needs: term, high_product, divide_by_power, clamped */
/* The sum of `terms` tensors. p: offset, multiplier and shift of a term; multiplier, shift and offset of the sum. */
static void add_n(const int8_t *const *x, int32_t terms, int8_t *y, int32_t count, const int32_t *p) {
  for (int32_t i = 0; i < count; ++i) {
    int32_t sum = term(0, p); /* TFLite's sums start with it, whatever the zero point */
    for (int32_t j = 0; j < terms; ++j) {
      sum += term(x[j][i], p);
    }
    y[i] = clamped(divide_by_power(high_product(sum, p[3]), p[4]) + p[5], -128, 127);
  }
}
