/* needs: scaled_64, clamped_16, within_16, of_two_bytes, sigmoid_16, tanh_16, lstm_output */
/* The sum of products of n 16-bit values and weights; 256 of them fit 32 bits. */
static inline int64_t dot_16(const int16_t *x, const int8_t *weights, int32_t n) {
  int64_t sum = 0;
  while (n > 0) {
    const int32_t count = n < 256 ? n : 256;
    int32_t part = 0;
    for (int32_t i = 0; i < count; ++i) {
      part += (int32_t)x[i] * weights[i];
    }
    sum += part;
    x += count;
    weights += count;
    n -= count;
  }
  return sum;
}

/* lstm of 16-bit values, whose states are two bytes each. Weights: of each unit the four gates, one after the other. */
static void lstm_16(const int16_t *x, int16_t *y, int8_t *hidden, int8_t *cells, const int8_t *kernel,
                    const int8_t *recurrent, const int32_t *bias, const uint16_t *sigmoids, const int32_t *multipliers,
                    const int8_t *powers, int32_t steps, int32_t inputs, int32_t units, int32_t cell_power, int32_t low,
                    int32_t high, int32_t by_turns) {
  const int16_t *before = 0;
  for (int32_t step = 0; step < steps; ++step, x += inputs) {
    int16_t *const now = y + (by_turns ? step & 1 : step) * units;
    for (int32_t unit = 0; unit < units; ++unit) {
      int32_t gates[4];
      for (int32_t gate = 0; gate < 4; ++gate) {
        const int32_t filter = 4 * unit + gate;
        const int8_t *const weights = recurrent + filter * units;
        int64_t states = 0;
        if (before != 0) {
          states = dot_16(before, weights, units);
        } else {
          for (int32_t i = 0; hidden && i < units; ++i) {
            states += of_two_bytes(hidden + 2 * i) * weights[i];
          }
        }
        const int64_t given = dot_16(x, kernel + filter * inputs, inputs) + bias[filter];
        const int32_t one = within_16(scaled_64(given, multipliers[gate], powers[gate]));
        const int32_t both = within_16(one + within_16(scaled_64(states, multipliers[4 + gate], powers[4 + gate])));
        gates[gate] = gate == 2 ? tanh_16(3 * both, sigmoids) : sigmoid_16(3 * both, sigmoids);
      }
      const int32_t cell = before != 0 || hidden ? of_two_bytes(cells + 2 * unit) : 0;
      now[unit] = clamped_16(lstm_output(gates, cells + 2 * unit, cell, sigmoids, multipliers, powers, cell_power, low, high),
                             INT16_MIN, INT16_MAX);
    }
    before = now;
  }
  for (int32_t unit = 0; hidden && unit < units; ++unit) {
    hidden[2 * unit] = (int8_t)(before[unit] >> 8);
    hidden[2 * unit + 1] = (int8_t)((before[unit] & 127) - (before[unit] & 128));
  }
}
