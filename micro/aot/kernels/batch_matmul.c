/* needs: scaled, clamped */
/* Matrix products. n: two batch axes, rows, columns, depth; sa, sb: strides of a and b along these; p: offsets of a and b,
 * multiplier, power, output offset. */
static void batch_matmul(const int8_t *a, const int8_t *b, int8_t *y, const int32_t *n, const int32_t *sa, const int32_t *sb,
                         const int32_t *p) {
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          const int8_t *one = a + i * sa[0] + j * sa[1] + k * sa[2] + l * sa[3];
          const int8_t *other = b + i * sb[0] + j * sb[1] + k * sb[2] + l * sb[3];
          int32_t sum = 0;
          for (int32_t m = 0; m < n[4]; ++m) {
            sum += (one[m * sa[4]] + p[0]) * (other[m * sb[4]] + p[1]);
          }
          *y++ = clamped(scaled(sum, p[2], p[3]) + p[4], -128, 127);
        }
      }
    }
  }
}
