/* Rows of x into longer rows of y. */
static void copy_rows(const int8_t *x, int8_t *y, int rows, int length, int step) {
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < length; ++i) {
      y[row * step + i] = *x++;
    }
  }
}
