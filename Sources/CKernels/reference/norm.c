// RMSNorm: squares in 16 lanes, the halving tree, an IEEE square root and division.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

void CK_FN(rms_norm)(const float *x, const float *w, float eps, size_t n, float *y) {
  float lanes[16] = {0};
  for (size_t i = 0; i < n; i++) lanes[i % 16] = ck_fma(x[i], x[i], lanes[i % 16]);
  float mean = ck_halving(lanes) / (float)n;
  float inverse = 1.0f / ck_sqrt(mean + eps);
  for (size_t i = 0; i < n; i++) y[i] = (x[i] * inverse) * w[i];
}

void CK_FN(add)(const float *a, const float *b, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}
