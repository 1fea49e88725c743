/* Depthwise convolution; every input channel makes `multiplier` outputs. */
static void depthwise_conv_2d(const int8_t *x, const int8_t *weights, const int32_t *bias, int8_t *y, int batches,
                              int x_height, int x_width, int x_channels, int multiplier, int height, int width,
                              int y_height, int y_width, int s_height, int s_width, int d_height, int d_width,
                              int pad_height, int pad_width, int32_t x_offset, const int32_t *multipliers,
                              const int8_t *powers, int per_channel, int32_t y_offset, int32_t low, int32_t high) {
  const int y_channels = x_channels * multiplier;
  for (int batch = 0; batch < batches; ++batch) {
    for (int row = 0; row < y_height; ++row) {
      for (int column = 0; column < y_width; ++column) {
        for (int out = 0; out < y_channels; ++out) {
          int32_t sum = bias ? bias[out] : 0;
          for (int i = 0; i < height; ++i) {
            const int from_row = row * s_height - pad_height + i * d_height;
            for (int j = 0; j < width; ++j) {
              const int from_column = column * s_width - pad_width + j * d_width;
              if (from_row >= 0 && from_row < x_height && from_column >= 0 && from_column < x_width) {
                sum += (x[(from_row * x_width + from_column) * x_channels + out / multiplier] + x_offset) *
                       weights[(i * width + j) * y_channels + out];
              }
            }
          }
          sum = scaled(sum, multipliers[per_channel ? out : 0], powers[per_channel ? out : 0]);
          *y++ = clamped(sum + y_offset, low, high);
        }
      }
    }
    x += x_height * x_width * x_channels;
  }
}
