/* Of `size` taps, `step` apart and the first at `from`, which is the first inside an axis of `length`, and which the first past
 * it: the second is not before the first. */
static int first_inside(int from, int step, int size) {
  const int first = from < 0 ? (-from + step - 1) / step : 0;
  return first < size ? first : size;
}
static int past_inside(int from, int step, int size, int length, int first) {
  const int past = from < length ? (length - 1 - from) / step + 1 : 0;
  return past < size ? (past > first ? past : first) : size;
}
