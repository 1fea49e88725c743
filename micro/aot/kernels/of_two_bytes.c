/* A value of 16 bits from two bytes, the upper one first. */
static inline int32_t of_two_bytes(const int8_t *bytes) { return (int32_t)bytes[0] * 256 + (bytes[1] & 255); }
