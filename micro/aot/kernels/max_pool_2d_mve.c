/* needs: inside */
#include <arm_mve.h>

/* max_pool_2d for cores with MVE. */
static void max_pool_2d_mve(const int8_t *x, int8_t *y, int32_t batches, int32_t x_height, int32_t x_width,
                            int32_t channels, int32_t height, int32_t width, int32_t y_height, int32_t y_width,
                            int32_t s_height, int32_t s_width, int32_t pad_height, int32_t pad_width, int32_t low,
                            int32_t high) {
  const int8x16_t lowest = vdupq_n_s8((int8_t)low), highest = vdupq_n_s8((int8_t)high);
  for (int32_t batch = 0; batch < batches; ++batch, x += x_height * x_width * channels) {
    for (int32_t row = 0; row < y_height; ++row) {
      const window_taps rows = inside(row, s_height, pad_height, 1, height, x_height);
      for (int32_t column = 0; column < y_width; ++column, y += channels) {
        const window_taps columns = inside(column, s_width, pad_width, 1, width, x_width);
        const int32_t start = ((rows.from + rows.first) * x_width + columns.from + columns.first) * channels;
        for (int32_t channel = 0; channel < channels; channel += 16) {
          const mve_pred16_t there = vctp8q((uint32_t)(channels - channel));
          const int8_t *from = x + start + channel;
          int8x16_t value = lowest;
          for (int32_t i = rows.first; i < rows.past; ++i, from += x_width * channels) {
            const int8_t *tap = from;
            for (int32_t j = columns.first; j < columns.past; ++j, tap += channels) {
              value = vmaxq_s8(value, vldrbq_z_s8(tap, there));
            }
          }
          vstrbq_p_s8(y + channel, vminq_s8(value, highest), there);
        }
      }
    }
  }
}
