/* a + b; what does not fit 32 bits wraps, as it does in TFLite's kernels on every chip. */
static inline int32_t plus(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
