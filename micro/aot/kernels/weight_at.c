/* A weight: one of int8, or of two packed into a byte, the first in the low half. */
static inline int32_t weight_at(const int8_t *weights, int32_t at, int32_t packed) {
  const int32_t byte = weights[packed ? at >> 1 : at];
  return packed ? (at & 1 ? (byte - (byte & 15)) / 16 : ((byte & 15) ^ 8) - 8) : byte;
}
