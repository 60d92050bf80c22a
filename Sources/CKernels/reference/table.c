// The table of the scalar reference.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

#define MATMUL(name) \
  void CK_FN(name)(const ck_matmul *, size_t, size_t, size_t, size_t)
MATMUL(matmul_f32);
MATMUL(matmul_f16);
MATMUL(matmul_bf16);
MATMUL(matmul_f24);
MATMUL(matmul_f8_e4m3);
MATMUL(matmul_q8_0);
MATMUL(matmul_q4_0);
MATMUL(matmul_q4_1);
MATMUL(matmul_q5_1);
MATMUL(matmul_q2_k);
MATMUL(matmul_q4_k);
MATMUL(matmul_q5_k);
MATMUL(matmul_q6_k);
#define MAP(name) void CK_FN(name)(const float *, size_t, float *)
MAP(exp);
MAP(log);
MAP(tanh);
MAP(erf);
MAP(sigmoid);
MAP(softmax);
void CK_FN(quantise)(const float *, size_t, int8_t *, ck_qmeta *);
void CK_FN(rms_norm)(const float *, const float *, float, size_t, float *);
void CK_FN(silu)(const float *, const float *, size_t, float *);
void CK_FN(gelu_tanh)(const float *, const float *, size_t, float *);
void CK_FN(gelu_erf)(const float *, const float *, size_t, float *);
void CK_FN(sigmoid_gate)(const float *, const float *, size_t, float *);
void CK_FN(add)(const float *, const float *, size_t, float *);
void CK_FN(scale)(const float *, float, size_t, float *);
void CK_FN(add_scaled)(const float *, float, size_t, float *);
void CK_FN(soft_cap)(const float *, float, size_t, float *);
void CK_FN(convolve)(const float *const *, size_t, const float *, size_t, float *);
void CK_FN(delta)(const ck_delta *, size_t);
void CK_FN(exp_sum)(const float *, size_t, float *, float *);
void CK_FN(rope)(float *, size_t, size_t, size_t, const float *, const float *, bool);
void CK_FN(attention)(const ck_attention *, size_t, size_t);
void CK_FN(rms_norm_gradient)(const float *, const float *, float, const float *, size_t, float *);
#define GATE_GRADIENT(name)                                                             \
  void CK_FN(name)(const float *, const float *, const float *, size_t, float *, float *)
GATE_GRADIENT(silu_gradient);
GATE_GRADIENT(gelu_tanh_gradient);
GATE_GRADIENT(gelu_erf_gradient);
GATE_GRADIENT(sigmoid_gate_gradient);
void CK_FN(soft_cap_gradient)(const float *, float, const float *, size_t, float *);
void CK_FN(score_gradient)(float *, float, float, size_t, float *, float *);
void CK_FN(outer)(const ck_outer *, size_t, size_t, size_t, size_t);
void CK_FN(adamw)(const ck_adamw *, const float *, size_t, float *, float *, float *);
void CK_FN(to_f16)(const float *, size_t, uint16_t *);
void CK_FN(from_f16)(const uint16_t *, size_t, float *);

const ck_table CK_FN(table) = {
#if defined(CK_HARD_FMA)
    .variant = CK_SCALAR,
#else
    .variant = CK_SCALAR_SOFT,
#endif
    .matmul = {[CK_F32] = CK_FN(matmul_f32),
               [CK_F16] = CK_FN(matmul_f16),
               [CK_BF16] = CK_FN(matmul_bf16),
               [CK_F24] = CK_FN(matmul_f24),
               [CK_F8_E4M3] = CK_FN(matmul_f8_e4m3),
               [CK_Q8_0] = CK_FN(matmul_q8_0),
               [CK_Q4_0] = CK_FN(matmul_q4_0),
               [CK_Q4_1] = CK_FN(matmul_q4_1),
               [CK_Q5_1] = CK_FN(matmul_q5_1),
               [CK_Q2_K] = CK_FN(matmul_q2_k),
               [CK_Q4_K] = CK_FN(matmul_q4_k),
               [CK_Q5_K] = CK_FN(matmul_q5_k),
               [CK_Q6_K] = CK_FN(matmul_q6_k)},
    .quantise = CK_FN(quantise),
    .rms_norm = CK_FN(rms_norm),
    .gated = {CK_FN(silu), CK_FN(gelu_tanh), CK_FN(gelu_erf), CK_FN(sigmoid_gate)},
    .add = CK_FN(add),
    .scale = CK_FN(scale),
    .add_scaled = CK_FN(add_scaled),
    .soft_cap = CK_FN(soft_cap),
    .exp = CK_FN(exp),
    .log = CK_FN(log),
    .tanh = CK_FN(tanh),
    .erf = CK_FN(erf),
    .sigmoid = CK_FN(sigmoid),
    .softmax = CK_FN(softmax),
    .exp_sum = CK_FN(exp_sum),
    .rope = CK_FN(rope),
    .attention = CK_FN(attention),
    .convolve = CK_FN(convolve),
    .delta = CK_FN(delta),
    .rms_norm_gradient = CK_FN(rms_norm_gradient),
    .gated_gradient = {CK_FN(silu_gradient), CK_FN(gelu_tanh_gradient),
                       CK_FN(gelu_erf_gradient), CK_FN(sigmoid_gate_gradient)},
    .soft_cap_gradient = CK_FN(soft_cap_gradient),
    .score_gradient = CK_FN(score_gradient),
    .outer = CK_FN(outer),
    .adamw = CK_FN(adamw),
    .to_f16 = CK_FN(to_f16),
    .from_f16 = CK_FN(from_f16),
};
