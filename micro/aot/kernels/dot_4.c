/* needs: lanes */
/* Adds n + rest products to the sums of four filters; n is a multiple of 4. The filters' weights are interleaved: four of the
 * first, four of the second and so on; at the end the rest of each. */
static void dot_4(const int8_t *x, const int8_t *weights, int32_t n, int32_t rest, int32_t x_offset, int32_t *sums) {
  int32_t s = sums[0], t = sums[1], u = sums[2], v = sums[3];
#if defined(__ARM_FEATURE_DSP)
  const int32_t offsets = (int32_t)(((uint32_t)x_offset & 0xffffu) * 0x10001u);
  for (const int8_t *const end = x + n; x != end; x += 4, weights += 16) {
    const int32_t p = __sadd16(even(four_at(x)), offsets), q = __sadd16(odd(four_at(x)), offsets);
    const int32_t a = four_at(weights), b = four_at(weights + 4), c = four_at(weights + 8), d = four_at(weights + 12);
    s = __smlad(q, odd(a), __smlad(p, even(a), s));
    t = __smlad(q, odd(b), __smlad(p, even(b), t));
    u = __smlad(q, odd(c), __smlad(p, even(c), u));
    v = __smlad(q, odd(d), __smlad(p, even(d), v));
  }
#else
  for (; n > 0; n -= 4, weights += 12) {
    for (int32_t i = 0; i < 4; ++i, ++weights) {
      const int32_t one = *x++ + x_offset;
      s += one * weights[0];
      t += one * weights[4];
      u += one * weights[8];
      v += one * weights[12];
    }
  }
#endif
  for (int32_t i = 0; i < rest; ++i) {
    const int32_t one = x[i] + x_offset;
    s += one * weights[i];
    t += one * weights[rest + i];
    u += one * weights[2 * rest + i];
    v += one * weights[3 * rest + i];
  }
  sums[0] = s;
  sums[1] = t;
  sums[2] = u;
  sums[3] = v;
}
