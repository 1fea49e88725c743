/* needs: inside */
#include <arm_mve.h>

/* Four channels of a row of outputs. at: words of three rows of a column, channel by channel, columns 64 bytes apart;
 * weights: 12 bytes a channel, a word for each column; to: the outputs, y_step bytes apart; channels: how many of the four
 * there are. The order is that of the offsets in the functions below. */
typedef struct {
  const int32_t *at;
  const int8_t *weights;
  int8_t *to;
  int32_t y_step, places, four_places, channels, place;
  int32_t bias[4], multipliers[4], powers[4], y_offset[4], low[4], high[4];
  uint32_t columns[4];
} quad_3x3;

/* The end of both functions below: the sums of four channels at up to four places are scaled and stored; on to the next. */
#define SCALED_AND_STORED_3X3 \
  "ldr r3, [r11, #20]\n" \
  "vldrw.32 q4, [r11, #32]\n" \
  "vadd.i32 q0, q0, q4\n" \
  "vadd.i32 q1, q1, q4\n" \
  "vadd.i32 q2, q2, q4\n" \
  "vadd.i32 q3, q3, q4\n" \
  "add r1, r3\n" \
  "vldrw.32 q4, [r11, #48]\n" \
  "vqrdmulh.s32 q0, q0, q4\n" \
  "vqrdmulh.s32 q1, q1, q4\n" \
  "vqrdmulh.s32 q2, q2, q4\n" \
  "vqrdmulh.s32 q3, q3, q4\n" \
  "vshr.s32 q5, q0, #31\n" \
  "vadd.i32 q0, q0, q5\n" \
  "vshr.s32 q6, q1, #31\n" \
  "vadd.i32 q1, q1, q6\n" \
  "vshr.s32 q5, q2, #31\n" \
  "vadd.i32 q2, q2, q5\n" \
  "vshr.s32 q6, q3, #31\n" \
  "vadd.i32 q3, q3, q6\n" \
  "vldrw.32 q4, [r11, #64]\n" \
  "vrshl.s32 q0, q0, q4\n" \
  "vrshl.s32 q1, q1, q4\n" \
  "vrshl.s32 q2, q2, q4\n" \
  "vrshl.s32 q3, q3, q4\n" \
  "vldrw.32 q4, [r11, #80]\n" \
  "vadd.i32 q0, q0, q4\n" \
  "vadd.i32 q1, q1, q4\n" \
  "vadd.i32 q2, q2, q4\n" \
  "vadd.i32 q3, q3, q4\n" \
  "ldrd r0, r2, [r11, #8]\n" \
  "vldrw.32 q4, [r11, #96]\n" \
  "vmax.s32 q0, q0, q4\n" \
  "vmax.s32 q1, q1, q4\n" \
  "vmax.s32 q2, q2, q4\n" \
  "vmax.s32 q3, q3, q4\n" \
  "ldr r4, [r11, #16]\n" \
  "ldr r6, [r11, #24]\n" \
  "vldrw.32 q4, [r11, #112]\n" \
  "vmin.s32 q0, q0, q4\n" \
  "vmin.s32 q1, q1, q4\n" \
  "vmin.s32 q2, q2, q4\n" \
  "vmin.s32 q3, q3, q4\n" \
  "vctp.32 r6\n" \
  "vpst\n" \
  "vstrbt.32 q0, [r0]\n" \
  "add r0, r2\n" \
  "cmp r4, #2\n" \
  "blt 2f\n" \
  "vpst\n" \
  "vstrbt.32 q1, [r0]\n" \
  "add r0, r2\n" \
  "beq 2f\n" \
  "vpst\n" \
  "vstrbt.32 q2, [r0]\n" \
  "add r0, r2\n" \
  "cmp r4, #4\n" \
  "blt 2f\n" \
  "vpst\n" \
  "vstrbt.32 q3, [r0]\n" \
  "add r0, r2\n" \
  "2:\n" \
  "str r0, [r11, #8]\n" \
  "subs r4, #4\n" \
  "str r4, [r11, #16]\n" \
  "bgt 1b\n"

