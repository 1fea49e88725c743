/* A window along one axis. from: position of its first tap in the input; first, past: the range of taps inside the input. */
typedef struct {
  int32_t from, first, past;
} window_taps;
static inline window_taps inside(int32_t out, int32_t stride, int32_t pad, int32_t step, int32_t size, int32_t length) {
  const int32_t from = out * stride - pad;
  const int32_t first = from < 0 ? (-from + step - 1) / step : 0;
  const int32_t past = from < length ? (length - 1 - from) / step + 1 : 0;
  window_taps taps;
  taps.from = from;
  taps.first = first < size ? first : size;
  taps.past = past < size ? (past > taps.first ? past : taps.first) : size;
  return taps;
}
