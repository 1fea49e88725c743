/* needs: scaled, clamped_16 */
/* 16-bit values times a factor, and times another where they are negative. p: multiplier and power of values from 0 on, the same
 * of negative ones, what these are multiplied by before and after, lowest and highest output. */
static void slopes(const int16_t *x, int16_t *y, int32_t count, const int32_t *p) {
  for (int32_t i = 0; i < count; ++i) {
    const int32_t value = x[i];
    const int32_t made = value < 0 ? p[5] * scaled(p[4] * value, p[2], p[3]) : scaled(value, p[0], p[1]);
    y[i] = clamped_16(made, p[6], p[7]);
  }
}
