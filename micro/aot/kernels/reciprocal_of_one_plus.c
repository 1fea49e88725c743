/* needs: high_product */
/* 1 / (1 + a) for a in [0, 1), both as 31-bit fractions: three steps of Newton's method. */
static int32_t reciprocal_of_one_plus(int32_t a) {
  const int64_t sum = (int64_t)a + INT32_MAX;
  const int32_t half = (int32_t)((sum + (sum >= 0 ? 1 : -1)) / 2);
  int32_t x = 1515870810 + high_product(half, -1010580540);
  for (int32_t round = 0; round < 3; ++round) {
    const int32_t rest = ((int32_t)1 << 29) - high_product(half, x);
    const int32_t step = high_product(x, rest);
    x += step > (INT32_MAX >> 2) ? INT32_MAX : (step < (INT32_MIN >> 2) ? INT32_MIN : step * 4);
  }
  return x > (INT32_MAX >> 1) ? INT32_MAX : x * 2;
}
