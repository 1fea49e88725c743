/* needs: inside, scaled, scaled_64, clamped_16 */
/* Convolution of 16-bit values with 8-bit weights. g: see products; wide: whether sums are scaled as 64 bits. */
static void products_16(const int16_t *x, const int8_t *weights, const int32_t *bias, int16_t *y, const int32_t *g,
                        int32_t wide, const int32_t *multipliers, const int8_t *powers, int32_t per_channel, int32_t low,
                        int32_t high) {
  for (int32_t batch = 0; batch < g[0]; ++batch, x += g[1] * g[2] * g[3]) {
    for (int32_t row = 0; row < g[6]; ++row) {
      const window_taps rows = inside(row, g[9], g[13], g[11], g[4], g[1]);
      for (int32_t column = 0; column < g[7]; ++column, y += g[8]) {
        const window_taps columns = inside(column, g[10], g[14], g[12], g[5], g[2]);
        for (int32_t out = 0; out < g[8]; ++out) {
          const int32_t own = per_channel ? out : 0;
          int64_t sum = bias ? bias[out] : 0;
          for (int32_t i = rows.first; i < rows.past; ++i) {
            for (int32_t j = columns.first; j < columns.past; ++j) {
              const int16_t *from =
                  x + ((rows.from + i * g[11]) * g[2] + columns.from + j * g[12]) * g[3] + out / g[16] * g[15];
              const int8_t *weight = weights + out * g[17] + i * g[18] + j * g[19];
              for (int32_t c = 0; c < g[15]; ++c) {
                sum += (int32_t)from[c] * weight[c * g[20]];
              }
            }
          }
          y[out] = clamped_16(wide ? scaled_64(sum, multipliers[own], powers[own])
                                   : scaled((int32_t)sum, multipliers[own], powers[own]), low, high);
        }
      }
    }
  }
}
