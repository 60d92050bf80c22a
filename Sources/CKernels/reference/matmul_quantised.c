// y = x w^T for quantised weights: exact integer dot products of 32, then one FMA per block in
// order with the product of the two scales, and one for a minimum. The end is + (+0).
#include "block.h"

#pragma STDC FP_CONTRACT OFF

/// The exact sums of products of 32 activations with q - offset, each half on its own, in dot, and
/// of the activations alone, in sum.
typedef struct halves {
  int32_t dot[2], sum[2];
} halves;

static halves dots(const int8_t *x, const uint8_t *q, int offset) {
  halves h = {{0, 0}, {0, 0}};
  for (int i = 0; i < CK_QBLOCK; i++) {
    h.dot[i / 16] += x[i] * (q[i] - offset);
    h.sum[i / 16] += x[i];
  }
  return h;
}

/// Appends 32 inputs to the chain of an output: the part-th of `block`.
static float append(ck_format format, const ck_block *block, size_t part, const int8_t *x,
                    const ck_qmeta *meta, float chain) {
  int offset = format == CK_Q8_0 ? 128 : format == CK_Q6_K ? 32 : format == CK_Q4_0 ? 8 : 0;
  halves h = dots(x, block->q + part * CK_QBLOCK, offset);
  float dot = (float)(h.dot[0] + h.dot[1]), d = ck_half(block->d), m = ck_half(block->m);
  const uint8_t *scale = block->scale + 2 * part, *least = block->least + 2 * part;
  switch (format) {
    case CK_Q4_1:
    case CK_Q5_1:
      chain = ck_fma(dot, meta->scale * d, chain);
      return ck_fma(meta->scaled_sum, m, chain);
    case CK_Q4_K:
    case CK_Q5_K:
      chain = ck_fma(dot, meta->scale * (d * (float)block->scale[part]), chain);
      return ck_fma(meta->scaled_sum, -(m * (float)block->least[part]), chain);
    case CK_Q6_K: {
      int32_t scaled = h.dot[0] * (int8_t)scale[0] + h.dot[1] * (int8_t)scale[1];
      return ck_fma((float)scaled, meta->scale * d, chain);
    }
    case CK_Q2_K:
      chain = ck_fma((float)(h.dot[0] * scale[0] + h.dot[1] * scale[1]), meta->scale * d, chain);
      return ck_fma((float)-(h.sum[0] * least[0] + h.sum[1] * least[1]), meta->scale * m, chain);
    default: return ck_fma(dot, meta->scale * d, chain);
  }
}

/// Rows [row, row_end) of one output column.
static void column(const ck_matmul *a, ck_format format, size_t panel, size_t lane, size_t row,
                   size_t row_end) {
  ck_sizes sizes = ck_sizes_of(format);
  size_t blocks = a->k / sizes.block, parts = sizes.block / CK_QBLOCK, first = panel * blocks;
  const uint8_t *w = (const uint8_t *)a->w + first * sizes.panel_bytes;
  const uint8_t *scales = (const uint8_t *)a->scales + first * sizes.scale_bytes;
  const uint8_t *minima = (const uint8_t *)a->minima + first * sizes.minimum_bytes;
  float *y = a->y + panel * CK_PANEL + lane;
  for (size_t r = row; r < row_end; r++) y[r * a->y_stride] = 0;
  for (size_t b = 0; b < blocks; b++) {
    ck_block block;
    ck_block_of_panel(format, w, scales, minima, b, lane, &block);
    for (size_t r = row; r < row_end; r++) {
      const int8_t *x = a->xq + r * a->k + b * sizes.block;
      const ck_qmeta *meta = a->meta + r * (a->k / CK_QBLOCK) + b * parts;
      float chain = y[r * a->y_stride];
      for (size_t part = 0; part < parts; part++)
        chain = append(format, &block, part, x + part * CK_QBLOCK, meta + part, chain);
      y[r * a->y_stride] = chain;
    }
  }
  for (size_t r = row; r < row_end; r++) y[r * a->y_stride] = y[r * a->y_stride] + 0.0f;
}

#define MATMUL(name, format)                                                       \
  void CK_FN(name)(const ck_matmul *a, size_t panel, size_t panel_end, size_t row, \
                   size_t row_end) {                                               \
    for (size_t p = panel; p < panel_end; p++)                                     \
      for (size_t lane = 0; lane < CK_PANEL; lane++)                               \
        column(a, format, p, lane, row, row_end);                                  \
  }

MATMUL(matmul_q8_0, CK_Q8_0)
MATMUL(matmul_q4_0, CK_Q4_0)
MATMUL(matmul_q4_1, CK_Q4_1)
MATMUL(matmul_q5_1, CK_Q5_1)
MATMUL(matmul_q2_k, CK_Q2_K)
MATMUL(matmul_q4_k, CK_Q4_K)
MATMUL(matmul_q5_k, CK_Q5_K)
MATMUL(matmul_q6_k, CK_Q6_K)
