/* needs: high_product */
/* high_product for a below 2^30. */
static inline int32_t rounded_product(int32_t a, int32_t b) {
#if defined(__ARM_FEATURE_DSP)
  int32_t product;
  __asm("smmulr %0, %1, %2" : "=r"(product) : "r"(a * 2), "r"(b));
  return product;
#else
  return high_product(a, b);
#endif
}
