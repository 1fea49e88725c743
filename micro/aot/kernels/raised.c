/* x * 2^power, held at the ends of 32 bits. */
static int32_t raised(int32_t x, int32_t power) {
  const int64_t wide = (int64_t)x * ((int64_t)1 << power);
  return wide > INT32_MAX ? INT32_MAX : (wide < INT32_MIN ? INT32_MIN : (int32_t)wide);
}
