/* Where a window lies along an axis: the place of its first tap, which is its first tap inside, and which the first past it,
 * not before the first. */
typedef struct {
  int from, first, past;
} window_taps;
static inline window_taps inside(int out, int stride, int pad, int step, int size, int length) {
  const int from = out * stride - pad;
  const int first = from < 0 ? (-from + step - 1) / step : 0;
  const int past = from < length ? (length - 1 - from) / step + 1 : 0;
  window_taps taps;
  taps.from = from;
  taps.first = first < size ? first : size;
  taps.past = past < size ? (past > taps.first ? past : taps.first) : size;
  return taps;
}
