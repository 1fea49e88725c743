/* Mean of each window, what lies outside the input left out; halves away from 0. */
static void average_pool_2d(const int8_t *x, int8_t *y, int batches, int x_height, int x_width, int channels, int height,
                            int width, int y_height, int y_width, int s_height, int s_width, int pad_height,
                            int pad_width, int32_t low, int32_t high) {
  for (int batch = 0; batch < batches; ++batch) {
    for (int row = 0; row < y_height; ++row) {
      for (int column = 0; column < y_width; ++column) {
        for (int channel = 0; channel < channels; ++channel) {
          int32_t value = 0;
          int32_t count = 0;
          for (int i = 0; i < height; ++i) {
            for (int j = 0; j < width; ++j) {
              const int from_row = row * s_height - pad_height + i;
              const int from_column = column * s_width - pad_width + j;
              if (from_row >= 0 && from_row < x_height && from_column >= 0 && from_column < x_width) {
                const int8_t *from = x + (from_row * x_width + from_column) * channels;
                value += from[channel];
                ++count;
              }
            }
          }
          value = value > 0 ? (value + count / 2) / count : (value - count / 2) / count;
          *y++ = clamped(value, low, high);
        }
      }
    }
    x += x_height * x_width * channels;
  }
}
