/* Convolution by weights of at most 16 values: two numbers of values a byte, each row of a filter on bytes of its own. A dense
 * layer is one of a window of 1. */
static void conv_2d_shared(const int8_t *x, const uint8_t *pairs, const int8_t *values, const int32_t *bias, int8_t *y,
                           int batches, int x_height, int x_width, int x_channels, int height, int width, int y_height,
                           int y_width, int y_channels, int s_height, int s_width, int d_height, int d_width,
                           int pad_height, int pad_width, int32_t x_offset, const int32_t *multipliers,
                           const int8_t *powers, int per_channel, int32_t y_offset, int32_t low, int32_t high) {
  const int row_bytes = (width * x_channels + 1) / 2;
  for (int batch = 0; batch < batches; ++batch, x += x_height * x_width * x_channels) {
    for (int row = 0; row < y_height; ++row) {
      const window_taps rows = inside(row, s_height, pad_height, d_height, height, x_height);
      for (int column = 0; column < y_width; ++column, y += y_channels) {
        const window_taps columns = inside(column, s_width, pad_width, d_width, width, x_width);
        const int taps = d_width == 1 ? columns.past - columns.first : 1, n = taps * x_channels;
        for (int out = 0; out < y_channels; ++out) {
          int32_t sum = 0;
          for (int i = rows.first; i < rows.past; ++i) {
            for (int j = columns.first; j < columns.past; j += taps) {
              const int8_t *from = x + ((rows.from + i * d_height) * x_width + columns.from + j * d_width) * x_channels;
              const int first = j * x_channels;
              const uint8_t *pair = pairs + (out * height + i) * row_bytes + first / 2;
              const int8_t *const past = from + n;
              if (first % 2 != 0) {
                sum += (*from++ + x_offset) * values[*pair++ >> 4];
              }
              for (; past - from >= 2; from += 2, ++pair) {
                sum += (from[0] + x_offset) * values[*pair & 15] + (from[1] + x_offset) * values[*pair >> 4];
              }
              if (from != past) {
                sum += (*from + x_offset) * values[*pair & 15];
              }
            }
          }
          rescaled(&sum, bias, y + out, out, 1, multipliers, powers, per_channel, y_offset, low, high);
        }
      }
    }
  }
}
