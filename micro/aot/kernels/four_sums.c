/* needs: dot_4, dot_1 */
/* Sums of products of inputs and the weights of four filters: in pairs as in dot_4, or one filter after the other. */
static void four_sums(const int8_t *x, const int16_t *pairs, const int8_t *singles, int32_t depth, int32_t x_offset,
                      int32_t *sums) {
  int32_t made[4];
  sums[0] = sums[1] = sums[2] = sums[3] = made[0] = made[1] = made[2] = made[3] = 0;
  if (pairs != 0) {
    for (int32_t at = 0; at < depth; at += 252) {
      dot_4(x + at, pairs + 2 * at, depth - at < 252 ? depth - at : 252, x_offset, made);
      unpacked(made, sums);
    }
  } else {
    for (int32_t i = 0; i < 4; ++i) {
      sums[i] = dot_1(x, singles + i * depth, depth, x_offset, 0);
    }
  }
}
