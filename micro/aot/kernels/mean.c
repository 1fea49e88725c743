/* needs: scaled, clamped */
/* Mean over some axes. n: sizes of the axes that stay, 1 for the others; over: sizes of the averaged axes, 1 for the others. */
static void mean(const int8_t *x, int8_t *y, const int32_t *n, const int32_t *over, const int32_t *stride,
                 int32_t x_offset_total, int32_t multiplier, int32_t power, int32_t y_offset) {
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          const int8_t *from = x + i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3];
          int32_t sum = x_offset_total;
          for (int32_t a = 0; a < over[0]; ++a) {
            for (int32_t b = 0; b < over[1]; ++b) {
              for (int32_t c = 0; c < over[2]; ++c) {
                for (int32_t d = 0; d < over[3]; ++d) {
                  sum += from[a * stride[0] + b * stride[1] + c * stride[2] + d * stride[3]];
                }
              }
            }
          }
          *y++ = clamped(scaled(sum, multiplier, power) + y_offset, -128, 127);
        }
      }
    }
  }
}
