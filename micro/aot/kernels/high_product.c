/* (a * b) / 2^31, rounded to nearest, ties up; a and b must not both be INT32_MIN. */
static int32_t high_product(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}