/* Outputs at places 64 bytes apart, four at a time: four columns make the windows of two. */
static inline void neighbors_3x3(quad_3x3 *quad) {
  register quad_3x3 *first __asm("r0") = quad; /* in a register that sums take, as compilers may need the others */
  __asm volatile(
      "mov r11, r0\n"
      "ldrd r1, r5, [r11]\n"
      "vldrw.32 q7, [r11, #128]\n"
      "mov r9, #0\n"
      "1:\n"
      "movw r3, #0x0fff\n"
      "vmsr p0, r3\n"
      "vpst\n"
      "vldrbt.8 q6, [r5, #0]\n"
      "vldrw.u32 q4, [r1, q7]\n"
      "add r3, r1, #128\n"
      "vmladav.s8 r0, q4, q6\n"
      "vldrw.u32 q5, [r3, q7]\n"
      "vmladav.s8 r4, q5, q6\n"
      "vshlc q6, r9, #32\n"
      "vmladav.s8 r2, q4, q6\n"
      "vmladav.s8 r6, q5, q6\n"
      "vpst\n"
      "vldrbt.8 q6, [r5, #24]\n"
      "add r3, r1, #8\n"
      "vldrw.u32 q4, [r3, q7]\n"
      "add r3, r3, #128\n"
      "vmladav.s8 r8, q4, q6\n"
      "vldrw.u32 q5, [r3, q7]\n"
      "vmladav.s8 r12, q5, q6\n"
      "vshlc q6, r9, #32\n"
      "vmladav.s8 r10, q4, q6\n"
      "vmladav.s8 lr, q5, q6\n"
      "vmov q0[2], q0[0], r0, r8\n"
      "vmov q1[2], q1[0], r2, r10\n"
      "vmov q2[2], q2[0], r4, r12\n"
      "vmov q3[2], q3[0], r6, lr\n"
      "vpst\n"
      "vldrbt.8 q6, [r5, #12]\n"
      "add r3, r1, #4\n"
      "vldrw.u32 q4, [r3, q7]\n"
      "add r3, r3, #128\n"
      "vmladav.s8 r0, q4, q6\n"
      "vldrw.u32 q5, [r3, q7]\n"
      "vmladav.s8 r4, q5, q6\n"
      "vshlc q6, r9, #32\n"
      "vmladav.s8 r2, q4, q6\n"
      "vmladav.s8 r6, q5, q6\n"
      "vpst\n"
      "vldrbt.8 q6, [r5, #36]\n"
      "add r3, r1, #12\n"
      "vldrw.u32 q4, [r3, q7]\n"
      "add r3, r3, #128\n"
      "vmladav.s8 r8, q4, q6\n"
      "vldrw.u32 q5, [r3, q7]\n"
      "vmladav.s8 r12, q5, q6\n"
      "vshlc q6, r9, #32\n"
      "vmladav.s8 r10, q4, q6\n"
      "vmladav.s8 lr, q5, q6\n"
      "vmov q0[3], q0[1], r0, r8\n"
      "vmov q1[3], q1[1], r2, r10\n"
      "vmov q2[3], q2[1], r4, r12\n"
      "vmov q3[3], q3[1], r6, lr\n"
      SCALED_AND_STORED_3X3
      : "+r"(first)
      :
      : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6",
        "q7", "cc", "memory");
}

