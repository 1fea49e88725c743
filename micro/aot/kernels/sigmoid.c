/* needs: sigmoid_16, tanh_16 */
/* Logistic function, or hyperbolic tangent, of 16-bit values, which the multiplier brings to steps of 1 / (24 * 512). */
static void sigmoid(const int16_t *x, int16_t *y, int32_t count, const uint16_t *table, int32_t multiplier, int32_t shift,
                    int32_t hyperbolic) {
  for (int32_t i = 0; i < count; ++i) {
    const int32_t value = (x[i] * multiplier + (shift > 0 ? (int32_t)1 << (shift - 1) : 0)) >> shift;
    y[i] = (int16_t)(hyperbolic ? tanh_16(value, table) : sigmoid_16(value, table));
  }
}
