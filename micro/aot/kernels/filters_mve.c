/* needs: on_scale_mve */
/* A layer's filters and where the next ones' outputs go. weights: of each four filters, for each 16 inputs, 16 weights of each
 * of the four, with the last inputs, fewer than 16, likewise; then the other filters one by one. bias: with what the input's
 * zero point adds. powers: below 0. Bytes between multipliers and between powers are 0 where all filters have the same. The
 * order is that of the offsets in four_at_two and four_at_one. */
typedef struct {
  const int8_t *x, *other;
  int32_t size;
  const int32_t *bias, *multipliers;
  const int8_t *powers;
  int8_t *y, *y_other, *end;
  int32_t multiplier_step, power_step;
  const int8_t *weights;
  int32_t y_offset, low, high, count;
} filters_mve;

/* A layer's filters. Without per_channel all have the first multiplier and power, which the last two arguments then hold. */
static inline filters_mve layer_of(const int8_t *weights, const int32_t *bias, const int32_t *multipliers,
                                   const int8_t *powers, int32_t per_channel, int32_t size, int32_t count,
                                   int32_t y_offset, int32_t low, int32_t high, int32_t *same_multipliers,
                                   int8_t *same_powers) {
  filters_mve layer;
  layer.x = layer.other = 0;
  layer.size = size;
  layer.bias = bias;
  layer.multipliers = per_channel ? multipliers : same_multipliers;
  layer.powers = per_channel ? powers : same_powers;
  layer.y = layer.y_other = layer.end = 0;
  layer.multiplier_step = per_channel ? 16 : 0;
  layer.power_step = per_channel ? 4 : 0;
  layer.weights = weights;
  layer.y_offset = y_offset;
  layer.low = low;
  layer.high = high;
  layer.count = count;
  for (int32_t k = 0; k < 4; ++k) {
    same_multipliers[k] = multipliers[0];
    same_powers[k] = powers[0];
  }
  return layer;
}

