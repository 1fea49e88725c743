/* Integers of another width; what does not fit wraps. mask and sign: of the output's bits, 0 where all are kept. */
static void cast(const from_t *x, to_t *y, int32_t count, int32_t mask, int32_t sign) {
  for (int32_t i = 0; i < count; ++i) {
    const int32_t value = x[i];
    y[i] = (to_t)(mask ? ((value & mask) ^ sign) - sign : value);
  }
}
