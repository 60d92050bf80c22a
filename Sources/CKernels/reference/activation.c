// tanh, sigmoid, erf, and the gated activations f(gate) * up.
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

/// x + x P(x^2) near 0; else 1 - exp(-r), where r = t + t Q(t) is -log(1 - erf(t)) for t = |x|.
float CK_FN(erf1)(float x) {
  float magnitude = ck_float(ck_bits(x) & 0x7fffffff);
  if (magnitude > 0x1.dbp-1f) {
    float t = magnitude > 4.0f ? 4.0f : magnitude;
    float q = 0x1.82befep-17f;
    q = ck_fma(q, t, -0x1.559448p-12f);
    q = ck_fma(q, t, 0x1.deffb2p-9f);
    q = ck_fma(q, t, -0x1.85bbfap-6f);
    q = ck_fma(q, t, 0x1.b3446ep-4f);
    q = ck_fma(q, t, 0x1.453036p-1f);
    q = ck_fma(q, t, 0x1.077b2cp-3f);
    float large = 1.0f - CK_FN(exp1)(-ck_fma(q, t, t));
    return ck_float(ck_bits(large) | (ck_bits(x) & 0x80000000));
  }
  float z = x * x;
  float p = 0x1.5d76dcp-14f;
  p = ck_fma(p, z, -0x1.aa6fbcp-11f);
  p = ck_fma(p, z, 0x1.54cd6p-8f);
  p = ck_fma(p, z, -0x1.b80f1ep-6f);
  p = ck_fma(p, z, 0x1.ce2e1p-4f);
  p = ck_fma(p, z, -0x1.812742p-2f);
  p = ck_fma(p, z, 0x1.06eba8p-3f);
  return ck_fma(x, p, x);
}

void CK_FN(tanh)(const float *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = CK_FN(tanh1)(x[i]);
}

void CK_FN(sigmoid)(const float *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = 1.0f / (1.0f + CK_FN(exp1)(-x[i]));
}

void CK_FN(erf)(const float *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = CK_FN(erf1)(x[i]);
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

void CK_FN(gelu_erf)(const float *gate, const float *up, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) {
    float g = gate[i];
    y[i] = ((0.5f * g) * (1.0f + CK_FN(erf1)(g * 0x1.6a09e6p-1f))) * up[i];
  }
}

void CK_FN(sigmoid_gate)(const float *gate, const float *up, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = (1.0f / (1.0f + CK_FN(exp1)(-gate[i]))) * up[i];
}