/* Outputs of filters at two places, four filters at a time. The eight sums are in all registers that vmladava takes. */
static inline void four_at_two(filters_mve *f) {
  register filters_mve *first __asm("r0") = f; /* in a register that sums take, as compilers may need the others */
  __asm volatile(
      "mov r11, r0\n"
      "ldr r5, [r11, #44]\n"
      "ldrd r0, r2, [r11, #48]\n"
      "ldr r4, [r11, #56]\n"
      "vdup.32 q4, r0\n"
      "vdup.32 q5, r2\n"
      "vdup.32 q6, r4\n"
      "1:\n"
      "ldrd r1, r3, [r11]\n"
      "ldrd r9, lr, [r11, #8]\n"
      "ldrd r0, r4, [lr], #8\n"
      "ldrd r8, r12, [lr], #8\n"
      "str lr, [r11, #12]\n"
      "mov r2, r0\n"
      "mov r6, r4\n"
      "mov r10, r8\n"
      "mov lr, r12\n"
      "subs r9, #16\n"
      "blt 3f\n"
      "2:\n"
      "vldrb.8 q0, [r1], #16\n"
      "vldrb.8 q2, [r5], #16\n"
      "vmladava.s8 r0, q0, q2\n"
      "vldrb.8 q1, [r3], #16\n"
      "vmladava.s8 r2, q1, q2\n"
      "vldrb.8 q3, [r5], #16\n"
      "vmladava.s8 r4, q0, q3\n"
      "vldrb.8 q2, [r5], #16\n"
      "vmladava.s8 r6, q1, q3\n"
      "vldrb.8 q3, [r5], #16\n"
      "vmladava.s8 r8, q0, q2\n"
      "subs r9, #16\n"
      "vmladava.s8 r10, q1, q2\n"
      "vmladava.s8 r12, q0, q3\n"
      "vmladava.s8 lr, q1, q3\n"
      "bge 2b\n"
      "3:\n"
      "adds r9, #16\n"
      "beq 4f\n"
      "vctp.8 r9\n"
      "vpsttt\n"
      "vldrbt.8 q0, [r1]\n"
      "vldrbt.8 q1, [r3]\n"
      "vldrbt.8 q2, [r5]\n"
      "add r1, r5, r9\n"
      "add r3, r1, r9\n"
      "add r5, r3, r9\n"
      "vmladava.s8 r0, q0, q2\n"
      "vmladava.s8 r2, q1, q2\n"
      "vpstt\n"
      "vldrbt.8 q3, [r1]\n"
      "vldrbt.8 q2, [r3]\n"
      "vmladava.s8 r4, q0, q3\n"
      "vmladava.s8 r6, q1, q3\n"
      "vpst\n"
      "vldrbt.8 q3, [r5]\n"
      "add r5, r9\n"
      "vmladava.s8 r8, q0, q2\n"
      "vmladava.s8 r10, q1, q2\n"
      "vmladava.s8 r12, q0, q3\n"
      "vmladava.s8 lr, q1, q3\n"
      "4:\n"
      "ldrd r1, r3, [r11, #16]\n"
      "vmov q0[2], q0[0], r0, r8\n"
      "vmov q0[3], q0[1], r4, r12\n"
      "vldrw.32 q2, [r1]\n"
      "vmov q1[2], q1[0], r2, r10\n"
      "vmov q1[3], q1[1], r6, lr\n"
      "ldrd r0, r2, [r11, #36]\n"
      "ldrd r4, r6, [r11, #24]\n"
      "vqrdmulh.s32 q0, q0, q2\n"
      "vldrb.s32 q3, [r3]\n"
      "vqrdmulh.s32 q1, q1, q2\n"
      "add r1, r0\n"
      "add r3, r2\n"
      "vshr.s32 q2, q0, #31\n"
      "vadd.i32 q0, q0, q2\n"
      "strd r1, r3, [r11, #16]\n"
      "vshr.s32 q2, q1, #31\n"
      "vadd.i32 q1, q1, q2\n"
      "vrshl.s32 q0, q0, q3\n"
      "vrshl.s32 q1, q1, q3\n"
      "vadd.i32 q0, q0, q4\n"
      "vadd.i32 q1, q1, q4\n"
      "vmax.s32 q0, q0, q5\n"
      "vmax.s32 q1, q1, q5\n"
      "vmin.s32 q0, q0, q6\n"
      "vmin.s32 q1, q1, q6\n"
      "ldr r0, [r11, #32]\n"
      "vstrb.32 q0, [r4], #4\n"
      "vstrb.32 q1, [r6], #4\n"
      "strd r4, r6, [r11, #24]\n"
      "cmp r4, r0\n"
      "bne 1b\n"
      "str r5, [r11, #44]\n"
      : "+r"(first)
      :
      : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "r11", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6",
        "cc", "memory");
}

