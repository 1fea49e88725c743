/* needs: scaled_mve, scaled, clamped */
/* mul for cores with MVE, of operands of the output's shape and a power of 0 or below. */
static void mul_mve(const int8_t *a, const int8_t *b, int8_t *y, const int32_t *n, const int32_t *p) {
  const int32x4_t ties = vdupq_n_s32(p[3] < 0 ? -1 : 0), low = vdupq_n_s32(p[5]), high = vdupq_n_s32(p[6]);
  const int32_t a_offset = p[0], b_offset = p[1], multiplier = p[2], power = p[3], y_offset = p[4];
  const int32_t count = n[0] * n[1] * n[2] * n[3];
  int32_t left = count / 4;
  for (; left > 0; --left, a += 4, b += 4, y += 4) {
    const int32x4_t one = vaddq_n_s32(vldrbq_s32(a), a_offset), other = vaddq_n_s32(vldrbq_s32(b), b_offset);
    const int32x4_t value = vaddq_n_s32(scaled_mve(vmulq_s32(one, other), multiplier, power, ties), y_offset);
    vstrbq_s32(y, vminq_s32(vmaxq_s32(value, low), high));
  }
  for (int32_t i = 0; i < count % 4; ++i) {
    y[i] = clamped(scaled((a[i] + a_offset) * (b[i] + b_offset), multiplier, power) + y_offset, p[5], p[6]);
  }
}
