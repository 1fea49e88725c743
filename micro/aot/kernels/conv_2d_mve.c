/* needs: filters_mve, inside */
/* Copies n bytes. */
static inline void copied_mve(const int8_t *from, int8_t *to, int32_t n) {
  __asm volatile(
      "wlstp.8 lr, %[n], 2f\n"
      "1:\n"
      "vldrb.8 q0, [%[from]], #16\n"
      "vstrb.8 q0, [%[to]], #16\n"
      "letp lr, 1b\n"
      "2:\n"
      : [from] "+r"(from), [to] "+r"(to)
      : [n] "r"(n)
      : "q0", "lr", "cc", "memory");
}

/* Sets n bytes. */
static inline void filled_mve(int8_t *to, int8_t value, int32_t n) {
  const int8x16_t values = vdupq_n_s8(value);
  __asm volatile(
      "wlstp.8 lr, %[n], 2f\n"
      "1:\n"
      "vstrb.8 %q[values], [%[to]], #16\n"
      "letp lr, 1b\n"
      "2:\n"
      : [to] "+r"(to)
      : [n] "r"(n), [values] "w"(values)
      : "lr", "cc", "memory");
}

/* conv_2d for cores with MVE. Columns of the windows of a row are copied one after the other, and x_zero where they lie outside
 * the input, so that a window is contiguous and neighbors share columns; weights lie by columns, rows and channels of a window,
 * as in filters_mve. At least one window has room. */
static void conv_2d_mve(const int8_t *x, const int8_t *weights, const int32_t *bias, int8_t *y, int32_t batches,
                        int32_t x_height, int32_t x_width, int32_t x_channels, int32_t height, int32_t width,
                        int32_t y_height, int32_t y_width, int32_t y_channels, int32_t s_height, int32_t s_width,
                        int32_t d_height, int32_t d_width, int32_t pad_height, int32_t pad_width, int32_t x_zero,
                        const int32_t *multipliers, const int8_t *powers, int32_t per_channel, int32_t y_offset,
                        int32_t low, int32_t high) {
  int8_t columns[1280];
  const int32_t strip = height * x_channels, room = (int32_t)sizeof columns / strip;
  int32_t same_multipliers[4];
  int8_t same_powers[4];
  const filters_mve layer = layer_of(weights, bias, multipliers, powers, per_channel, width * strip, y_channels, y_offset,
                                     low, high, same_multipliers, same_powers);
  const int32_t shared = d_width == 1 && s_width < width, step = shared ? s_width : width; /* columns between windows */
  const int32_t x_row = d_height * x_width * x_channels;
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * x_channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      const window_taps rows = inside(row, s_height, pad_height, d_height, height, x_height);
      const int8_t *const line = x + (rows.from + rows.first * d_height) * x_width * x_channels;
      int32_t first = 0, past = 0; /* columns that are held; of windows that share none, by the number of the window */
      for (int32_t column = 0, places; column < y_width; column += places, y += places * y_channels) {
        const int32_t start = column * step;
        places = column + 1 < y_width && step + width <= room ? 2 : 1;
        if (start + (places - 1) * step + width - first > room) {
          first = past = start;
        }
        for (; past < start + (places - 1) * step + width; ++past) {
          const int32_t at = shared ? past - pad_width
                                    : column * s_width + (past - start) / width * s_width +
                                          (past - start) % width * d_width - pad_width;
          int8_t *to = columns + (past - first) * strip;
          if (at < 0 || at >= x_width) {
            filled_mve(to, (int8_t)x_zero, strip);
            continue;
          }
          if (rows.first > 0) {
            filled_mve(to, (int8_t)x_zero, rows.first * x_channels);
            to += rows.first * x_channels;
          }
          const int8_t *from = line + at * x_channels;
          for (int32_t i = rows.first; i < rows.past; ++i, from += x_row, to += x_channels) {
            copied_mve(from, to, x_channels);
          }
          if (rows.past < height) {
            filled_mve(to, (int8_t)x_zero, (height - rows.past) * x_channels);
          }
        }
        const int8_t *const window = columns + (start - first) * strip;
        filters_at(&layer, window, places == 2 ? window + step * strip : 0, y);
      }
    }
  }
}
