#include <arm_mve.h>

/* Values times one multiplier and one power, 0 or below, to the nearest, ties away from zero. `ties` is all ones if the power
 * is below 0, otherwise 0. */
static inline int32x4_t scaled_mve(int32x4_t values, int32_t multiplier, int32_t power, int32x4_t ties) {
  const int32x4_t products = vqrdmulhq_n_s32(values, multiplier);
  return vrshlq_n_s32(vaddq_s32(products, vandq_s32(vshrq_n_s32(products, 31), ties)), power);
}
