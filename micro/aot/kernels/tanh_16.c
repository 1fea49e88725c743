/* needs: interpolated */
/* Tanh of x / (24 * 512), as a 15-bit fraction, by tanh(x) = 2 * sigmoid(2 * x) - 1. */
static int32_t tanh_16(int32_t x, const uint16_t *sigmoids) {
  const int32_t magnitude = x < 0 ? -x : x;
  const int32_t upper = (magnitude >> 8) >= 255 ? (int32_t)0xffff << 8 : interpolated(sigmoids, magnitude, 8);
  const int32_t above = upper - ((int32_t)1 << 23);
  return (x < 0 ? 127 - above : above + 128) >> 8;
}
