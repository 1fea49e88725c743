/* x / 2^power, rounded to nearest, ties away from zero. */
static int32_t divide_by_power(int32_t x, int32_t power) {
  const int32_t mask = (int32_t)(((uint32_t)1 << power) - 1u);
  const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return (x >> power) + ((x & mask) > threshold ? 1 : 0);
}
