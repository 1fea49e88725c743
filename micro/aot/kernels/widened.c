/* needs: scaled */
/* Values on another scale, in 32 bits. */
static void widened(const int8_t *x, int32_t *y, int32_t count, int32_t x_offset, int32_t multiplier, int32_t power) {
  for (int32_t i = 0; i < count; ++i) {
    y[i] = scaled(x[i] + x_offset, multiplier, power);
  }
}
