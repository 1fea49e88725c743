/* Dense layer: rows of `depth` inputs to rows of `outputs`, four at once as dot_4 has them, and the last ones one by one. */
static void fully_connected(const int8_t *x, const int8_t *weights, const int32_t *bias, int8_t *y, int rows, int depth,
                            int outputs, int32_t x_offset, const int32_t *multipliers, const int8_t *powers,
                            int per_channel, int32_t y_offset, int32_t low, int32_t high) {
  for (int row = 0; row < rows; ++row, x += depth, y += outputs) {
    int out = 0;
    for (; out + 4 <= outputs; out += 4) {
      int32_t sums[4] = {0, 0, 0, 0};
      dot_4(x, weights + out * depth, depth & ~3, depth & 3, x_offset, sums);
      rescaled(sums, bias, y + out, out, 4, multipliers, powers, per_channel, y_offset, low, high);
    }
    for (; out < outputs; ++out) {
      const int32_t sum = dot_1(x, weights + out * depth, depth, x_offset, 0);
      rescaled(&sum, bias, y + out, out, 1, multipliers, powers, per_channel, y_offset, low, high);
    }
  }
}
