/* Slices of x by positions along its first axes. depth: axes in a position; strides: distances along them; last: where the last
 * slice begins. A position beyond an end takes the nearest slice there is. */
static void take_at(const int8_t *x, const int32_t *indices, int8_t *y, int32_t count, int32_t depth, int32_t size,
                    int32_t last, const int32_t *strides) {
  for (int32_t i = 0; i < count; ++i, indices += depth) {
    uint32_t sum = 0;
    for (int32_t j = 0; j < depth; ++j) {
      sum += (uint32_t)indices[j] * (uint32_t)strides[j];
    }
    const int32_t place = sum > (uint32_t)INT32_MAX ? (int32_t)0 : (int32_t)sum;
    for (int32_t k = 0; k < size; ++k) {
      *y++ = x[(place < last ? place : last) + k];
    }
  }
}
