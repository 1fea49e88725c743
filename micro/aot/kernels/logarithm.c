/* needs: high_product, divide_by_power, raised, leading_zeros, reciprocal_of_one_plus */
/* The natural logarithm, with 5 integer bits, of x >= 1 with 12 integer bits. Scales x to r in about [0.7, 1.2], its power of two
 * by two roundings of which the larger counts, and takes a rational approximation there. */
static int32_t logarithm(int32_t x) {
  const int32_t sqrt_half = 1518500250, fourth_root_of_half = 1805811301, quarter = (int32_t)1 << 23;
  const int32_t zeros = leading_zeros(x), others = leading_zeros(high_product(x, sqrt_half)) - 1;
  const int32_t r_a = raised(high_product(raised(x, zeros - 1), sqrt_half), 1), r_b = raised(x, others);
  const int32_t power_a = raised(12 - zeros, 25) + quarter, power_b = raised(12 - others, 25) - quarter;
  const int32_t r = r_a < r_b ? r_a : r_b, power = power_a > power_b ? power_a : power_b;
  const int32_t p = (int32_t)(((int64_t)r + fourth_root_of_half + 1) / 2), q = 2 * (r - fourth_root_of_half);
  const int32_t square = high_product(q, q);
  const int32_t above = high_product(q, r) + high_product(high_product(q, square), 117049297);
  const int32_t below =
      high_product(p, 1057819769 + q + high_product(127690142, square)) + high_product(638450708, q);
  const int32_t rest = high_product(divide_by_power(above, 6), reciprocal_of_one_plus(below));
  return raised(high_product(power, 1488522236) + rest, 1);
}
