/* A function of a 16-bit value, given as a table of 513 results 128 apart, between which lines are drawn. */
static int32_t between_16(int32_t x, const int16_t *table) {
  const int32_t index = (x >> 7) + 256;
  return table[index] + (((table[index + 1] - table[index]) * (x & 127) + 64) >> 7);
}