/* Outputs at places any distance apart, four at a time. */
static inline void places_3x3(quad_3x3 *quad) {
  register quad_3x3 *first __asm("r0") = quad; /* in a register that sums take, as compilers may need the others */
  __asm volatile(
      "mov r11, r0\n"
      "ldrd r1, r5, [r11]\n"
      "vldrw.32 q7, [r11, #128]\n"
      "ldr r9, [r11, #28]\n"
      "1:\n"
      "movw r3, #0x0fff\n"
      "vmsr p0, r3\n"
      "vpst\n"
      "vldrbt.8 q6, [r5, #0]\n"
      "vldrw.u32 q4, [r1, q7]\n"
      "vmladav.s8 r0, q4, q6\n"
      "add r3, r1, r9\n"
      "vldrw.u32 q5, [r3, q7]\n"
      "vmladav.s8 r2, q5, q6\n"
      "add r3, r3, r9\n"
      "vldrw.u32 q4, [r3, q7]\n"
      "vmladav.s8 r4, q4, q6\n"
      "add r3, r3, r9\n"
      "vldrw.u32 q5, [r3, q7]\n"
      "vmladav.s8 r6, q5, q6\n"
      "vpst\n"
      "vldrbt.8 q6, [r5, #24]\n"
      "add r3, r1, #8\n"
      "vldrw.u32 q4, [r3, q7]\n"
      "vmladav.s8 r8, q4, q6\n"
      "add r3, r3, r9\n"
      "vldrw.u32 q5, [r3, q7]\n"
      "vmladav.s8 r10, q5, q6\n"
      "add r3, r3, r9\n"
      "vldrw.u32 q4, [r3, q7]\n"
      "vmladav.s8 r12, q4, q6\n"
      "add r3, r3, r9\n"
      "vldrw.u32 q5, [r3, q7]\n"
      "vmladav.s8 lr, q5, q6\n"
      "vmov q0[2], q0[0], r0, r8\n"
      "vmov q1[2], q1[0], r2, r10\n"
      "vmov q2[2], q2[0], r4, r12\n"
      "vmov q3[2], q3[0], r6, lr\n"
      "vpst\n"
      "vldrbt.8 q6, [r5, #12]\n"
      "add r3, r1, #4\n"
      "vldrw.u32 q4, [r3, q7]\n"
      "vmladav.s8 r0, q4, q6\n"
      "add r3, r3, r9\n"
      "vldrw.u32 q5, [r3, q7]\n"
      "vmladav.s8 r2, q5, q6\n"
      "add r3, r3, r9\n"
      "vldrw.u32 q4, [r3, q7]\n"
      "vmladav.s8 r4, q4, q6\n"
      "add r3, r3, r9\n"
      "vldrw.u32 q5, [r3, q7]\n"
      "vmladav.s8 r6, q5, q6\n"
      "vpst\n"
      "vldrbt.8 q6, [r5, #36]\n"
      "add r3, r1, #12\n"
      "vldrw.u32 q4, [r3, q7]\n"
      "vmladav.s8 r8, q4, q6\n"
      "add r3, r3, r9\n"
      "vldrw.u32 q5, [r3, q7]\n"
      "vmladav.s8 r10, q5, q6\n"
      "add r3, r3, r9\n"
      "vldrw.u32 q4, [r3, q7]\n"
      "vmladav.s8 r12, q4, q6\n"
      "add r3, r3, r9\n"
      "vldrw.u32 q5, [r3, q7]\n"
      "vmladav.s8 lr, q5, q6\n"
      "vmov q0[3], q0[1], r0, r8\n"
      "vmov q1[3], q1[1], r2, r10\n"
      "vmov q2[3], q2[1], r4, r12\n"
      "vmov q3[3], q3[1], r6, lr\n"
      SCALED_AND_STORED_3X3
      : "+r"(first)
      :
      : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6",
        "q7", "cc", "memory");
}

/* Three rows of a column, of up to 16 channels: where they begin, how far apart their columns are, how many columns there are,
 * and where their words go. The order is that of the offsets below. */
typedef struct {
  const int8_t *from[3];
  int32_t steps[3], channels, count;
  int8_t *to;
} rows_3x3;

