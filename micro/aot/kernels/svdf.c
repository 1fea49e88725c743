/* needs: dot_1, scaled, clamped, clamped_16 */
/* A filter over features and time for each of `filters`, `rank` of them to an output. The state moves on by one; sums over time
 * wrap at 32 bits, as TFLite's do. p: input offset, multiplier and power of features, the same of outputs, output offset. */
static void svdf(const int8_t *x, const int8_t *features, const int16_t *time, const int32_t *bias, int16_t *state,
                 int8_t *y, int32_t batches, int32_t inputs, int32_t filters, int32_t rank, int32_t memory,
                 const int32_t *p) {
  for (int32_t i = 0; i + 1 < batches * filters * memory; ++i) {
    state[i] = state[i + 1];
  }
  for (int32_t batch = 0; batch < batches; ++batch, x += inputs) {
    for (int32_t filter = 0; filter < filters; filter += rank) {
      uint32_t sum = (uint32_t)bias[filter / rank];
      for (int32_t i = filter; i < filter + rank; ++i, state += memory) {
        const int32_t one = dot_1(x, features + i * inputs, inputs, p[0], 0);
        state[memory - 1] = clamped_16(scaled(one, p[1], p[2]), INT16_MIN, INT16_MAX);
        for (int32_t j = 0; j < memory; ++j) {
          sum += (uint32_t)((int32_t)time[i * memory + j] * state[j]);
        }
      }
      *y++ = clamped(scaled((int32_t)sum, p[3], p[4]) + p[5], -128, 127);
    }
  }
}
