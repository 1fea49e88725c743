/* needs: high_product, divide_by_power */
/* x * multiplier / 2^31 * 2^power, rounded twice, as TFLite does. */
static int32_t scaled(int32_t x, int32_t multiplier, int32_t power) {
  const int32_t up = power > 0 ? power : 0;
  const int32_t shifted = (int32_t)((uint32_t)x << up);
  return divide_by_power(high_product(shifted, multiplier), up - power);
}
