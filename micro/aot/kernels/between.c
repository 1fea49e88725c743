/* Where a value lies between two others along an axis, in 1024ths. */
typedef struct {
  int32_t low, high, part;
} neighbors;
static inline neighbors between(int32_t place, int32_t scale, int32_t centered, int32_t length) {
  const int32_t exact = place * scale + (centered ? scale / 2 - 512 : 0);
  const int32_t low = exact / 1024, high = (exact + 1023) / 1024;
  neighbors found;
  found.low = low > 0 ? low : 0;
  found.high = high < length - 1 ? high : length - 1;
  found.part = exact - 1024 * found.low;
  return found;
}
