/* needs: scaled, clamped_16 */
/* 16-bit values on another scale. */
static void requantize_to_16(const int16_t *x, int16_t *y, int32_t count, int32_t multiplier, int32_t power,
                             int32_t y_offset) {
  for (int32_t i = 0; i < count; ++i) {
    y[i] = clamped_16(scaled(x[i], multiplier, power) + y_offset, INT16_MIN, INT16_MAX);
  }
}
