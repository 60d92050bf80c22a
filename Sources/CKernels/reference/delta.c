// Linear attention: the short convolution before it, and the gated delta rule (Yang et al. 2024,
// arXiv:2412.06464), token after token.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

void CK_FN(convolve)(const float *const *rows, size_t taps, const float *w, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) {
    float chain = 0;
    for (size_t t = 0; t < taps; t++) chain = ck_fma(rows[t][i], w[t * n + i], chain);
    y[i] = chain / (1.0f + CK_FN(exp1)(-chain));
  }
}

void CK_FN(delta)(const ck_delta *a, size_t tokens) {
  for (size_t t = 0; t < tokens; t++) {
    const float *q = a->q + t * a->q_stride, *k = a->k + t * a->k_stride;
    float decay = a->decay[t * a->gate_stride], rate = a->rate[t * a->gate_stride];
    for (size_t i = 0; i < a->value_dim; i++) {
      float *state = a->state + i, known = 0, out = 0;
      for (size_t d = 0; d < a->key_dim; d++) {
        float kept = state[d * a->value_stride] * decay;
        state[d * a->value_stride] = kept;
        known = ck_fma(kept, k[d], known);
      }
      float change = (a->v[t * a->v_stride + i] - known) * rate;
      for (size_t d = 0; d < a->key_dim; d++) {
        float next = ck_fma(k[d], change, state[d * a->value_stride]);
        state[d * a->value_stride] = next;
        out = ck_fma(next, q[d], out);
      }
      a->out[t * a->out_stride + i] = out;
    }
  }
}
