// Softmax of a row, and the two numbers from which log-softmax follows. Sums: 16 lanes, then the
// halving tree.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

static float maximum_of(const float *x, size_t n) {
  float maximum = -__builtin_inff();
  for (size_t i = 0; i < n; i++) maximum = x[i] > maximum ? x[i] : maximum;
  return maximum + 0.0f;
}

void CK_FN(exp_sum)(const float *x, size_t n, float *maximum, float *sum) {
  float lanes[16] = {0};
  float top = maximum_of(x, n);
  for (size_t i = 0; i < n; i++) lanes[i % 16] = lanes[i % 16] + CK_FN(exp1)(x[i] - top);
  *maximum = top;
  *sum = ck_halving(lanes);
}

void CK_FN(softmax)(const float *x, size_t n, float *y) {
  float lanes[16] = {0};
  float top = maximum_of(x, n);
  for (size_t i = 0; i < n; i++) {
    float e = CK_FN(exp1)(x[i] - top);
    lanes[i % 16] = lanes[i % 16] + e;
    y[i] = e;
  }
  float inverse = 1.0f / ck_halving(lanes);
  for (size_t i = 0; i < n; i++) y[i] = y[i] * inverse;
}
