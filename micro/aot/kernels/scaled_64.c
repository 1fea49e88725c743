/* x * multiplier / 2^31 * 2^power with a multiplier of 16 bits, rounded once, as TFLite does with sums of 64 bits. */
static int32_t scaled_64(int64_t x, int32_t multiplier, int32_t power) {
  const int64_t reduced = multiplier < 0x7fff0000 ? (multiplier + 0x8000) >> 16 : 0x7fff;
  return (int32_t)((x * reduced + ((int64_t)1 << (14 - power))) >> (15 - power));
}
