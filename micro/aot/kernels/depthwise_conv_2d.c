/* needs: channels_of_4, inside, rescaled */
/* Depthwise convolution; each input channel has `multiplier` output channels. */
static void depthwise_conv_2d(const int8_t *x, const int8_t *weights, const int32_t *bias, int8_t *y, int32_t batches,
                              int32_t x_height, int32_t x_width, int32_t x_channels, int32_t multiplier, int32_t height,
                              int32_t width, int32_t y_height, int32_t y_width, int32_t s_height, int32_t s_width,
                              int32_t d_height, int32_t d_width, int32_t pad_height, int32_t pad_width, int32_t x_offset,
                              const int32_t *multipliers, const int8_t *powers, int32_t per_channel, int32_t y_offset,
                              int32_t low, int32_t high) {
  const int32_t y_channels = x_channels * multiplier;
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * x_channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      const window_taps rows = inside(row, s_height, pad_height, d_height, height, x_height);
      for (int32_t column = 0; column < y_width; ++column, y += y_channels) {
        const window_taps columns = inside(column, s_width, pad_width, d_width, width, x_width);
        for (int32_t out = 0; out < y_channels; out += 4) {
          const int32_t count = y_channels - out < 4 ? y_channels - out : 4;
          int32_t sums[4] = {0, 0, 0, 0};
          for (int32_t i = rows.first; i < rows.past; ++i) {
            const int32_t from_column = columns.from + columns.first * d_width;
            const int8_t *from = x + ((rows.from + i * d_height) * x_width + from_column) * x_channels + out / multiplier;
            const int8_t *weight = weights + (i * width + columns.first) * y_channels + out;
            if (multiplier == 1 && count == 4) {
              channels_of_4(from, weight, d_width * x_channels, y_channels, columns.past - columns.first, x_offset, sums);
            } else {
              for (int32_t j = columns.first; j < columns.past; ++j, from += d_width * x_channels, weight += y_channels) {
                for (int32_t k = 0; k < count; ++k) {
                  sums[k] += (from[(out + k) / multiplier - out / multiplier] + x_offset) * weight[k];
                }
              }
            }
          }
          rescaled(sums, bias, y + out, out, count, multipliers, powers, per_channel, y_offset, low, high);
        }
      }
    }
  }
}
