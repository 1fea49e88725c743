/* needs: lanes */
/* Adds n products to the sums of four filters. A pair holds the weights of two filters for one input, 256 * first + second, in
 * the order that pairs_of_filters in weight_layout.py gives them. Products with pairs sum up to 256 * the first filter's sum +
 * the second's; the second's are summed by themselves as well, and the difference is the first's. 255 such products of inputs
 * of up to 255 fit 32 bits. */
static inline void dot_4(const int8_t *x, const int16_t *pairs, int32_t n, int32_t x_offset, int32_t *sums) {
#if defined(__ARM_FEATURE_DSP)
  const int32_t offsets = both(x_offset);
#endif
  for (; n > 0; n -= 252) {
    const int8_t *const whole = x + (n < 252 ? n & ~3 : 252), *const past = x + (n < 252 ? n : 252);
    int32_t both_s = 0, both_u = 0, t = 0, v = 0;
#if defined(__ARM_FEATURE_DSP)
    for (; x != whole; x += 4, pairs += 8) {
      const int32_t p = even_plus(four_at(x), offsets), q = odd_plus(four_at(x), offsets);
      const int32_t a = four_at(pairs);
      both_s = __smlad(p, a, both_s);
      t = __smlad(p, even(a), t);
      const int32_t b = four_at(pairs + 2);
      both_u = __smlad(p, b, both_u);
      v = __smlad(p, even(b), v);
      const int32_t c = four_at(pairs + 4);
      both_s = __smlad(q, c, both_s);
      t = __smlad(q, even(c), t);
      const int32_t d = four_at(pairs + 6);
      both_u = __smlad(q, d, both_u);
      v = __smlad(q, even(d), v);
    }
#else
    for (int32_t step = 1; x != whole; x += step, step ^= 2, pairs += 4) { /* inputs 0 and 2, then 1 and 3 */
      const int32_t one = x[0] + x_offset;
      t += one * (int8_t)pairs[0];
      both_s += one * pairs[0];
      v += one * (int8_t)pairs[2];
      both_u += one * pairs[2];
      const int32_t other = x[2] + x_offset;
      t += other * (int8_t)pairs[1];
      both_s += other * pairs[1];
      v += other * (int8_t)pairs[3];
      both_u += other * pairs[3];
    }
#endif
    for (; x != past; ++x, pairs += 2) {
      const int32_t one = *x + x_offset;
      t += one * (int8_t)pairs[0];
      both_s += one * pairs[0];
      v += one * (int8_t)pairs[1];
      both_u += one * pairs[1];
    }
    sums[0] += (both_s - t) >> 8;
    sums[1] += t;
    sums[2] += (both_u - v) >> 8;
    sums[3] += v;
  }
}
