/* needs: scaled_mve, curves_mve */
/* Sums of products of inputs and the weights of four filters, from `start` on. Weights lie as blocks_of_filters in
 * weight_layout.py says. */
static inline void four_sums_mve(const int8_t *x, const int8_t *weights, int32_t n, const int32_t *start, int32_t *sums) {
  int32_t a = start[0], b = start[1], c = start[2], d = start[3];
  for (int32_t blocks = n >> 4; blocks > 0; --blocks, x += 16, weights += 64) {
    const int8x16_t inputs = vldrbq_s8(x);
    a = vmladavaq_s8(a, inputs, vldrbq_s8(weights));
    b = vmladavaq_s8(b, inputs, vldrbq_s8(weights + 16));
    c = vmladavaq_s8(c, inputs, vldrbq_s8(weights + 32));
    d = vmladavaq_s8(d, inputs, vldrbq_s8(weights + 48));
  }
  n &= 15;
  if (n > 0) {
    const mve_pred16_t there = vctp8q((uint32_t)n);
    const int8x16_t inputs = vldrbq_z_s8(x, there);
    a = vmladavaq_s8(a, inputs, vldrbq_z_s8(weights, there));
    b = vmladavaq_s8(b, inputs, vldrbq_z_s8(weights + n, there));
    c = vmladavaq_s8(c, inputs, vldrbq_z_s8(weights + 2 * n, there));
    d = vmladavaq_s8(d, inputs, vldrbq_z_s8(weights + 3 * n, there));
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}

/* Four units' sums of one gate on the gate's scale, in 16 bits. */
static inline int32x4_t gate_mve(const int32_t *sums, int32_t multiplier, int32_t power) {
  const uint32x4_t units = vidupq_n_u32(0, 4);
  const int32x4_t raised = vshlq_r_s32(vldrwq_gather_shifted_offset_s32(sums, units), power > 0 ? power : 0);
  return within_16_mve(scaled_mve(raised, multiplier, power < 0 ? power : 0, vdupq_n_s32(power < 0 ? -1 : 0)));
}

/* lstm for cores with MVE, four units at a time. start and recurrent_start: biases, four gates a unit, with what the zero
 * points of inputs and states add. */
static void lstm_mve(const int8_t *x, int8_t *y, int8_t *hidden, int8_t *cells, const int8_t *kernel,
                     const int8_t *recurrent, const int32_t *start, const int32_t *recurrent_start,
                     const uint16_t *sigmoids, const int32_t *multipliers, const int8_t *powers, int32_t steps,
                     int32_t inputs, int32_t units, int32_t y_zero, int32_t cell_power, int32_t low, int32_t high,
                     int32_t by_turns) {
  const uint32x4_t seconds = vidupq_n_u32(0, 2);
  const int32x4_t ties = vdupq_n_s32(powers[9] < 0 ? -1 : 0), y_ties = vdupq_n_s32(powers[10] < 0 ? -1 : 0);
  const int8_t *before = hidden;
  for (int32_t step = 0; step < steps; ++step, x += inputs) {
    int8_t *const now = y + (by_turns ? step & 1 : step) * units;
    for (int32_t unit = 0; unit < units; unit += 4) {
      const int32_t here = units - unit < 4 ? units - unit : 4;
      int32_t sums[16], states[16];
      int32x4_t gates[4], cell = vdupq_n_s32(0);
      for (int32_t k = 0; k < here; ++k) {
        four_sums_mve(x, kernel + 4 * (unit + k) * inputs, inputs, start + 4 * (unit + k), sums + 4 * k);
        if (before != 0) {
          four_sums_mve(before, recurrent + 4 * (unit + k) * units, units, recurrent_start + 4 * (unit + k), states + 4 * k);
        }
      }
      for (int32_t k = 4 * here; k < 16; ++k) {
        sums[k] = states[k] = 0;
      }
      const mve_pred16_t there = vctp32q((uint32_t)here);
      int8_t *const own = cells + 2 * unit;
      if (before != 0) {
        const int32x4_t upper = vldrbq_gather_offset_z_s32(own, seconds, there);
        const uint32x4_t lower = vldrbq_gather_offset_z_u32((const uint8_t *)own + 1, seconds, there);
        cell = vorrq_s32(vshlq_n_s32(upper, 8), vreinterpretq_s32_u32(lower));
      }
      for (int32_t gate = 0; gate < 4; ++gate) {
        int32x4_t both = gate_mve(sums + gate, multipliers[gate], powers[gate]);
        if (before != 0) {
          both = vaddq_s32(both, gate_mve(states + gate, multipliers[4 + gate], powers[4 + gate]));
        }
        both = vmulq_n_s32(within_16_mve(both), 3);
        gates[gate] = gate == 2 ? tanh_mve(both, sigmoids) : sigmoid_mve(both, sigmoids);
      }
      cell = within_16_mve(scaled_mve(vmulq_s32(gates[1], cell), multipliers[8], powers[8], vdupq_n_s32(-1)));
      cell = vaddq_s32(cell, within_16_mve(scaled_mve(vmulq_s32(gates[0], gates[2]), multipliers[9], powers[9], ties)));
      cell = vminq_s32(vmaxq_s32(within_16_mve(cell), vdupq_n_s32(low)), vdupq_n_s32(high));
      vstrbq_scatter_offset_p_s32(own, seconds, vshrq_n_s32(cell, 8), there);
      vstrbq_scatter_offset_p_s32(own + 1, seconds, cell, there);
      const int32x4_t fine = vrshlq_n_s32(vmulq_n_s32(cell, 3), cell_power);
      const int32x4_t product = vmulq_s32(tanh_mve(fine, sigmoids), gates[3]);
      const int32x4_t value = vaddq_n_s32(scaled_mve(product, multipliers[10], powers[10], y_ties), y_zero);
      vstrbq_p_s32(now + unit, vminq_s32(vmaxq_s32(value, vdupq_n_s32(-128)), vdupq_n_s32(127)), there);
    }
    before = now;
  }
  for (int32_t unit = 0; hidden && unit < units; ++unit) {
    hidden[unit] = before[unit];
  }
}
