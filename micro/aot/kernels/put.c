/* y is x with `update` in it, from `start` on, moved inside where it would go beyond an end. count: values of y; n: shape of
 * y; m: shape of update; stride: strides of y. */
static void put(const int8_t *x, const int8_t *update, const int32_t *start, int8_t *y, int32_t count, const int32_t *n,
                const int32_t *m, const int32_t *stride, int32_t skipped) {
  int32_t first = 0;
  for (int32_t i = skipped; i < 4; ++i) {
    const int32_t last = n[i] - m[i], from = start[i - skipped];
    first += (from < 0 ? 0 : (from < last ? from : last)) * stride[i];
  }
  for (int32_t i = 0; i < count; ++i) {
    y[i] = x[i];
  }
  for (int32_t i = 0; i < m[0]; ++i) {
    for (int32_t j = 0; j < m[1]; ++j) {
      for (int32_t k = 0; k < m[2]; ++k) {
        for (int32_t l = 0; l < m[3]; ++l) {
          y[first + i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3]] = *update++;
        }
      }
    }
  }
}
