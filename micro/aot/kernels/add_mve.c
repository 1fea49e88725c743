/* needs: scaled_mve, sum_of */
/* add for cores with MVE, of operands of the output's shape. One of them has a multiplier of one half. */
static void add_mve(const int8_t *a, const int8_t *b, int8_t *y, const int32_t *n, int32_t sign, const int32_t *p) {
  const int32_t first = p[1] == (int32_t)1 << 30 && p[2] == 0; /* whether that is a */
  const int32_t *const own = first ? p : p + 3, *const others = first ? p + 3 : p;
  const int8_t *halved = first ? a : b, *other = first ? b : a;
  const int32_t factor = (first ? 1 : sign) * ((int32_t)1 << 19), other_sign = first ? sign : 1;
  const int32_t offset = own[0], other_offset = others[0], multiplier = others[1], power = -others[2];
  const int32x4_t ties = vdupq_n_s32(power < 0 ? -1 : 0), y_ties = vdupq_n_s32(p[7] > 0 ? -1 : 0);
  const int32x4_t low = vdupq_n_s32(p[9]), high = vdupq_n_s32(p[10]);
  const int32_t y_multiplier = p[6], y_power = -p[7], y_offset = p[8];
  const int32_t count = n[0] * n[1] * n[2] * n[3], fours = count / 4;
  for (int32_t left = fours; left > 0; --left, halved += 4, other += 4, y += 4) {
    const int32x4_t one = vmulq_n_s32(vaddq_n_s32(vldrbq_s32(halved), offset), factor);
    const int32x4_t two = vshlq_n_s32(vaddq_n_s32(vldrbq_s32(other), other_offset), 20);
    const int32x4_t sum = vmlaq_n_s32(one, scaled_mve(two, multiplier, power, ties), other_sign);
    const int32x4_t value = vaddq_n_s32(scaled_mve(sum, y_multiplier, y_power, y_ties), y_offset);
    vstrbq_s32(y, vminq_s32(vmaxq_s32(value, low), high));
  }
  for (int32_t i = 0; i < count - 4 * fours; ++i) {
    y[i] = sum_of(a[4 * fours + i], b[4 * fours + i], sign, p);
  }
}
