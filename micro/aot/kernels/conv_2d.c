/* needs: dot_4, dot_1, inside, rescaled */
/* Convolution. The first `fours` filters are computed four at a time as in dot_4, the others one by one. With `together`, the
 * at most 160 bytes of a window are copied next to each other, and weights lie in that order; otherwise products are summed
 * by taps, or by rows of taps where those are contiguous. s: strides; d: dilations; pad: padding before the input. */
static void conv_2d(const int8_t *x, const int16_t *pairs, const int8_t *singles, const int32_t *bias, int8_t *y,
                    int32_t batches, int32_t x_height, int32_t x_width, int32_t x_channels, int32_t height, int32_t width,
                    int32_t y_height, int32_t y_width, int32_t y_channels, int32_t s_height, int32_t s_width,
                    int32_t d_height, int32_t d_width, int32_t pad_height, int32_t pad_width, int32_t fours,
                    int32_t together, int32_t x_offset, const int32_t *multipliers, const int8_t *shifts,
                    int32_t per_channel, int32_t wide, int32_t y_offset, int32_t low, int32_t high) {
  const int32_t length = width * x_channels, size = height * length; /* of one row of a filter, and of a filter */
  const int32_t x_row = d_height * x_width * x_channels;
  const int32_t contiguous = (d_width == 1 && (together != 0 || (x_channels & 3) == 0)) ? (int32_t)1 : (int32_t)0;
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * x_channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      for (int32_t column = 0; column < y_width; ++column, y += y_channels) {
        int8_t window[160];
        const window_taps rows = inside(row, s_height, pad_height, d_height, height, x_height);
        const window_taps columns = inside(column, s_width, pad_width, d_width, width, x_width);
        const int32_t down = rows.past - rows.first, across = columns.past - columns.first;
        int32_t skipped = rows.first * length + columns.first * x_channels;
        const int32_t line = (rows.from + rows.first * d_height) * x_width;
        int32_t start = (line + columns.from + columns.first * d_width) * x_channels;
        /* Lines of segments of n inputs, which start x_row and x_step apart, and their weights. */
        const int8_t *source = x;
        int32_t lines = 1, segments = down, n = across * x_channels, x_step = x_row, step = length;
        if (contiguous == 0) {
          lines = down;
          segments = across;
          n = x_channels;
          x_step = d_width * x_channels;
          step = x_channels;
        }
        if (together != 0) {
          if (down < height || across < width) {
            for (int32_t i = 0; i < size; ++i) {
              window[i] = (int8_t)-x_offset;
            }
          }
          for (int32_t i = 0; i < lines; ++i) {
            for (int32_t j = 0; j < segments; ++j) {
              int8_t *to = window + skipped + i * length + j * step;
              const int8_t *from = x + start + i * x_row + j * x_step;
              for (int32_t k = 0; k < n; ++k) {
                to[k] = from[k];
              }
            }
          }
          source = window;
          lines = segments = 1;
          skipped = start = 0;
          n = size;
        }
        const int16_t *pair = pairs;
        const int8_t *single = singles;
        for (int32_t out = 0, count; out < y_channels; out += count) {
          int32_t sums[4], made[4], room = 255;
          sums[0] = sums[1] = sums[2] = sums[3] = made[0] = made[1] = made[2] = made[3] = 0;
          count = out < fours ? 4 : 1;
          for (int32_t i = 0; i < lines; ++i) {
            for (int32_t j = 0; j < segments; ++j) {
              const int8_t *from = source + start + i * x_row + j * x_step;
              const int32_t at = skipped + i * length + j * step;
              if (count == 1) {
                sums[0] = dot_1(from, single + at, n, x_offset, sums[0]);
                continue;
              }
              for (int32_t k = 0, part; k < n; k += part) {
                part = n - k < 252 ? n - k : 252;
                room -= part;
                if (room < 0) {
                  unpacked(made, sums);
                  room = 255 - part;
                }
                dot_4(from + k, pair + 2 * (at + k), part, x_offset, made);
              }
            }
          }
          if (count == 4) {
            unpacked(made, sums);
            pair += 2 * size;
          } else {
            single += size;
          }
          rescaled(sums, bias, y + out, out, count, multipliers, shifts, per_channel, wide, y_offset, low, high);
        }
      }
    }
  }
}
