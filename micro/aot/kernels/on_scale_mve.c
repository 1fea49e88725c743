#include <arm_mve.h>

/* Sums on another scale, to the nearest, ties away from zero. powers: below 0. */
static inline int32x4_t on_scale_mve(int32x4_t sums, int32x4_t multipliers, int32x4_t powers) {
  const int32x4_t products = vqrdmulhq_s32(sums, multipliers);
  return vrshlq_s32(vaddq_s32(products, vshrq_n_s32(products, 31)), powers);
}
