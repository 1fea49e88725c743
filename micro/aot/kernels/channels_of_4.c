/* needs: lanes */
/* Depthwise: adds the products of n taps to the sums of four channels; taps are x_step and w_step apart. */
static void channels_of_4(const int8_t *x, const int8_t *weights, int32_t x_step, int32_t w_step, int32_t n,
                          int32_t x_offset, int32_t *sums) {
  int32_t s = sums[0], t = sums[1], u = sums[2], v = sums[3];
#if defined(__ARM_FEATURE_DSP)
  const int32_t offsets = (int32_t)(((uint32_t)x_offset & 0xffffu) * 0x10001u);
  for (; n > 0; --n, x += x_step, weights += w_step) {
    const int32_t p = __sadd16(even(four_at(x)), offsets), q = __sadd16(odd(four_at(x)), offsets);
    const int32_t a = even(four_at(weights)), b = odd(four_at(weights));
    s = __smlabb(p, a, s);
    t = __smlabb(q, b, t);
    u = __smlatt(p, a, u);
    v = __smlatt(q, b, v);
  }
#else
  for (; n > 0; --n, x += x_step, weights += w_step) {
    s += (x[0] + x_offset) * weights[0];
    t += (x[1] + x_offset) * weights[1];
    u += (x[2] + x_offset) * weights[2];
    v += (x[3] + x_offset) * weights[3];
  }
#endif
  sums[0] = s;
  sums[1] = t;
  sums[2] = u;
  sums[3] = v;
}
