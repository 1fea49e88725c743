/* Copies values of x at given strides to places of y at given strides. n: how many along each axis. */
static void spread(const int8_t *x, int8_t *y, const int32_t *n, const int32_t *taken, const int32_t *put) {
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          y[i * put[0] + j * put[1] + k * put[2] + l * put[3]] =
              x[i * taken[0] + j * taken[1] + k * taken[2] + l * taken[3]];
        }
      }
    }
  }
}
