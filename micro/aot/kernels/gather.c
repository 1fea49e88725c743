/* Copies values of x at given strides: transposes and slices. n: output shape. */
static void gather(const int8_t *x, int8_t *y, const int32_t *n, const int32_t *stride) {
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          *y++ = x[i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3]];
        }
      }
    }
  }
}
