/* Logistic function, or hyperbolic tangent, of 16-bit values: between neighbors in a table of the logistic function at n / 24. */
static void sigmoid(const int16_t *x, int16_t *y, int32_t count, const uint16_t *table, int32_t multiplier, int32_t shift,
                    int32_t hyperbolic) {
  const int32_t bits = hyperbolic ? 8 : 9; /* of a stretch of the table */
  for (int32_t i = 0; i < count; ++i) {
    const int32_t value = (x[i] * multiplier + (shift > 0 ? (int32_t)1 << (shift - 1) : 0)) >> shift;
    const int32_t far = value < 0 ? -value : value, at = far >> bits;
    int32_t result = hyperbolic ? (int32_t)0xffff00 : (int32_t)0x1fffc00;
    if (at < 255) {
      result = ((int32_t)table[at] << bits) + (far & (((int32_t)1 << bits) - 1)) * ((int32_t)table[at + 1] - table[at]);
    }
    if (hyperbolic) {
      result = (value >= 0 ? result - ((int32_t)1 << 23) + 128 : ((int32_t)1 << 23) - result + 127) >> 8;
    } else {
      result = (value >= 0 ? result + 512 : ((int32_t)1 << 25) - result + 511) >> 10;
    }
    y[i] = (int16_t)result;
  }
}
