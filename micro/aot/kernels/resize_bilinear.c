/* needs: between */
/* Each output from its four neighbors. Scales: input positions an output position, in 1024ths. */
static void resize_bilinear(const int8_t *x, int8_t *y, int32_t batches, int32_t x_height, int32_t x_width,
                            int32_t channels, int32_t y_height, int32_t y_width, int32_t row_scale, int32_t column_scale,
                            int32_t centered) {
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      const neighbors rows = between(row, row_scale, centered, x_height);
      for (int32_t column = 0; column < y_width; ++column) {
        const neighbors columns = between(column, column_scale, centered, x_width);
        const int8_t *const upper = x + rows.low * x_width * channels, *const lower = x + rows.high * x_width * channels;
        const int32_t left = columns.low * channels, right = columns.high * channels;
        for (int32_t c = 0; c < channels; ++c) {
          const int32_t above = upper[left + c] * (1024 - columns.part) + upper[right + c] * columns.part;
          const int32_t below = lower[left + c] * (1024 - columns.part) + lower[right + c] * columns.part;
          const int32_t value = above * (1024 - rows.part) + below * rows.part;
          *y++ = (int8_t)((value + (value > 0 ? (int32_t)1 << 19 : -((int32_t)1 << 19))) / ((int32_t)1 << 20));
        }
      }
    }
  }
}
