/* needs: mve */
/* What a layer's filters are, and how their sums become outputs. weights: for each four filters, for each 16 inputs, 16 weights
 * of each of the four, with the last inputs, fewer than 16, likewise; then the other filters one by one. bias: with what the
 * input's zero point adds. powers: below 0. */
typedef struct {
  const int8_t *weights;
  const int32_t *bias, *multipliers;
  const int8_t *powers;
  int32_t per_channel, size, count, y_offset, low, high;
} filters_mve;

/* Sums of four filters at two places, of n inputs each. Returns the weights of the filters after them. The eight sums lie in
 * all registers that vmladava takes, so there are four for addresses and the count. */
static inline const int8_t *four_at_two(const int8_t *x, const int8_t *other, const int8_t *weights, const int32_t *bias,
                                        int32_t n, int32x4_t *sums) {
  int32x4_t a, b, c, d;
  struct {
    const int32_t *bias;
    int32_t n;
  } both = {bias, n}, *left = &both;
  __asm volatile(
      "ldrd lr, %[n], [%[n]]\n"
      "ldrd r0, r4, [lr]\n"
      "ldrd r8, r12, [lr, #8]\n"
      "mov r2, r0\n"
      "mov r6, r4\n"
      "mov r10, r8\n"
      "mov lr, r12\n"
      "subs %[n], #16\n"
      "blt 2f\n"
      "1:\n"
      "vldrb.8 %q[a], [%[x]], #16\n"
      "vldrb.8 %q[c], [%[w]], #16\n"
      "vmladava.s8 r0, %q[a], %q[c]\n"
      "vldrb.8 %q[b], [%[other]], #16\n"
      "vmladava.s8 r2, %q[b], %q[c]\n"
      "vldrb.8 %q[d], [%[w]], #16\n"
      "vmladava.s8 r4, %q[a], %q[d]\n"
      "vldrb.8 %q[c], [%[w]], #16\n"
      "vmladava.s8 r6, %q[b], %q[d]\n"
      "vldrb.8 %q[d], [%[w]], #16\n"
      "vmladava.s8 r8, %q[a], %q[c]\n"
      "subs %[n], #16\n"
      "vmladava.s8 r10, %q[b], %q[c]\n"
      "vmladava.s8 r12, %q[a], %q[d]\n"
      "vmladava.s8 lr, %q[b], %q[d]\n"
      "bge 1b\n"
      "2:\n"
      "adds %[n], #16\n"
      "beq 3f\n"
      "vctp.8 %[n]\n"
      "vpsttt\n"
      "vldrbt.8 %q[a], [%[x]]\n"
      "vldrbt.8 %q[b], [%[other]]\n"
      "vldrbt.8 %q[c], [%[w]]\n"
      "add %[x], %[w], %[n]\n"
      "add %[other], %[x], %[n]\n"
      "vmladava.s8 r0, %q[a], %q[c]\n"
      "vmladava.s8 r2, %q[b], %q[c]\n"
      "add %[w], %[other], %[n]\n"
      "vpstt\n"
      "vldrbt.8 %q[c], [%[x]]\n"
      "vldrbt.8 %q[d], [%[other]]\n"
      "vmladava.s8 r4, %q[a], %q[c]\n"
      "vmladava.s8 r6, %q[b], %q[c]\n"
      "vmladava.s8 r8, %q[a], %q[d]\n"
      "vmladava.s8 r10, %q[b], %q[d]\n"
      "vpst\n"
      "vldrbt.8 %q[c], [%[w]]\n"
      "add %[w], %[n]\n"
      "vmladava.s8 r12, %q[a], %q[c]\n"
      "vmladava.s8 lr, %q[b], %q[c]\n"
      "3:\n"
      "vmov %q[a][2], %q[a][0], r0, r8\n"
      "vmov %q[a][3], %q[a][1], r4, r12\n"
      "vmov %q[b][2], %q[b][0], r2, r10\n"
      "vmov %q[b][3], %q[b][1], r6, lr\n"
      : [x] "+r"(x), [other] "+r"(other), [w] "+r"(weights), [n] "+r"(left), [a] "=&w"(a), [b] "=&w"(b), [c] "=&w"(c),
        [d] "=&w"(d)
      :
      : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "cc", "memory");
  sums[0] = a;
  sums[1] = b;
  return weights;
}

