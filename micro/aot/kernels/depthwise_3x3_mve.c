/* needs: on_scale_mve, inside */
/* Sums of 3x3 products of four channels at four places. Of a channel a word holds three rows of a column, and four bytes on
 * that of the next channel; columns are 64 bytes apart, places 64. weights: 12 bytes a channel, a word for each column. */
static inline void four_neighbors(const int32_t *at, const int8_t *weights, int32x4_t *sums) {
  const uint32x4_t columns = vmulq_n_u32(vidupq_n_u32(0, 1), 64);
  int32x4_t s0, s1, s2, s3, a, b, w;
  int32_t t, none = 0;
  __asm volatile(
      "movw %[t], #0x0fff\n"
      "vmsr p0, %[t]\n"
      "vpst\n"
      "vldrwt.32 %q[w], [%[weights], #0]\n"
      "vldrw.u32 %q[a], [%[at], %q[columns]]\n"
      "add %[t], %[at], #128\n"
      "vmladav.s8 r0, %q[a], %q[w]\n"
      "vldrw.u32 %q[b], [%[t], %q[columns]]\n"
      "vmladav.s8 r4, %q[b], %q[w]\n"
      "vshlc %q[w], %[none], #32\n"
      "vmladav.s8 r2, %q[a], %q[w]\n"
      "vmladav.s8 r6, %q[b], %q[w]\n"
      "vpst\n"
      "vldrwt.32 %q[w], [%[weights], #24]\n"
      "add %[t], %[at], #8\n"
      "vldrw.u32 %q[a], [%[t], %q[columns]]\n"
      "add %[t], %[t], #128\n"
      "vmladav.s8 r8, %q[a], %q[w]\n"
      "vldrw.u32 %q[b], [%[t], %q[columns]]\n"
      "vmladav.s8 r12, %q[b], %q[w]\n"
      "vshlc %q[w], %[none], #32\n"
      "vmladav.s8 r10, %q[a], %q[w]\n"
      "vmladav.s8 lr, %q[b], %q[w]\n"
      "vmov %q[s0][2], %q[s0][0], r0, r8\n"
      "vmov %q[s1][2], %q[s1][0], r2, r10\n"
      "vmov %q[s2][2], %q[s2][0], r4, r12\n"
      "vmov %q[s3][2], %q[s3][0], r6, lr\n"
      "vpst\n"
      "vldrwt.32 %q[w], [%[weights], #12]\n"
      "add %[t], %[at], #4\n"
      "vldrw.u32 %q[a], [%[t], %q[columns]]\n"
      "add %[t], %[t], #128\n"
      "vmladav.s8 r0, %q[a], %q[w]\n"
      "vldrw.u32 %q[b], [%[t], %q[columns]]\n"
      "vmladav.s8 r4, %q[b], %q[w]\n"
      "vshlc %q[w], %[none], #32\n"
      "vmladav.s8 r2, %q[a], %q[w]\n"
      "vmladav.s8 r6, %q[b], %q[w]\n"
      "vpst\n"
      "vldrwt.32 %q[w], [%[weights], #36]\n"
      "add %[t], %[at], #12\n"
      "vldrw.u32 %q[a], [%[t], %q[columns]]\n"
      "add %[t], %[t], #128\n"
      "vmladav.s8 r8, %q[a], %q[w]\n"
      "vldrw.u32 %q[b], [%[t], %q[columns]]\n"
      "vmladav.s8 r12, %q[b], %q[w]\n"
      "vshlc %q[w], %[none], #32\n"
      "vmladav.s8 r10, %q[a], %q[w]\n"
      "vmladav.s8 lr, %q[b], %q[w]\n"
      "vmov %q[s0][3], %q[s0][1], r0, r8\n"
      "vmov %q[s1][3], %q[s1][1], r2, r10\n"
      "vmov %q[s2][3], %q[s2][1], r4, r12\n"
      "vmov %q[s3][3], %q[s3][1], r6, lr\n"
      : [s0] "=&w"(s0), [s1] "=&w"(s1), [s2] "=&w"(s2), [s3] "=&w"(s3), [a] "=&w"(a), [b] "=&w"(b), [w] "=&w"(w),
        [t] "=&r"(t), [none] "+r"(none)
      : [at] "r"(at), [weights] "r"(weights), [columns] "w"(columns)
      : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "cc", "memory");
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

/* The same with places `step` bytes apart. */
static inline void four_apart(const int32_t *at, int32_t step, const int8_t *weights, int32x4_t *sums) {
  const uint32x4_t columns = vmulq_n_u32(vidupq_n_u32(0, 1), 64);
  int32x4_t s0, s1, s2, s3, a, b, w;
  int32_t t;
  __asm volatile(
      "movw %[t], #0x0fff\n"
      "vmsr p0, %[t]\n"
      "vpst\n"
      "vldrwt.32 %q[w], [%[weights], #0]\n"
      "vldrw.u32 %q[a], [%[at], %q[columns]]\n"
      "vmladav.s8 r0, %q[a], %q[w]\n"
      "add %[t], %[at], %[step]\n"
      "vldrw.u32 %q[b], [%[t], %q[columns]]\n"
      "vmladav.s8 r2, %q[b], %q[w]\n"
      "add %[t], %[t], %[step]\n"
      "vldrw.u32 %q[a], [%[t], %q[columns]]\n"
      "vmladav.s8 r4, %q[a], %q[w]\n"
      "add %[t], %[t], %[step]\n"
      "vldrw.u32 %q[b], [%[t], %q[columns]]\n"
      "vmladav.s8 r6, %q[b], %q[w]\n"
      "vpst\n"
      "vldrwt.32 %q[w], [%[weights], #24]\n"
      "add %[t], %[at], #8\n"
      "vldrw.u32 %q[a], [%[t], %q[columns]]\n"
      "vmladav.s8 r8, %q[a], %q[w]\n"
      "add %[t], %[t], %[step]\n"
      "vldrw.u32 %q[b], [%[t], %q[columns]]\n"
      "vmladav.s8 r10, %q[b], %q[w]\n"
      "add %[t], %[t], %[step]\n"
      "vldrw.u32 %q[a], [%[t], %q[columns]]\n"
      "vmladav.s8 r12, %q[a], %q[w]\n"
      "add %[t], %[t], %[step]\n"
      "vldrw.u32 %q[b], [%[t], %q[columns]]\n"
      "vmladav.s8 lr, %q[b], %q[w]\n"
      "vmov %q[s0][2], %q[s0][0], r0, r8\n"
      "vmov %q[s1][2], %q[s1][0], r2, r10\n"
      "vmov %q[s2][2], %q[s2][0], r4, r12\n"
      "vmov %q[s3][2], %q[s3][0], r6, lr\n"
      "vpst\n"
      "vldrwt.32 %q[w], [%[weights], #12]\n"
      "add %[t], %[at], #4\n"
      "vldrw.u32 %q[a], [%[t], %q[columns]]\n"
      "vmladav.s8 r0, %q[a], %q[w]\n"
      "add %[t], %[t], %[step]\n"
      "vldrw.u32 %q[b], [%[t], %q[columns]]\n"
      "vmladav.s8 r2, %q[b], %q[w]\n"
      "add %[t], %[t], %[step]\n"
      "vldrw.u32 %q[a], [%[t], %q[columns]]\n"
      "vmladav.s8 r4, %q[a], %q[w]\n"
      "add %[t], %[t], %[step]\n"
      "vldrw.u32 %q[b], [%[t], %q[columns]]\n"
      "vmladav.s8 r6, %q[b], %q[w]\n"
      "vpst\n"
      "vldrwt.32 %q[w], [%[weights], #36]\n"
      "add %[t], %[at], #12\n"
      "vldrw.u32 %q[a], [%[t], %q[columns]]\n"
      "vmladav.s8 r8, %q[a], %q[w]\n"
      "add %[t], %[t], %[step]\n"
      "vldrw.u32 %q[b], [%[t], %q[columns]]\n"
      "vmladav.s8 r10, %q[b], %q[w]\n"
      "add %[t], %[t], %[step]\n"
      "vldrw.u32 %q[a], [%[t], %q[columns]]\n"
      "vmladav.s8 r12, %q[a], %q[w]\n"
      "add %[t], %[t], %[step]\n"
      "vldrw.u32 %q[b], [%[t], %q[columns]]\n"
      "vmladav.s8 lr, %q[b], %q[w]\n"
      "vmov %q[s0][3], %q[s0][1], r0, r8\n"
      "vmov %q[s1][3], %q[s1][1], r2, r10\n"
      "vmov %q[s2][3], %q[s2][1], r4, r12\n"
      "vmov %q[s3][3], %q[s3][1], r6, lr\n"
      : [s0] "=&w"(s0), [s1] "=&w"(s1), [s2] "=&w"(s2), [s3] "=&w"(s3), [a] "=&w"(a), [b] "=&w"(b), [w] "=&w"(w),
        [t] "=&r"(t)
      : [at] "r"(at), [step] "r"(step), [weights] "r"(weights), [columns] "w"(columns)
      : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "cc", "memory");
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

/* Interleaves three rows of up to 16 channels to words, of which the last byte is any, for `count` columns. from, steps: where
 * the rows begin, and how far apart their columns are. Returns the end of the words. */
static inline int8_t *three_rows(const int8_t *const *from, const int32_t *steps, int32_t channels, int32_t count,
                                 int8_t *to) {
  const int8_t *a = from[0], *b = from[1], *c = from[2];
  __asm volatile(
      "vctp.8 %[channels]\n"
      "wls lr, %[count], 2f\n"
      "1:\n"
      "vpsttt\n"
      "vldrbt.8 q0, [%[a]]\n"
      "vldrbt.8 q1, [%[b]]\n"
      "vldrbt.8 q2, [%[c]]\n"
      "vst40.8 {q0, q1, q2, q3}, [%[to]]\n"
      "vst41.8 {q0, q1, q2, q3}, [%[to]]\n"
      "vst42.8 {q0, q1, q2, q3}, [%[to]]\n"
      "vst43.8 {q0, q1, q2, q3}, [%[to]]!\n"
      "add %[a], %[sa]\n"
      "add %[b], %[sb]\n"
      "add %[c], %[sc]\n"
      "le lr, 1b\n"
      "2:\n"
      : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [to] "+r"(to)
      : [sa] "r"(steps[0]), [sb] "r"(steps[1]), [sc] "r"(steps[2]), [channels] "r"(channels), [count] "r"(count)
      : "q0", "q1", "q2", "q3", "lr", "cc", "memory");
  return to;
}

/* Depthwise convolution with windows of 3x3 for cores with MVE. Of 16 channels at a time, columns of the windows of a row are
 * held as words of three rows, and x_zero where they lie outside the input. weights: of each channel its columns, of three rows
 * and a 0 each, and of up to three more channels; bias: with what the input's zero point adds. */
static void depthwise_3x3_mve(const int8_t *x, const int8_t *weights, const int32_t *bias, int8_t *y, int32_t batches,
                              int32_t x_height, int32_t x_width, int32_t channels, int32_t y_height, int32_t y_width,
                              int32_t s_height, int32_t s_width, int32_t d_height, int32_t d_width, int32_t pad_height,
                              int32_t pad_width, int32_t x_zero, const int32_t *multipliers, const int8_t *powers,
                              int32_t per_channel, int32_t y_offset, int32_t low, int32_t high) {
  enum { COLUMNS = 18 };
  int32_t words[16 * (COLUMNS + 9)]; /* what is computed of columns beyond those held is not stored */
  int8_t zeros[16];
  vstrbq_s8(zeros, vdupq_n_s8((int8_t)x_zero));
  const int32x4_t lowest = vdupq_n_s32(low), highest = vdupq_n_s32(high), offset = vdupq_n_s32(y_offset);
  const int32_t shared = d_width == 1 && s_width < 3, step = shared ? s_width : 3, most = (COLUMNS - 3) / step + 1;
  const int32_t x_row = x_width * channels;
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_row) {
    for (int32_t row = 0; row < y_height; ++row, y += y_width * channels) {
      const window_taps rows = inside(row, s_height, pad_height, d_height, 3, x_height);
      for (int32_t group = 0; group < channels; group += 16) {
        for (int32_t column = 0, places; column < y_width; column += places) {
          places = y_width - column < most ? y_width - column : most;
          const int32_t start = column * s_width - pad_width, held = (places - 1) * step + 3;
          int8_t *to = (int8_t *)words;
          for (int32_t k = 0, many; k < held; k += many) { /* columns before, in and beyond the input */
            const int32_t at = start + (shared ? k : k / 3 * s_width + k % 3 * d_width);
            const int8_t *from[3] = {zeros, zeros, zeros};
            int32_t steps[3] = {0, 0, 0};
            many = !shared ? 1 : at < 0 ? -at : at < x_width ? x_width - at : held;
            many = many < held - k ? many : held - k;
            for (int32_t i = rows.first; i < rows.past && at >= 0 && at < x_width; ++i) {
              from[i] = x + ((rows.from + i * d_height) * x_width + at) * channels + group;
              steps[i] = channels;
            }
            to = three_rows(from, steps, channels - group, many, to);
          }
          for (int32_t channel = group; channel < group + 16 && channel < channels; channel += 4) {
            const mve_pred16_t some = vctp32q((uint32_t)(channels - channel));
            const int32x4_t biases = vldrwq_z_s32(bias + channel, some);
            const int32x4_t multiplier =
                per_channel ? vldrwq_z_s32(multipliers + channel, some) : vdupq_n_s32(multipliers[0]);
            const int32x4_t power = per_channel ? vldrbq_z_s32(powers + channel, some) : vdupq_n_s32(powers[0]);
            int8_t *next = y + column * channels + channel;
            const int32_t *at = words + channel - group;
            for (int32_t place = 0; place < places; place += 4, at += 64 * step) {
              int32x4_t sums[4];
              if (step == 1) {
                four_neighbors(at, weights + 12 * channel, sums);
              } else {
                four_apart(at, 64 * step, weights + 12 * channel, sums);
              }
              for (int32_t i = 0; i < 4 && place + i < places; ++i, next += channels) {
                const int32x4_t value = vaddq_s32(on_scale_mve(vaddq_s32(sums[i], biases), multiplier, power), offset);
                vstrbq_p_s32(next, vminq_s32(vmaxq_s32(value, lowest), highest), some);
              }
            }
          }
        }
      }
    }
  }
}
