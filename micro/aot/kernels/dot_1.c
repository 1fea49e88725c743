/* needs: lanes */
/* sum plus n products of inputs and weights. */
static int32_t dot_1(const int8_t *x, const int8_t *weights, int32_t n, int32_t x_offset, int32_t sum) {
#if defined(__ARM_FEATURE_DSP)
  const int32_t offsets = both(x_offset);
  for (; n >= 4; n -= 4, x += 4, weights += 4) {
    const int32_t four = four_at(x), other = four_at(weights);
    sum = __smlad(even_plus(four, offsets), even(other), sum);
    sum = __smlad(odd_plus(four, offsets), odd(other), sum);
  }
#endif
  for (; n > 0; --n) {
    sum += (*x++ + x_offset) * *weights++;
  }
  return sum;
}
