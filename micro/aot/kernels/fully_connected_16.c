/* needs: scaled, clamped_16 */
/* Dense layer of 16-bit values with 8-bit weights: rows of `depth` inputs to rows of `outputs`, four outputs at a time. 504
 * products fit 32 bits; wide: whether sums are scaled as 64 bits, as in scaled_64. */
static void fully_connected_16(const int16_t *x, const int8_t *weights, const int32_t *bias, int16_t *y, int32_t rows,
                               int32_t depth, int32_t outputs, int32_t wide, const int32_t *multipliers,
                               const int8_t *powers, int32_t per_channel, int32_t low, int32_t high) {
  int32_t shift = wide ? 15 - powers[0] : 15, reduced = multipliers[0] < 0x7fff0000 ? (multipliers[0] + 0x8000) >> 16 : 0x7fff;
  int64_t half = (int64_t)1 << (shift - 1);
  for (int32_t row = 0; row < rows; ++row, x += depth) {
    const int8_t *weight = weights;
    for (int32_t out = 0, count; out < outputs; out += count, weight += (count - 1) * depth) {
      int64_t sums[4] = {0, 0, 0, 0};
      const int16_t *from = x;
      count = outputs - out < 4 ? 1 : 4;
      for (int32_t left = depth; left > 0; left -= 504) {
        const int16_t *past = from + (left < 504 ? left : 504);
        int32_t first = 0, second = 0, third = 0, fourth = 0;
        if (count == 4) {
          const int8_t *two = weight + depth, *three = two + depth, *four = three + depth;
          while (from != past) {
            const int32_t value = *from++;
            first += value * *weight++;
            second += value * *two++;
            third += value * *three++;
            fourth += value * *four++;
          }
        } else {
          while (from != past) {
            first += (int32_t)*from++ * *weight++;
          }
        }
        sums[0] += first;
        sums[1] += second;
        sums[2] += third;
        sums[3] += fourth;
      }
      for (int32_t k = 0; k < count; ++k) {
        const int32_t own = per_channel ? out + k : 0;
        const int64_t sum = sums[k] + (bias ? bias[out + k] : 0);
        if (wide && per_channel) {
          shift = 15 - powers[own];
          reduced = multipliers[own] < 0x7fff0000 ? (multipliers[own] + 0x8000) >> 16 : 0x7fff;
          half = (int64_t)1 << (shift - 1);
        }
        *y++ = clamped_16(wide ? (int32_t)((sum * reduced + half) >> shift)
                               : scaled((int32_t)sum, multipliers[own], powers[own]), low, high);
      }
    }
  }
}
