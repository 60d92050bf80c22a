// y = x w^T for float weights: one FMA chain per output and 256 inputs, chains added in order. With
// scales for blocks of weights, one chain per 128 inputs, its scaled value added in order.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

#define MATMUL(name, bytes, widen)                                                          \
  void CK_FN(name)(const ck_matmul *a, size_t panel, size_t panel_end, size_t row,          \
                   size_t row_end) {                                                        \
    for (size_t p = panel; p < panel_end; p++) {                                            \
      const void *w = (const char *)a->w + p * a->k * CK_PANEL * bytes;                     \
      for (size_t r = row; r < row_end; r++) {                                              \
        const float *x = a->x + r * a->x_stride;                                            \
        float total[CK_PANEL] = {0};                                                        \
        for (size_t begin = 0; begin < a->k; begin += CK_CHAIN) {                           \
          size_t end = begin + CK_CHAIN < a->k ? begin + CK_CHAIN : a->k;                   \
          float chain[CK_PANEL] = {0};                                                      \
          for (size_t k = begin; k < end; k++)                                              \
            for (size_t c = 0; c < CK_PANEL; c++)                                           \
              chain[c] = ck_fma(x[k], widen(w, k, c), chain[c]);                            \
          for (int c = 0; c < CK_PANEL; c++) total[c] = total[c] + chain[c];                \
        }                                                                                   \
        memcpy(a->y + r * a->y_stride + p * CK_PANEL, total, sizeof total);                 \
      }                                                                                     \
    }                                                                                       \
  }

#define WIDEN_F32(w, k, c) ((const float *)(w))[(k) * CK_PANEL + (c)]
#define WIDEN_F16(w, k, c) ck_half(((const uint16_t *)(w))[(k) * CK_PANEL + (c)])
#define WIDEN_BF16(w, k, c) ck_brain(((const uint16_t *)(w))[(k) * CK_PANEL + (c)])
MATMUL(matmul_f32, 4, WIDEN_F32)
MATMUL(matmul_f16, 2, WIDEN_F16)
MATMUL(matmul_bf16, 2, WIDEN_BF16)
MATMUL(matmul_f24, 3, ck_f24)

static float scaled_output(const ck_matmul *a, size_t panel, size_t lane, const float *x) {
  const uint8_t *w = (const uint8_t *)a->w + panel * a->k * CK_PANEL + lane;
  size_t blocks = (a->k + CK_F8_BLOCK - 1) / CK_F8_BLOCK;
  const float *scales = (const float *)a->scales + panel * blocks * CK_PANEL + lane;
  float total = 0;
  for (size_t b = 0; b < blocks; b++) {
    size_t end = (b + 1) * CK_F8_BLOCK < a->k ? (b + 1) * CK_F8_BLOCK : a->k;
    float chain = 0;
    for (size_t k = b * CK_F8_BLOCK; k < end; k++)
      chain = ck_fma(x[k], ck_e4m3(w[k * CK_PANEL]), chain);
    total = ck_fma(chain, scales[b * CK_PANEL], total) + 0.0f;
  }
  return total;
}

void CK_FN(matmul_f8_e4m3)(const ck_matmul *a, size_t panel, size_t panel_end, size_t row,
                           size_t row_end) {
  for (size_t p = panel; p < panel_end; p++)
    for (size_t r = row; r < row_end; r++)
      for (size_t lane = 0; lane < CK_PANEL; lane++)
        a->y[r * a->y_stride + p * CK_PANEL + lane] =
            scaled_output(a, p, lane, a->x + r * a->x_stride);
}
