/* needs: scaled_mve */
/* mean for cores with MVE, over `count` values that lie `channels` apart. */
static void mean_mve(const int8_t *x, int8_t *y, int32_t rows, int32_t count, int32_t channels, int32_t x_offset_total,
                     int32_t multiplier, int32_t power, int32_t y_offset) {
  const int32x4_t ties = vdupq_n_s32(power < 0 ? -1 : 0);
  for (int32_t row = 0; row < rows; ++row, x += count * channels, y += channels) {
    for (int32_t channel = 0; channel < channels; channel += 8) {
      const mve_pred16_t there = vctp16q((uint32_t)(channels - channel));
      const int8_t *from = x + channel;
      int32x4_t even = vdupq_n_s32(x_offset_total), odd = even;
      for (int32_t left = count; left > 0; left -= 255) { /* 16 bits hold the sum of 255 values of 8 bits */
        int16x8_t sums = vdupq_n_s16(0);
        for (int32_t i = left < 255 ? left : 255; i > 0; --i, from += channels) {
          sums = vaddq_s16(sums, vldrbq_z_s16(from, there));
        }
        even = vaddq_s32(even, vmovlbq_s16(sums));
        odd = vaddq_s32(odd, vmovltq_s16(sums));
      }
      even = vaddq_n_s32(scaled_mve(even, multiplier, power, ties), y_offset);
      odd = vaddq_n_s32(scaled_mve(odd, multiplier, power, ties), y_offset);
      const int16x8_t values = vqmovntq_s32(vqmovnbq_s32(vdupq_n_s16(0), even), odd);
      vstrbq_p_s16(y + channel, vminq_s16(vmaxq_s16(values, vdupq_n_s16(-128)), vdupq_n_s16(127)), there);
    }
  }
}
