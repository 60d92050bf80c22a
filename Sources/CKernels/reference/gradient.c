// Derivatives: what flows back through norms, gates, soft limits and attention, sums over tokens, and
// the optimiser's step. NUMERICS.md, "Training", has the formulas.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

void CK_FN(softmax)(const float *x, size_t n, float *y);

void CK_FN(rms_norm_gradient)(const float *x, const float *w, float eps, const float *dy, size_t n,
                              float *dx) {
  float squares[16] = {0}, products[16] = {0};
  for (size_t i = 0; i < n; i++) {
    squares[i % 16] = ck_fma(x[i], x[i], squares[i % 16]);
    products[i % 16] = ck_fma(x[i], dy[i] * w[i], products[i % 16]);
  }
  float inverse = 1.0f / ck_sqrt(ck_halving(squares) / (float)n + eps);
  float along = (ck_halving(products) / (float)n) * (inverse * inverse);
  for (size_t i = 0; i < n; i++) dx[i] = ck_fma(-x[i], along, dy[i] * w[i]) * inverse;
}

void CK_FN(silu_gradient)(const float *gate, const float *up, const float *dy, size_t n,
                          float *dgate, float *dup) {
  for (size_t i = 0; i < n; i++) {
    float g = gate[i], d = dy[i], e = 1.0f + CK_FN(exp1)(-g);
    float s = 1.0f / e, slope = s * ck_fma(g, 1.0f - s, 1.0f);
    dgate[i] = (d * up[i]) * slope;
    dup[i] = d * (g / e);
  }
}

void CK_FN(gelu_tanh_gradient)(const float *gate, const float *up, const float *dy, size_t n,
                               float *dgate, float *dup) {
  for (size_t i = 0; i < n; i++) {
    float g = gate[i], d = dy[i], half = 0.5f * g;
    float t = CK_FN(tanh1)(0x1.988454p-1f * ck_fma((0x1.6e4e26p-5f * g) * g, g, g));
    float inner = 0x1.988454p-1f * ck_fma(0x1.12ba9ep-3f * g, g, 1.0f);
    float slope = ck_fma(half * ck_fma(-t, t, 1.0f), inner, 0.5f * (1.0f + t));
    dgate[i] = (d * up[i]) * slope;
    dup[i] = d * (half * (1.0f + t));
  }
}

void CK_FN(gelu_erf_gradient)(const float *gate, const float *up, const float *dy, size_t n,
                              float *dgate, float *dup) {
  for (size_t i = 0; i < n; i++) {
    float g = gate[i], d = dy[i], half = 0.5f * g;
    float e = 1.0f + CK_FN(erf1)(g * 0x1.6a09e6p-1f);
    float density = 0x1.988454p-2f * CK_FN(exp1)(-(half * g));
    dgate[i] = (d * up[i]) * ck_fma(g, density, 0.5f * e);
    dup[i] = d * (half * e);
  }
}

void CK_FN(sigmoid_gate_gradient)(const float *gate, const float *up, const float *dy, size_t n,
                                  float *dgate, float *dup) {
  for (size_t i = 0; i < n; i++) {
    float d = dy[i], s = 1.0f / (1.0f + CK_FN(exp1)(-gate[i]));
    dgate[i] = (d * up[i]) * (s * (1.0f - s));
    dup[i] = d * s;
  }
}

void CK_FN(soft_cap_gradient)(const float *y, float cap, const float *dy, size_t n, float *dx) {
  for (size_t i = 0; i < n; i++) {
    float t = y[i] / cap;
    dx[i] = dy[i] * ck_fma(-t, t, 1.0f);
  }
}

void CK_FN(score_gradient)(float *s, float scale, float cap, size_t n, float *p, float *d) {
  for (size_t i = 0; i < n; i++) {
    float scaled = s[i] * scale;
    s[i] = cap == 0 ? scaled : cap * CK_FN(tanh1)(scaled / cap);
  }
  CK_FN(softmax)(s, n, p);
  float lanes[16] = {0};
  for (size_t i = 0; i < n; i++) lanes[i % 16] = ck_fma(p[i], d[i], lanes[i % 16]);
  float mean = ck_halving(lanes);
  for (size_t i = 0; i < n; i++) {
    float slope = p[i] * (d[i] - mean);
    if (cap != 0) {
      float t = s[i] / cap;
      slope = slope * ck_fma(-t, t, 1.0f);
    }
    d[i] = slope * scale;
  }
}

void CK_FN(outer)(const ck_outer *a, size_t row, size_t row_end, size_t column,
                  size_t column_end) {
  for (size_t r = row; r < row_end; r++)
    for (size_t c = column; c < column_end; c++) {
      float chain = 0;
      for (size_t t = 0; t < a->tokens; t++)
        chain = ck_fma(a->v[t * a->v_stride + r], a->x[t * a->x_stride + c], chain);
      a->y[r * a->y_stride + c] = a->y[r * a->y_stride + c] + chain;
    }
}

void CK_FN(adamw)(const ck_adamw *a, const float *g, size_t n, float *p, float *m, float *v) {
  for (size_t i = 0; i < n; i++) {
    float gradient = g[i] * a->clip;
    m[i] = ck_fma(gradient - m[i], a->first_share, m[i]);
    v[i] = ck_fma(a->second_share * gradient, gradient, a->second_decay * v[i]);
    float root = ck_sqrt(v[i]) / a->second_root + a->epsilon;
    p[i] = ck_fma(-a->step, m[i] / root, p[i] * a->decay);
  }
}
