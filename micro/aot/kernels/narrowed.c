/* needs: scaled, clamped */
/* 32-bit values on another scale. */
static void narrowed(const int32_t *x, int8_t *y, int32_t count, int32_t multiplier, int32_t power, int32_t y_offset) {
  for (int32_t i = 0; i < count; ++i) {
    y[i] = clamped(scaled(x[i], multiplier, power) + y_offset, -128, 127);
  }
}
