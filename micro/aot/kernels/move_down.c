/* Copies n bytes to an address below x; the two may overlap. Compilers join the bytes of a step to words. */
static void move_down(const int8_t *x, int8_t *y, int32_t n) {
  for (; n >= 8; n -= 8, x += 8, y += 8) {
    const int8_t a = x[0], b = x[1], c = x[2], d = x[3], e = x[4], f = x[5], g = x[6], h = x[7];
    y[0] = a;
    y[1] = b;
    y[2] = c;
    y[3] = d;
    y[4] = e;
    y[5] = f;
    y[6] = g;
    y[7] = h;
  }
  for (; n > 0; --n) {
    *y++ = *x++;
  }
}
