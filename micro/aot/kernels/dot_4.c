/* needs: lanes */
/* The lower half of a pair, the weight of its second filter. RISC-V loads it in one instruction and cuts it off in two. */
static inline int32_t second_of(const int16_t *pair) {
#if defined(__riscv) && !defined(__riscv_zbb) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return *(const int8_t *)pair;
#else
  return (int8_t)*pair;
#endif
}

/* Products of up to 252 inputs and the weights of four filters. A pair holds the weights of two filters for one input,
 * 256 * first + second, in the order that pairs_of_filters in weight_layout.py gives them. Added to `made` are, of each two
 * filters, the sum of the products with pairs, which is 256 * the first filter's sum + the second's, and the second's. 255 such
 * products of inputs of up to 255 fit 32 bits. */
static inline void dot_4(const int8_t *x, const int16_t *pairs, int32_t n, int32_t x_offset, int32_t *made) {
  int32_t both_s = made[0], t = made[1], both_u = made[2], v = made[3];
#if defined(__ARM_FEATURE_DSP)
  const int32_t offsets = both(x_offset);
  const int16_t *const last = pairs + 2 * (n & ~3);
  if (pairs != last) { /* tested after each step, which takes an instruction less than before it */
    do {
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
      x += 4;
      pairs += 8;
    } while (pairs != last);
  }
#else
  const int8_t *const whole = x + (n & ~3);
  for (int32_t step = 1; x != whole; x += step, step ^= 2, pairs += 4) { /* inputs 0 and 2, then 1 and 3 */
    const int32_t one = x[0] + x_offset;
    t += one * second_of(pairs);
    both_s += one * pairs[0];
    v += one * second_of(pairs + 2);
    both_u += one * pairs[2];
    const int32_t other = x[2] + x_offset;
    t += other * second_of(pairs + 1);
    both_s += other * pairs[1];
    v += other * second_of(pairs + 3);
    both_u += other * pairs[3];
  }
#endif
  for (n &= 3; n > 0; --n, ++x, pairs += 2) {
    const int32_t one = *x + x_offset;
    t += one * second_of(pairs);
    both_s += one * pairs[0];
    v += one * second_of(pairs + 1);
    both_u += one * pairs[1];
  }
  made[0] = both_s;
  made[1] = t;
  made[2] = both_u;
  made[3] = v;
}

/* Adds what dot_4 made to the sums of the four filters, and sets it to 0. */
static inline void unpacked(int32_t *made, int32_t *sums) {
  sums[0] += (made[0] - made[1]) >> 8;
  sums[1] += made[1];
  sums[2] += (made[2] - made[3]) >> 8;
  sums[3] += made[3];
  made[0] = made[1] = made[2] = made[3] = 0;
}
