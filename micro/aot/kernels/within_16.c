/* x limited to 16 bits. */
static int32_t within_16(int32_t x) { return x < -32768 ? -32768 : (x > 32767 ? 32767 : x); }
