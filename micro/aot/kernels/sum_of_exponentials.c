/* needs: divide_by_power */
/* The sum of exp(x - largest) over a row, with 19 fraction bits. exponentials: see softmax. */
static int32_t sum_of_exponentials(const int8_t *x, int32_t depth, int32_t largest, const int32_t *exponentials,
                                   int32_t count) {
  int32_t sum = 0;
  for (int32_t i = 0; i < depth; ++i) {
    const int32_t below = largest - x[i];
    sum += below < count ? divide_by_power(exponentials[below], 12) : 0;
  }
  return sum;
}
