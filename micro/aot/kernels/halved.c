/* needs: clamped */
/* x / 2, rounded down and limited to the range of the output and its activation. */
static inline int8_t halved(int32_t x, int32_t low, int32_t high) {
#if defined(__ARM_FEATURE_DSP)
  if (low == -128 && high == 127) {
    int32_t limited;
    __asm("ssat %0, #8, %1, asr #1" : "=r"(limited) : "r"(x));
    return (int8_t)limited;
  }
#endif
  return clamped(x >> 1, low, high);
}
