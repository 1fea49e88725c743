/* needs: high_product, divide_by_power */
/* A term of a sum. p: offset, multiplier and shift. */
static int32_t term(int32_t x, const int32_t *p) {
  return divide_by_power(high_product((x + p[0]) * ((int32_t)1 << 20), p[1]), p[2]);
}