/* The same at one place. */
static inline void four_at_one(filters_mve *f) {
  register filters_mve *first __asm("r0") = f; /* in a register that sums take, as compilers may need the others */
  __asm volatile(
      "mov r11, r0\n"
      "ldr r5, [r11, #44]\n"
      "ldrd r0, r2, [r11, #48]\n"
      "ldr r4, [r11, #56]\n"
      "vdup.32 q4, r0\n"
      "vdup.32 q5, r2\n"
      "vdup.32 q6, r4\n"
      "1:\n"
      "ldrd r9, r8, [r11, #8]\n"
      "ldr r1, [r11]\n"
      "ldrd r0, r2, [r8], #8\n"
      "ldrd r4, r6, [r8], #8\n"
      "str r8, [r11, #12]\n"
      "lsr r8, r9, #4\n"
      "wls lr, r8, 3f\n"
      "2:\n"
      "vldrb.8 q0, [r1], #16\n"
      "vldrb.8 q2, [r5], #16\n"
      "vmladava.s8 r0, q0, q2\n"
      "vldrb.8 q3, [r5], #16\n"
      "vmladava.s8 r2, q0, q3\n"
      "vldrb.8 q2, [r5], #16\n"
      "vmladava.s8 r4, q0, q2\n"
      "vldrb.8 q3, [r5], #16\n"
      "vmladava.s8 r6, q0, q3\n"
      "le lr, 2b\n"
      "3:\n"
      "ands r9, #15\n"
      "beq 4f\n"
      "vctp.8 r9\n"
      "vpstt\n"
      "vldrbt.8 q0, [r1]\n"
      "vldrbt.8 q2, [r5]\n"
      "add r1, r5, r9\n"
      "add r3, r1, r9\n"
      "add r5, r3, r9\n"
      "vmladava.s8 r0, q0, q2\n"
      "vpsttt\n"
      "vldrbt.8 q3, [r1]\n"
      "vldrbt.8 q2, [r3]\n"
      "vldrbt.8 q1, [r5]\n"
      "add r5, r9\n"
      "vmladava.s8 r2, q0, q3\n"
      "vmladava.s8 r4, q0, q2\n"
      "vmladava.s8 r6, q0, q1\n"
      "4:\n"
      "ldrd r1, r3, [r11, #16]\n"
      "vmov q0[2], q0[0], r0, r4\n"
      "vmov q0[3], q0[1], r2, r6\n"
      "ldrd r0, r2, [r11, #36]\n"
      "vldrw.32 q2, [r1]\n"
      "vldrb.s32 q3, [r3]\n"
      "add r1, r0\n"
      "add r3, r2\n"
      "vqrdmulh.s32 q0, q0, q2\n"
      "strd r1, r3, [r11, #16]\n"
      "vshr.s32 q2, q0, #31\n"
      "vadd.i32 q0, q0, q2\n"
      "ldr r4, [r11, #24]\n"
      "vrshl.s32 q0, q0, q3\n"
      "ldr r0, [r11, #32]\n"
      "vadd.i32 q0, q0, q4\n"
      "vmax.s32 q0, q0, q5\n"
      "vmin.s32 q0, q0, q6\n"
      "vstrb.32 q0, [r4], #4\n"
      "str r4, [r11, #24]\n"
      "cmp r4, r0\n"
      "bne 1b\n"
      "str r5, [r11, #44]\n"
      : "+r"(first)
      :
      : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r11", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "cc", "memory");
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

/* Outputs of all filters of a layer at one place, or at two: at `other` if it is not 0. */
static inline void filters_at(const filters_mve *layer, const int8_t *x, const int8_t *other, int8_t *y) {
  filters_mve f = *layer;
  f.x = x;
  f.other = other;
  f.y = y;
  f.y_other = y + f.count;
  f.end = y + (f.count & ~3);
  if (f.y == f.end) {
    /* fewer than four */
  } else if (other != 0) {
    four_at_two(&f);
  } else {
    four_at_one(&f);
  }
  for (const int8_t *at = x, *next = other; (f.count & 3) != 0 && at != 0; at = next, next = 0) { /* up to three more */
    int32_t made[4] = {0, 0, 0, 0}, left = f.count & 3;
    for (int32_t k = 0; k < left; ++k) {
      made[k] = dot_mve(at, f.weights + k * f.size, f.size);
    }
    __asm volatile("" : "+r"(left)); /* The predicate is made after all that writes its register. */
    const mve_pred16_t there = vctp32q((uint32_t)left);
    const int32x4_t multipliers = vldrwq_z_s32(f.multipliers, there), powers = vldrbq_z_s32(f.powers, there);
    const int32x4_t sums = vaddq_s32(vldrwq_s32(made), vldrwq_z_s32(f.bias, there));
    const int32x4_t value = vaddq_n_s32(on_scale_mve(sums, multipliers, powers), f.y_offset);
    vstrbq_p_s32(f.end, vminq_s32(vmaxq_s32(value, vdupq_n_s32(f.low)), vdupq_n_s32(f.high)), there);
    f.end += f.count;
  }
}
