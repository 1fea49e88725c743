#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>

/* Four bytes, or two 16-bit halves, from an unaligned address. */
typedef struct __attribute__((packed, may_alias)) {
  int32_t bytes;
} four_bytes;
static inline int32_t four_at(const void *x) { return ((const four_bytes *)x)->bytes; }

/* Bytes 0 and 2, or 1 and 3, sign-extended to two 16-bit halves; `plus` is added to each half. */
static inline int32_t even(int32_t four) { return __sxtb16(four); }
static inline int32_t odd(int32_t four) {
  int32_t pair;
  __asm("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(four));
  return pair;
}
static inline int32_t even_plus(int32_t four, int32_t plus) { return __sxtab16(plus, four); }
static inline int32_t odd_plus(int32_t four, int32_t plus) {
  int32_t pair;
  __asm("sxtab16 %0, %1, %2, ror #8" : "=r"(pair) : "r"(plus), "r"(four));
  return pair;
}

/* A number as both halves. */
static inline int32_t both(int32_t x) { return (int32_t)(((uint32_t)x & 0xffffu) * 0x10001u); }
#endif
