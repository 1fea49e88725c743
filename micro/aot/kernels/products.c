/* needs: inside, weight_at, rescaled */
/* Convolution in groups, of weights in any order, two to a byte if packed. g: batches, input height, width and channels, window
 * height and width, output height, width and channels, strides, dilations, padding, channels of a group, outputs of a group,
 * and distances between weights of neighboring outputs, rows, columns and channels. */
static void products(const int8_t *x, const int8_t *weights, const int32_t *bias, int8_t *y, const int32_t *g, int32_t packed,
                     int32_t x_offset, const int32_t *multipliers, const int8_t *powers, int32_t per_channel,
                     int32_t y_offset, int32_t low, int32_t high) {
  for (int32_t batch = 0; batch < g[0]; ++batch, x += g[1] * g[2] * g[3]) {
    for (int32_t row = 0; row < g[6]; ++row) {
      const window_taps rows = inside(row, g[9], g[13], g[11], g[4], g[1]);
      for (int32_t column = 0; column < g[7]; ++column, y += g[8]) {
        const window_taps columns = inside(column, g[10], g[14], g[12], g[5], g[2]);
        for (int32_t out = 0; out < g[8]; ++out) {
          int32_t sum = 0;
          for (int32_t i = rows.first; i < rows.past; ++i) {
            for (int32_t j = columns.first; j < columns.past; ++j) {
              const int8_t *from =
                  x + ((rows.from + i * g[11]) * g[2] + columns.from + j * g[12]) * g[3] + out / g[16] * g[15];
              const int32_t at = out * g[17] + i * g[18] + j * g[19];
              for (int32_t c = 0; c < g[15]; ++c) {
                sum += (from[c] + x_offset) * weight_at(weights, at + c * g[20], packed);
              }
            }
          }
          rescaled(&sum, bias, y + out, out, 1, multipliers, powers, per_channel, 1, y_offset, low, high);
        }
      }
    }
  }
}
