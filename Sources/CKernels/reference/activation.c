// tanh, sigmoid, and the gated activations f(gate) * up.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

float CK_FN(tanh1)(float x) {
  float magnitude = ck_float(ck_bits(x) & 0x7fffffff);
  float z = x * x;
  float p = 0x1.174d4p-9f;
  p = ck_fma(p, z, -0x1.0b8d46p-7f);
  p = ck_fma(p, z, 0x1.6377eap-6f);
  p = ck_fma(p, z, -0x1.b9ecf2p-5f);
  p = ck_fma(p, z, 0x1.11105ep-3f);
  p = ck_fma(p, z, -0x1.555554p-2f);
  if (magnitude < 0.625f) return ck_fma(x * z, p, x);
  float large = 1.0f - 2.0f / (CK_FN(exp1)(magnitude + magnitude) + 1.0f);
  return ck_float(ck_bits(large) | (ck_bits(x) & 0x80000000));
}

void CK_FN(tanh)(const float *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = CK_FN(tanh1)(x[i]);
}

void CK_FN(sigmoid)(const float *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = 1.0f / (1.0f + CK_FN(exp1)(-x[i]));
}

void CK_FN(silu)(const float *gate, const float *up, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = (gate[i] / (1.0f + CK_FN(exp1)(-gate[i]))) * up[i];
}

void CK_FN(gelu_tanh)(const float *gate, const float *up, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) {
    float g = gate[i];
    float inner = 0x1.988454p-1f * ck_fma((0x1.6e4e26p-5f * g) * g, g, g);
    y[i] = ((0.5f * g) * (1.0f + CK_FN(tanh1)(inner))) * up[i];
  }
}
