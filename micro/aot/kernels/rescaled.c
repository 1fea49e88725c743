/* needs: rounded_product, halved, scaled, clamped */
/* Adds the bias to the sums of `count` channels from `first` on and rescales them to the output; without per_channel, all
 * channels have the first multiplier. Without wide, sums are below 2^30 and shrink by at least half: shifts hold how far they
 * move right, less one; with wide they hold powers of two. */
static inline void rescaled(const int32_t *sums, const int32_t *bias, int8_t *y, int32_t first, int32_t count,
                            const int32_t *multipliers, const int8_t *shifts, int32_t per_channel, int32_t wide,
                            int32_t y_offset, int32_t low, int32_t high) {
  const int32_t nudge = 2 * y_offset + 1;
  for (int32_t k = 0; k < count; ++k) {
    const int32_t channel = first + k, own = per_channel ? channel : 0;
    const int32_t sum = sums[k] + (bias ? bias[channel] : 0);
    if (wide != 0) {
      y[k] = clamped(scaled(sum, multipliers[own], shifts[own]) + y_offset, low, high);
    } else { /* to the nearest, ties away from zero */
      const int32_t product = rounded_product(sum, multipliers[own]);
      y[k] = halved(((product + (product >> 31)) >> shifts[own]) + nudge, low, high);
    }
  }
}