/* The same at one place. */
static inline const int8_t *four_at_one(const int8_t *x, const int8_t *weights, const int32_t *bias, int32_t n,
                                        int32x4_t *sums) {
  int32x4_t a, b, c;
  __asm volatile(
      "ldrd r0, r2, [%[bias]]\n"
      "ldrd r4, r6, [%[bias], #8]\n"
      "lsr %[bias], %[n], #4\n"
      "wls lr, %[bias], 2f\n"
      "1:\n"
      "vldrb.8 %q[a], [%[x]], #16\n"
      "vldrb.8 %q[b], [%[w]], #16\n"
      "vmladava.s8 r0, %q[a], %q[b]\n"
      "vldrb.8 %q[c], [%[w]], #16\n"
      "vmladava.s8 r2, %q[a], %q[c]\n"
      "vldrb.8 %q[b], [%[w]], #16\n"
      "vmladava.s8 r4, %q[a], %q[b]\n"
      "vldrb.8 %q[c], [%[w]], #16\n"
      "vmladava.s8 r6, %q[a], %q[c]\n"
      "le lr, 1b\n"
      "2:\n"
      "ands %[n], #15\n"
      "beq 3f\n"
      "vctp.8 %[n]\n"
      "add %[bias], %[w], %[n]\n"
      "vpsttt\n"
      "vldrbt.8 %q[a], [%[x]]\n"
      "vldrbt.8 %q[b], [%[w]]\n"
      "vldrbt.8 %q[c], [%[bias]]\n"
      "add %[x], %[bias], %[n]\n"
      "add %[bias], %[x], %[n]\n"
      "add %[w], %[bias], %[n]\n"
      "vmladava.s8 r0, %q[a], %q[b]\n"
      "vmladava.s8 r2, %q[a], %q[c]\n"
      "vpstt\n"
      "vldrbt.8 %q[b], [%[x]]\n"
      "vldrbt.8 %q[c], [%[bias]]\n"
      "vmladava.s8 r4, %q[a], %q[b]\n"
      "vmladava.s8 r6, %q[a], %q[c]\n"
      "3:\n"
      "vmov %q[a][2], %q[a][0], r0, r4\n"
      "vmov %q[a][3], %q[a][1], r2, r6\n"
      : [x] "+r"(x), [w] "+r"(weights), [bias] "+r"(bias), [n] "+r"(n), [a] "=&w"(a), [b] "=&w"(b), [c] "=&w"(c)
      :
      : "r0", "r2", "r4", "r6", "lr", "cc", "memory");
  *sums = a;
  return weights;
}

/* Sum of n products. */
static inline int32_t dot_mve(const int8_t *x, const int8_t *weights, int32_t n) {
  int32_t sum = 0;
  __asm volatile(
      "wlstp.8 lr, %[n], 2f\n"
      "1:\n"
      "vldrb.8 q0, [%[x]], #16\n"
      "vldrb.8 q1, [%[w]], #16\n"
      "vmladava.s8 %[sum], q0, q1\n"
      "letp lr, 1b\n"
      "2:\n"
      : [x] "+r"(x), [w] "+r"(weights), [sum] "+Te"(sum)
      : [n] "r"(n)
      : "q0", "q1", "lr", "cc", "memory");
  return sum;
}

/* Outputs of all filters at one place, or at two: at `other` if it is not 0. */
static inline void filters_at(const int8_t *x, const int8_t *other, int8_t *y, const filters_mve *all) {
  const int32x4_t y_offset = vdupq_n_s32(all->y_offset), low = vdupq_n_s32(all->low), high = vdupq_n_s32(all->high);
  const int8_t *weights = all->weights;
  int32x4_t multipliers = vdupq_n_s32(all->multipliers[0]), powers = vdupq_n_s32(all->powers[0]);
  int32_t out = 0;
  for (; out + 4 <= all->count; out += 4) {
    int32x4_t sums[2];
    weights = other ? four_at_two(x, other, weights, all->bias + out, all->size, sums)
                    : four_at_one(x, weights, all->bias + out, all->size, sums);
    if (all->per_channel) {
      multipliers = vldrwq_s32(all->multipliers + out);
      powers = vldrbq_s32(all->powers + out);
    }
    const int32x4_t one = vaddq_s32(on_scale_mve(sums[0], multipliers, powers), y_offset);
    vstrbq_s32(y + out, vminq_s32(vmaxq_s32(one, low), high));
    if (other) {
      const int32x4_t two = vaddq_s32(on_scale_mve(sums[1], multipliers, powers), y_offset);
      vstrbq_s32(y + all->count + out, vminq_s32(vmaxq_s32(two, low), high));
    }
  }
  if (out < all->count) { /* up to three more */
    const mve_pred16_t rest = vctp32q((uint32_t)(all->count - out));
    if (all->per_channel) {
      multipliers = vldrwq_z_s32(all->multipliers + out, rest);
      powers = vldrbq_z_s32(all->powers + out, rest);
    }
    for (; x; x = other, other = 0, y += all->count) {
      int32_t made[4] = {0, 0, 0, 0};
      for (int32_t k = 0; out + k < all->count; ++k) {
        made[k] = dot_mve(x, weights + k * all->size, all->size);
      }
      const int32x4_t sums = vaddq_s32(vldrwq_s32(made), vldrwq_z_s32(all->bias + out, rest));
      const int32x4_t one = vaddq_s32(on_scale_mve(sums, multipliers, powers), y_offset);
      vstrbq_p_s32(y + out, vminq_s32(vmaxq_s32(one, low), high), rest);
    }
  }
}
