/* x with `value` around it. n: shape of x; stride: strides of y; start: position of x's first value in y. */
static void pad(const int8_t *x, int8_t *y, int32_t size, const int32_t *n, const int32_t *stride, int32_t start,
                int8_t value) {
  for (int32_t i = 0; i < size; ++i) {
    y[i] = value;
  }
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          y[start + i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3]] = *x++;
        }
      }
    }
  }
}
