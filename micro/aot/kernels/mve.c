#include <arm_mve.h>

/* Sums on another scale, to the nearest, ties away from zero. powers: below 0. */
static inline int32x4_t on_scale_mve(int32x4_t sums, int32x4_t multipliers, int32x4_t powers) {
  const int32x4_t products = vqrdmulhq_s32(sums, multipliers);
  return vrshlq_s32(vaddq_s32(products, vshrq_n_s32(products, 31)), powers);
}

/* The same with one multiplier and one power, 0 or below. `ties` is all ones if the power is below 0, otherwise 0. */
static inline int32x4_t scaled_mve(int32x4_t values, int32_t multiplier, int32_t power, int32x4_t ties) {
  const int32x4_t products = vqrdmulhq_n_s32(values, multiplier);
  return vrshlq_n_s32(vaddq_s32(products, vandq_s32(vshrq_n_s32(products, 31), ties)), power);
}

/* Sets lanes 0 and 2, or 1 and 3. */
static inline void lanes_0_2(int32x4_t *lanes, int32_t a, int32_t b) {
  __asm("vmov %q0[2], %q0[0], %1, %2" : "+w"(*lanes) : "r"(a), "r"(b));
}
static inline void lanes_1_3(int32x4_t *lanes, int32_t a, int32_t b) {
  __asm("vmov %q0[3], %q0[1], %1, %2" : "+w"(*lanes) : "r"(a), "r"(b));
}
