/* needs: scaled_64, clamped_16 */
/* Transposed convolution of 16-bit values with 8-bit weights; see transpose_conv. */
static void transpose_conv_16(const int16_t *x, const int8_t *weights, const int32_t *bias, int16_t *y, int32_t batches,
                              int32_t x_height, int32_t x_width, int32_t x_channels, int32_t height, int32_t width,
                              int32_t y_height, int32_t y_width, int32_t y_channels, int32_t s_height, int32_t s_width,
                              int32_t pad_height, int32_t pad_width, const int32_t *multipliers, const int8_t *powers,
                              int32_t per_channel, int32_t low, int32_t high) {
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * x_channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      for (int32_t column = 0; column < y_width; ++column, y += y_channels) {
        for (int32_t out = 0; out < y_channels; ++out) {
          const int32_t own = per_channel ? out : 0;
          int64_t sum = bias ? bias[out] : 0;
          for (int32_t i = (row + pad_height) % s_height; i < height && i <= row + pad_height; i += s_height) {
            const int32_t from_row = (row + pad_height - i) / s_height;
            for (int32_t j = (column + pad_width) % s_width; j < width && j <= column + pad_width; j += s_width) {
              const int32_t from = (column + pad_width - j) / s_width;
              if (from_row < x_height && from < x_width) {
                const int16_t *const one = x + (from_row * x_width + from) * x_channels;
                const int8_t *const weight = weights + ((out * height + i) * width + j) * x_channels;
                for (int32_t c = 0; c < x_channels; ++c) {
                  sum += (int32_t)one[c] * weight[c];
                }
              }
            }
          }
          y[out] = clamped_16(scaled_64(sum, multipliers[own], powers[own]), low, high);
        }
      }
    }
  }
}
