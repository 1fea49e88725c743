/* Adds the products of n inputs and the weights from `first` on to four sums; weights of a row of `length` are as in dot_4. */
static void edge_4(const int8_t *x, const int8_t *weights, int32_t length, int32_t first, int32_t n, int32_t x_offset,
                   int32_t *sums) {
  const int32_t whole = length & ~3, rest = length & 3;
  for (int32_t i = first; i < first + n; ++i) {
    const int8_t *weight = weights + (i < whole ? (i & ~3) * 4 + (i & 3) : whole * 4 + i - whole);
    const int32_t one = *x++ + x_offset;
    for (int32_t k = 0; k < 4; ++k, weight += i < whole ? 4 : rest) {
      sums[k] += one * *weight;
    }
  }
}
