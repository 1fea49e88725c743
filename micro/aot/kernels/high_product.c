/* (a * b) / 2^31, rounded to the nearest, halves up. */
static int32_t high_product(int32_t a, int32_t b) {
  const int64_t product = (int64_t)a * b;
  const int64_t nudge = product >= 0 ? ((int64_t)1 << 30) : 1 - ((int64_t)1 << 30);
  if (a == INT32_MIN && b == INT32_MIN) {
    return INT32_MAX;
  }
  return (int32_t)((product + nudge) / ((int64_t)1 << 31));
}
