// y = x w^T for quantised weights: exact integer dot products of 32, then one FMA per block in
// order, with the product of the two scales; Q4_1 follows each with an FMA for its minimum. The end
// is + (+0).
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

static int32_t dot_bytes(const int8_t *q, const uint8_t *w) {
  int32_t sum = 0;
  for (int g = 0; g < 8; g++)
    for (int i = 0; i < 4; i++) sum += q[4 * g + i] * (int32_t)w[64 * g + i];
  return sum;
}

static int32_t dot_nibbles(const int8_t *q, const uint8_t *w) {
  int32_t sum = 0;
  for (int g = 0; g < 4; g++)
    for (int i = 0; i < 4; i++) {
      uint8_t pair = w[64 * g + i];
      sum += q[4 * g + i] * (pair & 15) + q[16 + 4 * g + i] * (pair >> 4);
    }
  return sum;
}

static float output(const ck_matmul *a, ck_format format, size_t panel, size_t column, size_t row) {
  size_t blocks = a->k / CK_QBLOCK, bytes = format == CK_Q8_0 ? 512 : 256;
  const uint8_t *w = (const uint8_t *)a->w + panel * blocks * bytes + 4 * column;
  const int8_t *q = a->xq + row * a->k;
  const ck_qmeta *meta = a->meta + row * blocks;
  float chain = 0;
  for (size_t b = 0; b < blocks; b++) {
    size_t at = (panel * blocks + b) * CK_PANEL + column;
    int32_t sum = format == CK_Q8_0 ? meta[b].comp8 + dot_bytes(q + b * CK_QBLOCK, w + b * bytes)
                                    : dot_nibbles(q + b * CK_QBLOCK, w + b * bytes);
    if (format == CK_Q4_0) sum += meta[b].comp4;
    chain = ck_fma((float)sum, meta[b].scale * ck_half(a->d[at]), chain);
    if (format == CK_Q4_1) chain = ck_fma(meta[b].scaled_sum, ck_half(a->m[at]), chain);
  }
  return chain + 0.0f;
}

#define MATMUL(name, format)                                                              \
  void CK_FN(name)(const ck_matmul *a, size_t panel, size_t panel_end, size_t row,        \
                   size_t row_end) {                                                      \
    for (size_t p = panel; p < panel_end; p++)                                            \
      for (size_t r = row; r < row_end; r++)                                              \
        for (size_t c = 0; c < CK_PANEL; c++)                                             \
          a->y[r * a->y_stride + p * CK_PANEL + c] = output(a, format, p, c, r);          \
  }

MATMUL(matmul_q8_0, CK_Q8_0)
MATMUL(matmul_q4_0, CK_Q4_0)
MATMUL(matmul_q4_1, CK_Q4_1)
