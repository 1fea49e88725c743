/* needs: high_product, divide_by_power, leading_zeros, reciprocal_of_one_plus, clamped */
/* a / b, and a / 1 where b is 0. n: output shape; sa, sb: strides, 0 where a value repeats; p: both offsets, multiplier, power,
 * output offset, lowest and highest output. */
static void divided(const int8_t *a, const int8_t *b, int8_t *y, const int32_t *n, const int32_t *sa, const int32_t *sb,
                    const int32_t *p) {
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        for (int32_t l = 0; l < n[3]; ++l) {
          const int32_t by = b[i * sb[0] + j * sb[1] + k * sb[2] + l * sb[3]] + p[1];
          const int32_t one = (a[i * sa[0] + j * sa[1] + k * sa[2] + l * sa[3]] + p[0]) * (by < 0 ? -1 : 1);
          const int32_t other = by < 0 ? -by : (by > 0 ? by : 1);
          const int32_t shift = leading_zeros(other), room = leading_zeros(one < 0 ? -one - 1 : one) - 1;
          const int32_t inverse = reciprocal_of_one_plus((int32_t)(((uint32_t)other << shift) - 0x80000000u));
          const int32_t ratio = high_product((int32_t)((uint32_t)one << room), inverse);
          const int32_t made = divide_by_power(high_product(ratio, p[2]), 31 - shift + room - p[3]);
          *y++ = clamped(made + p[4], p[5], p[6]);
        }
      }
    }
  }
}
