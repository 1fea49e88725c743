/* needs: inside */
#include <arm_mve.h>

/* Sums divided by `count`, rounded to the nearest, ties away from zero. inverse: 2^32 / count rounded up, or 0 for a count
 * of 1. */
static inline int32x4_t quotients(int32x4_t sums, int32_t count, uint32_t inverse) {
  if (inverse == 0u) {
    return sums;
  }
  const uint32x4_t size = vreinterpretq_u32_s32(vaddq_n_s32(vabsq_s32(sums), count / 2));
  const int32x4_t quotient = vreinterpretq_s32_u32(vmulhq_u32(size, vdupq_n_u32(inverse)));
  return vnegq_m_s32(quotient, quotient, vcmpltq_n_s32(sums, 0));
}

/* average_pool_2d for cores with MVE and windows of up to 255 taps, whose sums fit 16 bits. */
static void average_pool_2d_mve(const int8_t *x, int8_t *y, int32_t batches, int32_t x_height, int32_t x_width,
                                int32_t channels, int32_t height, int32_t width, int32_t y_height, int32_t y_width,
                                int32_t s_height, int32_t s_width, int32_t pad_height, int32_t pad_width, int32_t low,
                                int32_t high) {
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      const window_taps rows = inside(row, s_height, pad_height, 1, height, x_height);
      for (int32_t column = 0; column < y_width; ++column, y += channels) {
        const window_taps columns = inside(column, s_width, pad_width, 1, width, x_width);
        const int32_t down = rows.past - rows.first, across = columns.past - columns.first, count = down * across;
        const uint32_t inverse = count > 1 ? UINT32_MAX / (uint32_t)count + 1u : 0u;
        const int32_t start = ((rows.from + rows.first) * x_width + columns.from + columns.first) * channels;
        for (int32_t channel = 0; channel < channels; channel += 8) {
          const mve_pred16_t there = vctp16q((uint32_t)(channels - channel));
          const int8_t *from = x + start + channel;
          int16x8_t sums = vdupq_n_s16(0);
          for (int32_t i = down; i > 0; --i, from += (x_width - across) * channels) {
            for (int32_t j = across; j > 0; --j, from += channels) {
              sums = vaddq_s16(sums, vldrbq_z_s16(from, there));
            }
          }
          const int32x4_t even = quotients(vmovlbq_s16(sums), count, inverse);
          const int32x4_t odd = quotients(vmovltq_s16(sums), count, inverse);
          int16x8_t values = vmovntq_s32(vmovnbq_s32(sums, even), odd);
          values = vminq_s16(vmaxq_s16(values, vdupq_n_s16((int16_t)low)), vdupq_n_s16((int16_t)high));
          vstrbq_p_s16(y + channel, values, there);
        }
      }
    }
  }
}
