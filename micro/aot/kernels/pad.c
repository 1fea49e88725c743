/* x with `value` around it; n are the axes of x, stride those of y. */
static void pad(const int8_t *x, int8_t *y, int size, const int *n, const int *stride, int start, int8_t value) {
  for (int i = 0; i < size; ++i) {
    y[i] = value;
  }
  for (int i = 0; i < n[0]; ++i) {
    for (int j = 0; j < n[1]; ++j) {
      for (int k = 0; k < n[2]; ++k) {
        for (int l = 0; l < n[3]; ++l) {
          y[start + i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3]] = *x++;
        }
      }
    }
  }
}
