/* A function of single values, given as a table of its 256 results of 16 bits. */
static void lookup_wide(const int8_t *x, int16_t *y, int32_t count, const int16_t *table) {
  for (int32_t i = 0; i < count; ++i) {
    y[i] = table[x[i] + 128];
  }
}
