/* needs: filters_mve */
/* fully_connected for cores with MVE. Places are taken by twos within each `width` of them; weights and bias: see
 * filters_mve. */
static void fully_connected_mve(const int8_t *x, const int8_t *weights, const int32_t *bias, int8_t *y, int32_t rows,
                                int32_t width, int32_t depth, int32_t outputs, const int32_t *multipliers,
                                const int8_t *powers, int32_t per_channel, int32_t y_offset, int32_t low, int32_t high) {
  int32_t same_multipliers[4];
  int8_t same_powers[4];
  const filters_mve layer = layer_of(weights, bias, multipliers, powers, per_channel, depth, outputs, y_offset, low, high,
                                     same_multipliers, same_powers);
  for (; rows > 0; rows -= width) {
    int32_t left = width;
    for (; left > 1; left -= 2, x += 2 * depth, y += 2 * outputs) {
      filters_at(&layer, x, x + depth, y);
    }
    if (left > 0) {
      filters_at(&layer, x, 0, y);
      x += depth;
      y += outputs;
    }
  }
}
