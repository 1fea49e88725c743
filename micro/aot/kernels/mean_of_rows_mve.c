/* needs: scaled, clamped */
#include <arm_mve.h>

/* mean for cores with MVE, over `count` values next to each other. */
static void mean_of_rows_mve(const int8_t *x, int8_t *y, int32_t rows, int32_t count, int32_t x_offset_total,
                             int32_t multiplier, int32_t power, int32_t y_offset) {
  for (int32_t row = 0; row < rows; ++row, x += count) {
    int32_t sum = x_offset_total;
    for (int32_t i = 0; i < count; i += 16) {
      sum = vaddvaq_s8(sum, vldrbq_z_s8(x + i, vctp8q((uint32_t)(count - i))));
    }
    y[row] = clamped(scaled(sum, multiplier, power) + y_offset, -128, 127);
  }
}
