// float32 to f16 and back, rows at a time.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

void CK_FN(to_f16)(const float *x, size_t n, uint16_t *y) {
  for (size_t i = 0; i < n; i++) y[i] = ck_half_of(x[i]);
}

void CK_FN(from_f16)(const uint16_t *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = ck_half(x[i]);
}
