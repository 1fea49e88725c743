/* needs: clamped, inside */
/* Maximum over the part of each window inside the input. */
static void max_pool_2d(const int8_t *x, int8_t *y, int32_t batches, int32_t x_height, int32_t x_width, int32_t channels,
                        int32_t height, int32_t width, int32_t y_height, int32_t y_width, int32_t s_height, int32_t s_width,
                        int32_t pad_height, int32_t pad_width, int32_t low, int32_t high) {
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      const window_taps rows = inside(row, s_height, pad_height, 1, height, x_height);
      for (int32_t column = 0; column < y_width; ++column) {
        const window_taps columns = inside(column, s_width, pad_width, 1, width, x_width);
        for (int32_t channel = 0; channel < channels; ++channel) {
          int32_t value = -128;
          for (int32_t i = rows.first; i < rows.past; ++i) {
            for (int32_t j = columns.first; j < columns.past; ++j) {
              const int8_t other = x[((rows.from + i) * x_width + columns.from + j) * channels + channel];
              value = other > value ? other : value;
            }
          }
          *y++ = clamped(value, low, high);
        }
      }
    }
  }
}
