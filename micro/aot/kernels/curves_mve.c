#include <arm_mve.h>

static inline int32x4_t within_16_mve(int32x4_t x) {
  return vminq_s32(vmaxq_s32(x, vdupq_n_s32(INT16_MIN)), vdupq_n_s32(INT16_MAX));
}

/* A table of 256 sigmoids at magnitudes of less than 255 steps, as `interpolated` gives them. */
static inline int32x4_t interpolated_mve(const uint16_t *sigmoids, int32x4_t magnitude, int32x4_t at, int32_t bits) {
  const uint32x4_t place = vreinterpretq_u32_s32(at);
  const int32x4_t below = vreinterpretq_s32_u32(vldrhq_gather_shifted_offset_u32(sigmoids, place));
  const int32x4_t above = vreinterpretq_s32_u32(vldrhq_gather_shifted_offset_u32(sigmoids + 1, place));
  const int32x4_t rest = vandq_s32(magnitude, vdupq_n_s32(((int32_t)1 << bits) - 1));
  return vaddq_s32(vshlq_r_s32(below, bits), vmulq_s32(rest, vsubq_s32(above, below)));
}

/* sigmoid_16 of up to 3 * 2^15. */
static inline int32x4_t sigmoid_mve(int32x4_t x, const uint16_t *sigmoids) {
  const int32x4_t magnitude = vabsq_s32(x), mirrored = vandq_s32(vshrq_n_s32(x, 31), vdupq_n_s32(((int32_t)1 << 25) - 1));
  const int32x4_t upper = interpolated_mve(sigmoids, magnitude, vshrq_n_s32(magnitude, 9), 9);
  return vrshrq_n_s32(veorq_s32(upper, mirrored), 10);
}

/* tanh_16. */
static inline int32x4_t tanh_mve(int32x4_t x, const uint16_t *sigmoids) {
  const int32x4_t magnitude = vabsq_s32(x), at = vshrq_n_s32(magnitude, 8);
  int32x4_t upper = interpolated_mve(sigmoids, magnitude, vminq_s32(at, vdupq_n_s32(254)), 8);
  upper = vdupq_m_n_s32(upper, (int32_t)0xffff << 8, vcmpgtq_n_s32(at, 254));
  return vrshrq_n_s32(veorq_s32(vsubq_n_s32(upper, (int32_t)1 << 23), vshrq_n_s32(x, 31)), 8);
}
