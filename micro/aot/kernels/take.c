/* Rows of `inner` values by `count` indices into `size` rows, in each batch; an index beyond the end takes the last row. */
static void take(const int8_t *x, const int32_t *indices, int8_t *y, int32_t batches, int32_t outer, int32_t count,
                 int32_t size, int32_t inner) {
  for (int32_t i = 0; i < batches * outer; ++i, x += size * inner) {
    for (int32_t j = 0; j < count; ++j) {
      const int32_t index = indices[i / outer * count + j];
      const int8_t *from = x + (index < 0 ? 0 : (index < size ? index : size - 1)) * inner;
      for (int32_t k = 0; k < inner; ++k) {
        *y++ = from[k];
      }
    }
  }
}
