/* needs: dot_1, scaled, clamped */
/* SVDF with a state and weights over time of 8 bits. p: see svdf, and the zero point of the state, which wraps at 8 bits. */
static void svdf_8(const int8_t *x, const int8_t *features, const int8_t *time, const int32_t *bias, int8_t *state,
                   int8_t *y, int32_t batches, int32_t inputs, int32_t filters, int32_t rank, int32_t memory,
                   const int32_t *p) {
  for (int32_t i = 0; i + 1 < batches * filters * memory; ++i) {
    state[i] = state[i + 1];
  }
  for (int32_t batch = 0; batch < batches; ++batch, x += inputs) {
    for (int32_t filter = 0; filter < filters; filter += rank) {
      int32_t sum = bias[filter / rank];
      for (int32_t i = filter; i < filter + rank; ++i, state += memory) {
        const int32_t one = dot_1(x, features + i * inputs, inputs, p[0], 0);
        const int32_t value = p[6] + clamped(scaled(one, p[1], p[2]), -128, 127);
        state[memory - 1] = (int8_t)(value > 127 ? value - 256 : (value < -128 ? value + 256 : value));
        for (int32_t j = 0; j < memory; ++j) {
          sum += time[i * memory + j] * (state[j] - p[6]);
        }
      }
      *y++ = clamped(scaled(sum, p[3], p[4]) + p[5], -128, 127);
    }
  }
}
