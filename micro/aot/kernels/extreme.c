/* The largest (or smallest) value over some axes. n, over, stride: see mean. */
static void extreme(const int8_t *x, int8_t *y, const int32_t *n, const int32_t *over, const int32_t *stride,
                    int32_t largest) {
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          const int8_t *from = x + i * stride[0] + j * stride[1] + k * stride[2] + l * stride[3];
          int8_t best = *from;
          for (int32_t a = 0; a < over[0]; ++a) {
            for (int32_t b = 0; b < over[1]; ++b) {
              for (int32_t c = 0; c < over[2]; ++c) {
                for (int32_t d = 0; d < over[3]; ++d) {
                  const int8_t one = from[a * stride[0] + b * stride[1] + c * stride[2] + d * stride[3]];
                  best = (one > best) == (largest != 0) ? one : best;
                }
              }
            }
          }
          *y++ = best;
        }
      }
    }
  }
}
