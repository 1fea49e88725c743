/* needs: dot_4, dot_1, edge_4, inside, rescaled */
/* Convolution, four filters at a time with each of their rows as in dot_4, then the remaining ones one by one. s: strides; d:
 * dilations; pad: padding before the input. */
static void conv_2d(const int8_t *x, const int8_t *weights, const int32_t *bias, int8_t *y, int32_t batches,
                    int32_t x_height, int32_t x_width, int32_t x_channels, int32_t height, int32_t width, int32_t y_height,
                    int32_t y_width, int32_t y_channels, int32_t s_height, int32_t s_width, int32_t d_height,
                    int32_t d_width, int32_t pad_height, int32_t pad_width, int32_t x_offset, const int32_t *multipliers,
                    const int8_t *powers, int32_t per_channel, int32_t y_offset, int32_t low, int32_t high) {
  const int32_t length = width * x_channels; /* of one row of a filter */
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * x_channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      const window_taps rows = inside(row, s_height, pad_height, d_height, height, x_height);
      for (int32_t column = 0; column < y_width; ++column, y += y_channels) {
        const window_taps columns = inside(column, s_width, pad_width, d_width, width, x_width);
        /* Without dilation, the taps of a row are contiguous. */
        const int32_t taps = d_width == 1 ? columns.past - columns.first : 1, n = taps * x_channels;
        for (int32_t out = 0; out < y_channels;) {
          const int32_t count = out + 4 <= y_channels ? 4 : 1;
          int32_t sums[4] = {0, 0, 0, 0};
          for (int32_t i = rows.first; i < rows.past; ++i) {
            const int8_t *weight = weights + (out * height + i * count) * length;
            for (int32_t j = columns.first; j < columns.past; j += taps) {
              const int8_t *from = x + ((rows.from + i * d_height) * x_width + columns.from + j * d_width) * x_channels;
              const int32_t first = j * x_channels;
              if (count == 1) {
                sums[0] = dot_1(from, weight + first, n, x_offset, sums[0]);
              } else if (n == length || ((first | n) & 3) == 0) {
                dot_4(from, weight + 4 * first, n & ~3, n & 3, x_offset, sums);
              } else {
                edge_4(from, weight, length, first, n, x_offset, sums);
              }
            }
          }
          rescaled(sums, bias, y + out, out, count, multipliers, powers, per_channel, y_offset, low, high);
          out += count;
        }
      }
    }
  }
}
