// Rows times a number, rows added with a weight, and the soft limit of logits.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

void CK_FN(scale)(const float *x, float factor, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = x[i] * factor;
}

void CK_FN(add_scaled)(const float *x, float factor, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = ck_fma(factor, x[i], y[i]);
}

void CK_FN(soft_cap)(const float *x, float cap, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = cap * CK_FN(tanh1)(x[i] / cap);
}
