/* needs: interpolated */
/* Sigmoid of x / (24 * 512), as a 15-bit fraction; entries of the table are 1/24 apart. */
static int32_t sigmoid_16(int32_t x, const uint16_t *sigmoids) {
  const int32_t magnitude = x < 0 ? -x : x, half = 1 << 9;
  const int32_t upper = (magnitude >> 9) >= 255 ? (int32_t)0x7fff << 10 : interpolated(sigmoids, magnitude, 9);
  return (x < 0 ? ((int32_t)1 << 25) - upper + half - 1 : upper + half) >> 10;
}
