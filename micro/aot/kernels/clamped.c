/* x limited to the range of the output and its activation. */
static int8_t clamped(int32_t x, int32_t low, int32_t high) {
  return (int8_t)(x < low ? low : (x > high ? high : x));
}
