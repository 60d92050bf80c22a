// y = x w^T for float weights: one FMA chain per output and 256 inputs, chains added in order.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

#define MATMUL(name, type, widen)                                                           \
  void CK_FN(name)(const ck_matmul *a, size_t panel, size_t panel_end, size_t row,          \
                   size_t row_end) {                                                        \
    for (size_t p = panel; p < panel_end; p++) {                                            \
      const type *w = (const type *)a->w + p * a->k * CK_PANEL;                             \
      for (size_t r = row; r < row_end; r++) {                                              \
        const float *x = a->x + r * a->x_stride;                                            \
        float total[CK_PANEL] = {0};                                                        \
        for (size_t begin = 0; begin < a->k; begin += CK_CHAIN) {                           \
          size_t end = begin + CK_CHAIN < a->k ? begin + CK_CHAIN : a->k;                   \
          float chain[CK_PANEL] = {0};                                                      \
          for (size_t k = begin; k < end; k++)                                              \
            for (int c = 0; c < CK_PANEL; c++)                                              \
              chain[c] = ck_fma(x[k], widen(w[k * CK_PANEL + c]), chain[c]);                \
          for (int c = 0; c < CK_PANEL; c++) total[c] = total[c] + chain[c];                \
        }                                                                                   \
        memcpy(a->y + r * a->y_stride + p * CK_PANEL, total, sizeof total);                 \
      }                                                                                     \
    }                                                                                       \
  }

#define AS_IS(x) (x)
MATMUL(matmul_f32, float, AS_IS)
MATMUL(matmul_f16, uint16_t, ck_half)
MATMUL(matmul_bf16, uint16_t, ck_brain)
