// The table of a vector variant: CK_X names the operations of its family, CK_Q its integer products.
#pragma once

#define CK_DECLARE_MATMUL(name) \
  void name(const ck_matmul *, size_t, size_t, size_t, size_t)
CK_DECLARE_MATMUL(CK_X(matmul_f32));
CK_DECLARE_MATMUL(CK_X(matmul_f16));
CK_DECLARE_MATMUL(CK_X(matmul_bf16));
CK_DECLARE_MATMUL(CK_X(matmul_f24));
CK_DECLARE_MATMUL(CK_X(matmul_f8_e4m3));
CK_DECLARE_MATMUL(CK_Q(matmul_q8_0));
CK_DECLARE_MATMUL(CK_Q(matmul_q4_0));
CK_DECLARE_MATMUL(CK_Q(matmul_q4_1));
CK_DECLARE_MATMUL(CK_Q(matmul_q5_1));
CK_DECLARE_MATMUL(CK_Q(matmul_q2_k));
CK_DECLARE_MATMUL(CK_Q(matmul_q4_k));
CK_DECLARE_MATMUL(CK_Q(matmul_q5_k));
CK_DECLARE_MATMUL(CK_Q(matmul_q6_k));
void CK_X(exp)(const float *, size_t, float *);
void CK_X(log)(const float *, size_t, float *);
void CK_X(tanh)(const float *, size_t, float *);
void CK_X(erf)(const float *, size_t, float *);
void CK_X(sigmoid)(const float *, size_t, float *);
void CK_X(softmax)(const float *, size_t, float *);
void CK_X(quantise)(const float *, size_t, int8_t *, ck_qmeta *);
void CK_X(rms_norm)(const float *, const float *, float, size_t, float *);
void CK_X(silu)(const float *, const float *, size_t, float *);
void CK_X(gelu_tanh)(const float *, const float *, size_t, float *);
void CK_X(gelu_erf)(const float *, const float *, size_t, float *);
void CK_X(sigmoid_gate)(const float *, const float *, size_t, float *);
void CK_X(add)(const float *, const float *, size_t, float *);
void CK_X(scale)(const float *, float, size_t, float *);
void CK_X(add_scaled)(const float *, float, size_t, float *);
void CK_X(soft_cap)(const float *, float, size_t, float *);
void CK_X(convolve)(const float *const *, size_t, const float *, size_t, float *);
void CK_X(delta)(const ck_delta *, size_t);
void CK_X(exp_sum)(const float *, size_t, float *, float *);
void CK_X(rope)(float *, size_t, size_t, size_t, const float *, const float *, bool);
void CK_X(attention)(const ck_attention *, size_t, size_t);
void CK_X(rms_norm_gradient)(const float *, const float *, float, const float *, size_t, float *);
#define CK_DECLARE_GRADIENT(name)                                                             \
  void CK_X(name)(const float *, const float *, const float *, size_t, float *, float *)
CK_DECLARE_GRADIENT(silu_gradient);
CK_DECLARE_GRADIENT(gelu_tanh_gradient);
CK_DECLARE_GRADIENT(gelu_erf_gradient);
CK_DECLARE_GRADIENT(sigmoid_gate_gradient);
void CK_X(soft_cap_gradient)(const float *, float, const float *, size_t, float *);
void CK_X(score_gradient)(float *, float, float, size_t, float *, float *);
void CK_X(outer)(const ck_outer *, size_t, size_t, size_t, size_t);
void CK_X(adamw)(const ck_adamw *, const float *, size_t, float *, float *, float *);
void CK_X(to_f16)(const float *, size_t, uint16_t *);
void CK_X(from_f16)(const uint16_t *, size_t, float *);

#define CK_TABLE(id)                                                                         \
  {                                                                                          \
      .variant = id,                                                                         \
      .matmul = {[CK_F32] = CK_X(matmul_f32),                                                \
                 [CK_F16] = CK_X(matmul_f16),                                                \
                 [CK_BF16] = CK_X(matmul_bf16),                                              \
                 [CK_F24] = CK_X(matmul_f24),                                                \
                 [CK_F8_E4M3] = CK_X(matmul_f8_e4m3),                                        \
                 [CK_Q8_0] = CK_Q(matmul_q8_0),                                              \
                 [CK_Q4_0] = CK_Q(matmul_q4_0),                                              \
                 [CK_Q4_1] = CK_Q(matmul_q4_1),                                              \
                 [CK_Q5_1] = CK_Q(matmul_q5_1),                                              \
                 [CK_Q2_K] = CK_Q(matmul_q2_k),                                              \
                 [CK_Q4_K] = CK_Q(matmul_q4_k),                                              \
                 [CK_Q5_K] = CK_Q(matmul_q5_k),                                              \
                 [CK_Q6_K] = CK_Q(matmul_q6_k)},                                             \
      .quantise = CK_X(quantise),                                                            \
      .rms_norm = CK_X(rms_norm),                                                            \
      .gated = {CK_X(silu), CK_X(gelu_tanh), CK_X(gelu_erf), CK_X(sigmoid_gate)},            \
      .add = CK_X(add),                                                                      \
      .scale = CK_X(scale),                                                                  \
      .add_scaled = CK_X(add_scaled),                                                        \
      .soft_cap = CK_X(soft_cap),                                                            \
      .exp = CK_X(exp),                                                                      \
      .log = CK_X(log),                                                                      \
      .tanh = CK_X(tanh),                                                                    \
      .erf = CK_X(erf),                                                                      \
      .sigmoid = CK_X(sigmoid),                                                              \
      .softmax = CK_X(softmax),                                                              \
      .exp_sum = CK_X(exp_sum),                                                              \
      .rope = CK_X(rope),                                                                    \
      .attention = CK_X(attention),                                                          \
      .convolve = CK_X(convolve),                                                            \
      .delta = CK_X(delta),                                                                  \
      .rms_norm_gradient = CK_X(rms_norm_gradient),                                          \
      .gated_gradient = {CK_X(silu_gradient), CK_X(gelu_tanh_gradient),                      \
                         CK_X(gelu_erf_gradient), CK_X(sigmoid_gate_gradient)},              \
      .soft_cap_gradient = CK_X(soft_cap_gradient),                                          \
      .score_gradient = CK_X(score_gradient),                                                \
      .outer = CK_X(outer),                                                                  \
      .adamw = CK_X(adamw),                                                                  \
      .to_f16 = CK_X(to_f16),                                                                \
      .from_f16 = CK_X(from_f16),                                                            \
  }
