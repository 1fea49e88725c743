/* needs: scaled, clamped */
/* Adds the bias to the sums of `count` channels from `first` on and rescales them to the output; without per_channel, all
 * channels have the first multiplier. */
static void rescaled(const int32_t *sums, const int32_t *bias, int8_t *y, int32_t first, int32_t count,
                     const int32_t *multipliers, const int8_t *powers, int32_t per_channel, int32_t y_offset, int32_t low,
                     int32_t high) {
  for (int32_t k = 0; k < count; ++k) {
    const int32_t channel = first + k, own = per_channel ? channel : 0;
    const int32_t sum = sums[k] + (bias ? bias[channel] : 0);
    y[k] = clamped(scaled(sum, multipliers[own], powers[own]) + y_offset, low, high);
  }
}
