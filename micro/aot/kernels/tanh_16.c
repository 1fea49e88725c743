/* needs: interpolated */
/* Tanh of x / 2^12 * 2^power, as a 15-bit fraction, by tanh(x) = 2 * sigmoid(2 * x) - 1. */
static int32_t tanh_16(int32_t x, int32_t power, const uint16_t *sigmoids) {
  const int32_t down = power < 0 ? -power : 0;
  const int32_t three = power < 0 ? (3 * x + ((int32_t)1 << (down - 1))) >> down : 3 * x * ((int32_t)1 << power);
  const int32_t magnitude = three < 0 ? -three : three;
  const int32_t upper = (magnitude >> 8) >= 255 ? (int32_t)0xffff << 8 : interpolated(sigmoids, magnitude, 8);
  const int32_t above = upper - ((int32_t)1 << 23);
  return (three < 0 ? 127 - above : above + 128) >> 8;
}
