/* How many of the highest bits of x are 0. */
static int32_t leading_zeros(int32_t x) {
  int32_t count = 0;
  while (count < 32 && !(((uint32_t)x << count) & 0x80000000u)) {
    ++count;
  }
  return count;
}
