/* needs: inside, rescaled */
/* Adds the products of n inputs and the weights from `first` on. An entry is its distance from the previous entry, 0 to 255,
 * and its weight. */
static int32_t sparse_row(const int8_t *x, const int8_t *entries, int32_t count, int32_t length, int32_t first, int32_t n,
                          int32_t x_offset, int32_t sum) {
  if (n == length) {
    for (; count >= 2; count -= 2, entries += 4) {
      x += (uint8_t)entries[0];
      sum += (*x + x_offset) * entries[1];
      x += (uint8_t)entries[2];
      sum += (*x + x_offset) * entries[3];
    }
    if (count > 0) {
      sum += (x[(uint8_t)entries[0]] + x_offset) * entries[1];
    }
    return sum;
  }
  for (int32_t at = -first; count > 0; --count, entries += 2) {
    at += (int32_t)(uint8_t)entries[0];
    if (at >= 0 && at < n) {
      sum += (x[at] + x_offset) * entries[1];
    }
  }
  return sum;
}

/* The same for full rows, at four output positions at once, whose inputs are `step` apart. */
static void sparse_row_4(const int8_t *x, int32_t step, const int8_t *entries, int32_t count, int32_t x_offset,
                         int32_t *sums) {
  int32_t s = sums[0], t = sums[1], u = sums[2], v = sums[3];
  for (; count > 0; --count, entries += 2) {
    const int32_t weight = entries[1];
    x += (uint8_t)entries[0];
    s += (x[0] + x_offset) * weight;
    t += (x[step] + x_offset) * weight;
    u += (x[2 * step] + x_offset) * weight;
    v += (x[3 * step] + x_offset) * weight;
  }
  sums[0] = s;
  sums[1] = t;
  sums[2] = u;
  sums[3] = v;
}

/* Convolution with only the nonzero weights; counts: entries in each row of each filter. A dense layer is a convolution with a
 * window of 1. */
static void conv_2d_sparse(const int8_t *x, const int8_t *entries, const uint16_t *counts, const int32_t *bias, int8_t *y,
                           int32_t batches, int32_t x_height, int32_t x_width, int32_t x_channels, int32_t height,
                           int32_t width, int32_t y_height, int32_t y_width, int32_t y_channels, int32_t s_height,
                           int32_t s_width, int32_t d_height, int32_t d_width, int32_t pad_height, int32_t pad_width,
                           int32_t x_offset, const int32_t *multipliers, const int8_t *shifts, int32_t per_channel,
                           int32_t wide, int32_t y_offset, int32_t low, int32_t high) {
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * x_channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      const window_taps rows = inside(row, s_height, pad_height, d_height, height, x_height);
      for (int32_t column = 0, places; column < y_width; column += places, y += places * y_channels) {
        const window_taps columns = inside(column, s_width, pad_width, d_width, width, x_width);
        const int32_t taps = d_width == 1 ? columns.past - columns.first : 1;
        const int8_t *entry = entries;
        const uint16_t *count = counts;
        const int32_t last = columns.from + 3 * s_width + width; /* end of the window three positions on */
        places = taps == width && columns.first == 0 && column + 4 <= y_width && last <= x_width ? 4 : 1;
        for (int32_t out = 0; out < y_channels; ++out) {
          int32_t sums[4] = {0, 0, 0, 0};
          for (int32_t i = 0; i < height; entry += 2 * (int32_t)*count++, ++i) {
            if (i < rows.first || i >= rows.past) {
              continue;
            }
            for (int32_t j = columns.first; j < columns.past; j += taps) {
              const int8_t *from = x + ((rows.from + i * d_height) * x_width + columns.from + j * d_width) * x_channels;
              if (places == 4) {
                sparse_row_4(from, s_width * x_channels, entry, *count, x_offset, sums);
              } else {
                sums[0] = sparse_row(from, entry, *count, width * x_channels, j * x_channels, taps * x_channels, x_offset,
                                     sums[0]);
              }
            }
          }
          for (int32_t place = 0; place < places; ++place) {
            rescaled(sums + place, bias, y + place * y_channels + out, out, 1, multipliers, shifts, per_channel, wide,
                     y_offset, low, high);
          }
        }
      }
    }
  }
}
