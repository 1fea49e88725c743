/* needs: scaled, within_16, tanh_16 */
/* What a unit of an LSTM gives, on the scale of the output; its cell, two bytes, is set from `cell` on. gates: what they let
 * through. Of multipliers and powers the last three are taken. */
static inline int32_t lstm_output(const int32_t *gates, int8_t *own, int32_t cell, const uint16_t *sigmoids,
                                  const int32_t *multipliers, const int8_t *powers, int32_t cell_power, int32_t low,
                                  int32_t high) {
  const int32_t half = cell_power < 0 ? (int32_t)1 << (-cell_power - 1) : 0;
  cell = within_16(scaled(gates[1] * cell, multipliers[8], powers[8]));
  cell = within_16(cell + within_16(scaled(gates[0] * gates[2], multipliers[9], powers[9])));
  cell = cell < low ? low : (cell > high ? high : cell);
  own[0] = (int8_t)(cell >> 8);
  own[1] = (int8_t)((cell & 127) - (cell & 128));
  const int32_t fine = cell_power < 0 ? (3 * cell + half) >> -cell_power : 3 * cell * ((int32_t)1 << cell_power);
  return scaled(tanh_16(fine, sigmoids) * gates[3], multipliers[10], powers[10]);
}
