/* needs: dot_1, scaled, clamped, within_16, sigmoid_16, tanh_16 */
/* LSTM over a sequence, from states of 0. Weights lie by units, then by gates: input, forget, cell, output. The
 * state before a step is the row of y before it; cells are two bytes each. multipliers and powers: of each gate's inputs, of each
 * gate's states, of what of a cell is kept, of what is added to it, and of the output. */
static void lstm(const int8_t *x, int8_t *y, int8_t *cells, const int8_t *kernel, const int8_t *recurrent,
                 const int32_t *bias, const uint16_t *sigmoids, const int32_t *multipliers, const int8_t *powers,
                 int32_t steps, int32_t inputs, int32_t units, int32_t x_offset, int32_t y_zero, int32_t cell_power) {
  const int32_t half = cell_power < 0 ? (int32_t)1 << (-cell_power - 1) : 0;
  for (int32_t step = 0; step < steps; ++step, x += inputs, y += units) {
    for (int32_t unit = 0; unit < units; ++unit) {
      int32_t gates[4], cell = 0;
      if (step > 0) {
        cell = (int32_t)cells[2 * unit] * 256 + cells[2 * unit + 1] + 128;
      }
      for (int32_t gate = 0; gate < 4; ++gate) {
        const int32_t filter = 4 * unit + gate;
        const int32_t sum = dot_1(x, kernel + filter * inputs, inputs, x_offset, bias[filter]);
        const int32_t state = step > 0 ? dot_1(y - units, recurrent + filter * units, units, -y_zero, 0) : 0;
        const int32_t one = within_16(scaled(sum, multipliers[gate], powers[gate]));
        const int32_t both = within_16(one + within_16(scaled(state, multipliers[4 + gate], powers[4 + gate])));
        gates[gate] = gate == 2 ? tanh_16(3 * both, sigmoids) : sigmoid_16(3 * both, sigmoids);
      }
      cell = within_16(scaled(gates[1] * cell, multipliers[8], powers[8]));
      cell = within_16(cell + within_16(scaled(gates[0] * gates[2], multipliers[9], powers[9])));
      cells[2 * unit] = (int8_t)(cell >> 8);
      cells[2 * unit + 1] = (int8_t)((cell & 255) - 128);
      const int32_t fine = cell_power < 0 ? (3 * cell + half) >> -cell_power : 3 * cell * ((int32_t)1 << cell_power);
      const int32_t product = tanh_16(fine, sigmoids) * gates[3];
      y[unit] = clamped(scaled(product, multipliers[10], powers[10]) + y_zero, -128, 127);
    }
  }
}