/* Interleaves the rows to words, of which the last byte is any; `to` is then the end of the words. */
static inline void three_rows(rows_3x3 *rows) {
  register rows_3x3 *first __asm("r0") = rows;
  __asm volatile(
      "ldrd r1, r2, [r0]\n"
      "ldrd r3, r4, [r0, #8]\n"
      "ldrd r5, r6, [r0, #16]\n"
      "ldrd r8, r9, [r0, #24]\n"
      "ldr r12, [r0, #32]\n"
      "vctp.8 r8\n"
      "wls lr, r9, 2f\n"
      "1:\n"
      "vpsttt\n"
      "vldrbt.8 q0, [r1]\n"
      "vldrbt.8 q1, [r2]\n"
      "vldrbt.8 q2, [r3]\n"
      "vst40.8 {q0, q1, q2, q3}, [r12]\n"
      "vst41.8 {q0, q1, q2, q3}, [r12]\n"
      "vst42.8 {q0, q1, q2, q3}, [r12]\n"
      "vst43.8 {q0, q1, q2, q3}, [r12]!\n"
      "add r1, r4\n"
      "add r2, r5\n"
      "add r3, r6\n"
      "le lr, 1b\n"
      "2:\n"
      "str r12, [r0, #32]\n"
      : "+r"(first)
      :
      : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r12", "lr", "q0", "q1", "q2", "q3", "cc", "memory");
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
  quad_3x3 quad;
  vstrbq_s8(zeros, vdupq_n_s8((int8_t)x_zero));
  vstrwq_u32(quad.columns, vmulq_n_u32(vidupq_n_u32(0, 1), 64));
  vstrwq_s32(quad.y_offset, vdupq_n_s32(y_offset));
  vstrwq_s32(quad.low, vdupq_n_s32(low));
  vstrwq_s32(quad.high, vdupq_n_s32(high));
  const int32_t shared = d_width == 1 && s_width < 3, step = shared ? s_width : 3, most = (COLUMNS - 3) / step + 1;
  const int32_t x_row = x_width * channels;
  quad.y_step = channels;
  quad.place = 64 * step;
  quad.four_places = 256 * step;
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_row) {
    for (int32_t row = 0; row < y_height; ++row, y += y_width * channels) {
      const window_taps rows = inside(row, s_height, pad_height, d_height, 3, x_height);
      for (int32_t group = 0; group < channels; group += 16) {
        for (int32_t column = 0, places; column < y_width; column += places) {
          places = y_width - column < most ? y_width - column : most;
          const int32_t start = column * s_width - pad_width, held = (places - 1) * step + 3;
          rows_3x3 held_rows;
          held_rows.channels = channels - group;
          held_rows.to = (int8_t *)words;
          for (int32_t k = 0, many; k < held; k += many) { /* columns before, in and beyond the input */
            const int32_t at = start + (shared ? k : k / 3 * s_width + k % 3 * d_width);
            for (int32_t i = 0; i < 3; ++i) {
              held_rows.from[i] = zeros;
              held_rows.steps[i] = 0;
            }
            many = !shared ? 1 : at < 0 ? -at : at < x_width ? x_width - at : held;
            many = many < held - k ? many : held - k;
            if (at >= 0 && at < x_width) {
              for (int32_t i = rows.first; i < rows.past; ++i) {
                held_rows.from[i] = x + ((rows.from + i * d_height) * x_width + at) * channels + group;
                held_rows.steps[i] = channels;
              }
            }
            held_rows.count = many;
            three_rows(&held_rows);
          }
          for (int32_t channel = group; channel < group + 16 && channel < channels; channel += 4) {
            int32_t left = channels - channel;
            __asm volatile("" : "+r"(left)); /* The predicate is made after all that writes its register. */
            const mve_pred16_t some = vctp32q((uint32_t)left);
            vstrwq_s32(quad.bias, vldrwq_z_s32(bias + channel, some));
            if (per_channel != 0) {
              vstrwq_s32(quad.multipliers, vldrwq_z_s32(multipliers + channel, some));
              vstrwq_s32(quad.powers, vldrbq_z_s32(powers + channel, some));
            } else {
              vstrwq_s32(quad.multipliers, vdupq_n_s32(multipliers[0]));
              vstrwq_s32(quad.powers, vdupq_n_s32(powers[0]));
            }
            quad.at = words + channel - group;
            quad.weights = weights + 12 * channel;
            quad.to = y + column * channels + channel;
            quad.places = places;
            quad.channels = left;
            if (step == 1) {
              neighbors_3x3(&quad);
            } else {
              places_3x3(&quad);
            }
          }
        }
      }
    }
  }
}
