/* needs: four_sums, scaled, clamped, within_16, of_two_bytes, sigmoid_16, tanh_16, lstm_output */
/* LSTM over a sequence. Weights lie by units, the gates of a unit are four filters: input, forget, cell, output. hidden
 * and cells are the states from the inference before; without hidden a sequence starts from states of 0. Cells are two
 * bytes each. Of y all rows are kept, or two by turns. multipliers and powers: of each gate's inputs, of each gate's states,
 * of what of a cell is kept, of what is added to it, and of the output. */
static void lstm(const int8_t *x, int8_t *y, int8_t *hidden, int8_t *cells, const int16_t *kernel_pairs,
                 const int8_t *kernel, const int16_t *recurrent_pairs, const int8_t *recurrent, const int32_t *bias,
                 const uint16_t *sigmoids, const int32_t *multipliers, const int8_t *powers, int32_t steps, int32_t inputs,
                 int32_t units, int32_t x_offset, int32_t y_zero, int32_t cell_power, int32_t low, int32_t high,
                 int32_t by_turns) {
  const int8_t *before = hidden;
  for (int32_t step = 0; step < steps; ++step, x += inputs) {
    int8_t *const now = y + (by_turns ? step & 1 : step) * units;
    for (int32_t unit = 0; unit < units; ++unit) {
      const int32_t filter = 4 * unit;
      int32_t sums[4], states[4] = {0, 0, 0, 0}, gates[4], cell = 0;
      four_sums(x, kernel_pairs ? kernel_pairs + filter / 2 * inputs : 0, kernel ? kernel + filter * inputs : 0, inputs,
                x_offset, sums);
      if (before != 0) {
        cell = of_two_bytes(cells + 2 * unit);
        four_sums(before, recurrent_pairs ? recurrent_pairs + filter / 2 * units : 0,
                  recurrent ? recurrent + filter * units : 0, units, -y_zero, states);
      }
      for (int32_t gate = 0; gate < 4; ++gate) {
        const int32_t one = within_16(scaled(sums[gate] + bias[filter + gate], multipliers[gate], powers[gate]));
        const int32_t both = within_16(one + within_16(scaled(states[gate], multipliers[4 + gate], powers[4 + gate])));
        gates[gate] = gate == 2 ? tanh_16(3 * both, sigmoids) : sigmoid_16(3 * both, sigmoids);
      }
      now[unit] = clamped(y_zero + lstm_output(gates, cells + 2 * unit, cell, sigmoids, multipliers, powers, cell_power, low,
                                               high), -128, 127);
    }
    before = now;
  }
  for (int32_t unit = 0; hidden && unit < units; ++unit) {
    hidden[unit] = before[unit];
  }
}
