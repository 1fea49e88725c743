/* Dense layer: rows of `depth` inputs to rows of `outputs`. With per_channel 0 the first multiplier serves all outputs. */
static void fully_connected(const int8_t *x, const int8_t *weights, const int32_t *bias, int8_t *y, int rows, int depth,
                            int outputs, int32_t x_offset, const int32_t *multipliers, const int8_t *powers,
                            int per_channel, int32_t y_offset, int32_t low, int32_t high) {
  for (int row = 0; row < rows; ++row) {
    const int8_t *weight = weights;
    for (int out = 0; out < outputs; ++out) {
      int32_t sum = bias ? bias[out] : 0;
      for (int in = 0; in < depth; ++in) {
        sum += (x[in] + x_offset) * *weight++;
      }
      sum = scaled(sum, multipliers[per_channel ? out : 0], powers[per_channel ? out : 0]);
      *y++ = clamped(sum + y_offset, low, high);
    }
    x += depth;
  }
}
