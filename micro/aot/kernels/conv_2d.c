/* Convolution, four filters at once with each of their rows as in dot_4, and the last ones one by one; s and d are strides and
 * dilations, pad what lies before the input. */
static void conv_2d(const int8_t *x, const int8_t *weights, const int32_t *bias, int8_t *y, int batches, int x_height,
                    int x_width, int x_channels, int height, int width, int y_height, int y_width, int y_channels,
                    int s_height, int s_width, int d_height, int d_width, int pad_height, int pad_width,
                    int32_t x_offset, const int32_t *multipliers, const int8_t *powers, int per_channel,
                    int32_t y_offset, int32_t low, int32_t high) {
  const int length = width * x_channels; /* of a filter's row */
  for (int batch = 0; batch < batches; ++batch, x += x_height * x_width * x_channels) {
    for (int row = 0; row < y_height; ++row) {
      const int from_row = row * s_height - pad_height;
      const int i_first = first_inside(from_row, d_height, height);
      const int i_past = past_inside(from_row, d_height, height, x_height, i_first);
      for (int column = 0; column < y_width; ++column, y += y_channels) {
        const int from_column = column * s_width - pad_width;
        const int j_first = first_inside(from_column, d_width, width);
        const int j_past = past_inside(from_column, d_width, width, x_width, j_first);
        /* Taps side by side are one run. */
        const int taps = d_width == 1 ? j_past - j_first : 1, n = taps * x_channels;
        for (int out = 0; out < y_channels;) {
          const int count = out + 4 <= y_channels ? 4 : 1;
          int32_t sums[4] = {0, 0, 0, 0};
          for (int i = i_first; i < i_past; ++i) {
            const int8_t *weight = weights + (out * height + i * count) * length;
            for (int j = j_first; j < j_past; j += taps) {
              const int8_t *from = x + ((from_row + i * d_height) * x_width + from_column + j * d_width) * x_channels;
              const int first = j * x_channels;
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
