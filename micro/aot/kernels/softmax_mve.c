/* needs: largest_of, leading_zeros, reciprocal_of_one_plus */
#include <arm_mve.h>

/* exp of the differences of up to four values from the row's largest, 0 beyond the table. */
static inline int32x4_t exponentials_mve(const int8_t *x, mve_pred16_t there, int32_t largest, const int32_t *exponentials,
                                         int32_t count) {
  const int32x4_t below = vsubq_s32(vdupq_n_s32(largest), vldrbq_z_s32(x, there));
  const mve_pred16_t known = vcmpltq_m_n_s32(below, count, there);
  return vldrwq_gather_shifted_offset_z_s32(exponentials, vreinterpretq_u32_s32(below), known);
}

/* softmax for cores with MVE. */
static void softmax_mve(const int8_t *x, int8_t *y, int32_t rows, int32_t depth, const int32_t *exponentials,
                        int32_t count) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += depth) {
    const int32_t largest = largest_of(x, depth);
    int32_t sum = 0;
    for (int32_t i = 0; i < depth; i += 4) {
      const mve_pred16_t there = vctp32q((uint32_t)(depth - i));
      sum = vaddvaq_s32(sum, vrshrq_n_s32(exponentials_mve(x + i, there, largest, exponentials, count), 12));
    }
    const int32_t headroom = leading_zeros(sum);
    const int32_t scale = reciprocal_of_one_plus((int32_t)(((uint32_t)sum << headroom) - 0x80000000u));
    const int32_t shift = headroom - 12 - 31 + 8;
    for (int32_t i = 0; i < depth; i += 4) {
      const mve_pred16_t there = vctp32q((uint32_t)(depth - i));
      const int32x4_t known = exponentials_mve(x + i, there, largest, exponentials, count);
      /* from 32 bits on, of over 500 equal values, nothing is left */
      const int32x4_t value = shift > -32 ? vrshlq_n_s32(vqrdmulhq_n_s32(known, scale), shift) : vdupq_n_s32(0);
      vstrbq_p_s32(y + i, vminq_s32(vsubq_n_s32(value, 128), vdupq_n_s32(127)), there);
    }
  }
}
