/* The largest of `count` values. */
static int32_t largest_of(const int8_t *x, int32_t count) {
  int32_t largest = -128;
  for (int32_t i = 0; i < count; ++i) {
    largest = x[i] > largest ? x[i] : largest;
  }
  return largest;
}
