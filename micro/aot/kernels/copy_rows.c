/* Copies rows of x into rows of y that are `step` apart. */
static void copy_rows(const int8_t *x, int8_t *y, int32_t rows, int32_t length, int32_t step) {
  for (int32_t row = 0; row < rows; ++row) {
    for (int32_t i = 0; i < length; ++i) {
      y[row * step + i] = *x++;
    }
  }
}
