/* needs: dot_4, dot_1, rescaled */
/* Dense layer: rows of `depth` inputs to rows of `outputs`. The first `fours` outputs are computed four at a time as in dot_4,
 * the others one by one. A convolution with a window of 1 is a dense layer of each position. */
static void fully_connected(const int8_t *x, const int16_t *pairs, const int8_t *singles, const int32_t *bias, int8_t *y,
                            int32_t rows, int32_t depth, int32_t outputs, int32_t fours, int32_t x_offset,
                            const int32_t *multipliers, const int8_t *shifts, int32_t per_channel, int32_t wide,
                            int32_t y_offset, int32_t low, int32_t high) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += outputs) {
    const int16_t *pair = pairs;
    const int8_t *single = singles;
    for (int32_t out = 0, count; out < outputs; out += count) {
      int32_t sums[4], made[4];
      sums[0] = sums[1] = sums[2] = sums[3] = made[0] = made[1] = made[2] = made[3] = 0;
      if (out < fours) {
        count = 4;
        for (int32_t at = 0; at < depth; at += 252) {
          dot_4(x + at, pair + 2 * at, depth - at < 252 ? depth - at : 252, x_offset, made);
          unpacked(made, sums);
        }
        pair += 2 * depth;
      } else {
        count = 1;
        sums[0] = dot_1(x, single, depth, x_offset, 0);
        single += depth;
      }
      rescaled(sums, bias, y + out, out, count, multipliers, shifts, per_channel, wide, y_offset, low, high);
    }
  }
}
