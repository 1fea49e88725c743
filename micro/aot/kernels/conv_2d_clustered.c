/* needs: inside, rescaled */
/* Convolution with weights of at most 16 values: indices of values, two per byte, each row of a filter in bytes of its own. A
 * dense layer is a convolution with a window of 1. */
static void conv_2d_clustered(const int8_t *x, const uint8_t *pairs, const int8_t *values, const int32_t *bias, int8_t *y,
                              int32_t batches, int32_t x_height, int32_t x_width, int32_t x_channels, int32_t height,
                              int32_t width, int32_t y_height, int32_t y_width, int32_t y_channels, int32_t s_height,
                              int32_t s_width, int32_t d_height, int32_t d_width, int32_t pad_height, int32_t pad_width,
                              int32_t x_offset, const int32_t *multipliers, const int8_t *shifts, int32_t per_channel,
                              int32_t wide, int32_t y_offset, int32_t low, int32_t high) {
  const int32_t row_bytes = (width * x_channels + 1) / 2;
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * x_channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      const window_taps rows = inside(row, s_height, pad_height, d_height, height, x_height);
      for (int32_t column = 0; column < y_width; ++column, y += y_channels) {
        const window_taps columns = inside(column, s_width, pad_width, d_width, width, x_width);
        const int32_t taps = d_width == 1 ? columns.past - columns.first : 1, n = taps * x_channels;
        for (int32_t out = 0; out < y_channels; ++out) {
          int32_t sum = 0;
          for (int32_t i = rows.first; i < rows.past; ++i) {
            for (int32_t j = columns.first; j < columns.past; j += taps) {
              const int8_t *from = x + ((rows.from + i * d_height) * x_width + columns.from + j * d_width) * x_channels;
              const int32_t first = j * x_channels;
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
          rescaled(&sum, bias, y + out, out, 1, multipliers, shifts, per_channel, wide, y_offset, low, high);
        }
      }
    }
  }
}
