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
  const int32_t contiguous = d_width == 1 && (together || (x_channels & 3) == 0);
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * x_channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      for (int32_t column = 0; column < y_width; ++column, y += y_channels) {
        int8_t window[160];
        window_taps rows = inside(row, s_height, pad_height, d_height, height, x_height);
        window_taps columns = inside(column, s_width, pad_width, d_width, width, x_width);
        const int8_t *source = x;
        int32_t taps = contiguous ? columns.past - columns.first : 1, n = taps * x_channels;
        int32_t start = ((rows.from + rows.first * d_height) * x_width + columns.from + columns.first * d_width) * x_channels;
        if (together) {
          if (rows.past - rows.first < height || columns.past - columns.first < width) {
            for (int32_t i = 0; i < size; ++i) {
              window[i] = (int8_t)-x_offset;
            }
          }
          for (int32_t i = rows.first; i < rows.past; ++i, start += d_height * x_width * x_channels) {
            for (int32_t j = columns.first, from = start; j < columns.past; j += taps, from += d_width * x_channels) {
              for (int32_t k = 0; k < n; ++k) {
                window[i * length + j * x_channels + k] = x[from + k];
              }
            }
          }
          source = window;
          rows.first = columns.first = start = 0;
          rows.past = columns.past = taps = 1;
          n = size;
        }
        const int16_t *pair = pairs;
        const int8_t *single = singles;
        for (int32_t out = 0, count; out < y_channels; out += count) {
          int32_t sums[4];
          sums[0] = sums[1] = sums[2] = sums[3] = 0;
          count = out < fours ? 4 : 1;
          for (int32_t i = rows.first, line = start; i < rows.past; ++i, line += d_height * x_width * x_channels) {
            for (int32_t j = columns.first, from = line; j < columns.past; j += taps, from += d_width * x_channels) {
              const int32_t skipped = i * length + j * x_channels;
              if (count == 4) {
                dot_4(source + from, pair + 2 * skipped, n, x_offset, sums);
              } else {
                sums[0] = dot_1(source + from, single + skipped, n, x_offset, sums[0]);
              }
            }
          }
          if (count == 4) {
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
