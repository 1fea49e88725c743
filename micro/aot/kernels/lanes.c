#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>

/* Four bytes from an unaligned address. */
typedef struct __attribute__((packed, may_alias)) {
  int32_t bytes;
} four_bytes;
static inline int32_t four_at(const int8_t *x) { return ((const four_bytes *)(const void *)x)->bytes; }

/* Bytes 0 and 2, or 1 and 3, sign-extended to two 16-bit halves. */
static inline int32_t even(int32_t four) { return __sxtb16(four); }
static inline int32_t odd(int32_t four) {
  int32_t pair;
  __asm("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(four));
  return pair;
}
#endif
