/* needs: dot_4, dot_1, rescaled */
/* Dense layer: rows of `depth` inputs to rows of `outputs`, four outputs at a time as in dot_4, then the remaining ones. */
static void fully_connected(const int8_t *x, const int8_t *weights, const int32_t *bias, int8_t *y, int32_t rows,
                            int32_t depth, int32_t outputs, int32_t x_offset, const int32_t *multipliers,
                            const int8_t *powers, int32_t per_channel, int32_t y_offset, int32_t low, int32_t high) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += outputs) {
    const int8_t *weight = weights;
    for (int32_t out = 0, count; out < outputs; out += count, weight += count * depth) {
      int32_t sums[4] = {0, 0, 0, 0};
      count = outputs - out < 4 ? 1 : 4;
      if (count == 4) {
        dot_4(x, weight, depth & ~3, depth & 3, x_offset, sums);
      } else {
        sums[0] = dot_1(x, weight, depth, x_offset, 0);
      }
      rescaled(sums, bias, y + out, out, count, multipliers, powers, per_channel, y_offset, low, high);
    }
  }
}
