/* A table of 256 sigmoids at a magnitude with `bits` bits between two entries; the result has as many more bits than they. */
static int32_t interpolated(const uint16_t *sigmoids, int32_t magnitude, int32_t bits) {
  const int32_t at = magnitude >> bits, low = sigmoids[at];
  const int32_t rest = magnitude - ((int32_t)at << bits);
  return (int32_t)((uint32_t)low << bits) + rest * ((int32_t)sigmoids[at + 1] - low);
}
