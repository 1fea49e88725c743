/* needs: lanes */
#if defined(__ARM_FEATURE_DSP)
/* Adds one product to the sum of each of four channels. */
static inline __attribute__((always_inline)) void tap_of_4(const int8_t *x, const int8_t *weights, int32_t offsets,
                                                           int32_t *sums) {
  const int32_t four = four_at(x), others = four_at(weights);
  const int32_t p = even_plus(four, offsets), a = even(others), q = odd_plus(four, offsets), b = odd(others);
  sums[0] = __smlabb(p, a, sums[0]);
  sums[2] = __smlatt(p, a, sums[2]);
  sums[1] = __smlabb(q, b, sums[1]);
  sums[3] = __smlatt(q, b, sums[3]);
}
#endif

/* Depthwise: sums of the products of four channels over rows of taps, from x[at] on. Weights are those of the four channels for
 * each tap. Taps are x_step apart, rows of them x_row and w_row. */
static inline void channels_of_4(const int8_t *x, int32_t at, const int8_t *weights, int32_t rows, int32_t taps,
                                 int32_t x_step, int32_t x_row, int32_t w_row, int32_t x_offset, int32_t *sums) {
  int32_t made[4];
  made[0] = made[1] = made[2] = made[3] = 0;
#if defined(__ARM_FEATURE_DSP)
  const int32_t offsets = both(x_offset);
#endif
  for (; rows > 0; --rows, at += x_row, weights += w_row) {
    const int8_t *from = x + at, *weight = weights;
    int32_t left = taps;
#if defined(__ARM_FEATURE_DSP)
    for (; left >= 3; left -= 3, from += 3 * x_step, weight += 12) {
      tap_of_4(from, weight, offsets, made);
      tap_of_4(from + x_step, weight + 4, offsets, made);
      tap_of_4(from + 2 * x_step, weight + 8, offsets, made);
    }
    for (; left > 0; --left, from += x_step, weight += 4) {
      tap_of_4(from, weight, offsets, made);
    }
#else
    for (; left > 0; --left, from += x_step, weight += 4) {
      made[0] += (from[0] + x_offset) * weight[0];
      made[1] += (from[1] + x_offset) * weight[1];
      made[2] += (from[2] + x_offset) * weight[2];
      made[3] += (from[3] + x_offset) * weight[3];
    }
#endif
  }
  sums[0] = made[0];
  sums[1] = made[1];
  sums[2] = made[2];
  sums[3] = made[3];
}
