/* needs: dot_1, rescaled */
/* Transposed convolution: each output sums the taps whose strided position is an input. s: strides; pad: padding. */
static void transpose_conv(const int8_t *x, const int8_t *weights, const int32_t *bias, int8_t *y, int32_t batches,
                           int32_t x_height, int32_t x_width, int32_t x_channels, int32_t height, int32_t width,
                           int32_t y_height, int32_t y_width, int32_t y_channels, int32_t s_height, int32_t s_width,
                           int32_t pad_height, int32_t pad_width, int32_t x_offset, const int32_t *multipliers,
                           const int8_t *powers, int32_t per_channel, int32_t y_offset, int32_t low, int32_t high) {
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * x_channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      for (int32_t column = 0; column < y_width; ++column, y += y_channels) {
        for (int32_t out = 0; out < y_channels; ++out) {
          int32_t sum = 0;
          for (int32_t i = (row + pad_height) % s_height; i < height && i <= row + pad_height; i += s_height) {
            const int32_t from_row = (row + pad_height - i) / s_height;
            for (int32_t j = (column + pad_width) % s_width; j < width && j <= column + pad_width; j += s_width) {
              const int32_t from = (column + pad_width - j) / s_width;
              if (from_row < x_height && from < x_width) {
                sum = dot_1(x + (from_row * x_width + from) * x_channels,
                            weights + ((out * height + i) * width + j) * x_channels, x_channels, x_offset, sum);
              }
            }
          }
          rescaled(&sum, bias, y + out, out, 1, multipliers, powers, per_channel, 1, y_offset, low, high);
        }
      }
    }
  }
}
