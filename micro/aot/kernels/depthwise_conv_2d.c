/* needs: channels_of_4, inside, rescaled */
/* Depthwise convolution; each input channel has `multiplier` output channels. The first `fours` channels are computed four at a
 * time, and their weights lie by fours of channels, then taps; the other channels' weights follow by taps. */
static void depthwise_conv_2d(const int8_t *x, const int8_t *weights, const int32_t *bias, int8_t *y, int32_t batches,
                              int32_t x_height, int32_t x_width, int32_t x_channels, int32_t multiplier, int32_t height,
                              int32_t width, int32_t y_height, int32_t y_width, int32_t s_height, int32_t s_width,
                              int32_t d_height, int32_t d_width, int32_t pad_height, int32_t pad_width, int32_t fours,
                              int32_t x_offset, const int32_t *multipliers, const int8_t *shifts, int32_t per_channel,
                              int32_t wide, int32_t y_offset, int32_t low, int32_t high) {
  const int32_t y_channels = x_channels * multiplier, alone = y_channels - fours;
  const int32_t x_row = d_height * x_width * x_channels, x_step = d_width * x_channels;
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * x_channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      const window_taps rows = inside(row, s_height, pad_height, d_height, height, x_height);
      for (int32_t column = 0; column < y_width; ++column, y += y_channels) {
        const window_taps columns = inside(column, s_width, pad_width, d_width, width, x_width);
        const int32_t down = rows.past - rows.first, across = columns.past - columns.first;
        const int32_t skipped = rows.first * width + columns.first;
        const int8_t *weight = weights + 4 * skipped;
        const int32_t line = (rows.from + rows.first * d_height) * x_width;
        const int32_t start = (line + columns.from + columns.first * d_width) * x_channels;
        for (int32_t out = 0, count; out < y_channels; out += count) {
          int32_t sums[4];
          if (out < fours) {
            count = 4;
            channels_of_4(x, start + out, weight, down, across, x_step, x_row, 4 * width, x_offset, sums);
            weight += 4 * height * width;
          } else {
            int32_t at = height * width * fours + skipped * alone + out - fours, from = start + out / multiplier, sum = 0;
            for (int32_t i = 0; i < down; ++i, from += x_row, at += width * alone) {
              for (int32_t j = 0; j < across; ++j) {
                sum += (x[from + j * x_step] + x_offset) * weights[at + j * alone];
              }
            }
            count = 1;
            sums[0] = sum;
          }
          rescaled(sums, bias, y + out, out, count, multipliers, shifts, per_channel, wide, y_offset, low, high);
        }
      }
    }
  }
}
