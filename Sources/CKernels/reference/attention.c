// Attention by blocks of 64 keys aligned at position 0: block-local maximum, blocks merged in
// order.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

static float element(const void *base, size_t at, bool half) {
  return half ? ck_half(((const uint16_t *)base)[at]) : ((const float *)base)[at];
}

/// The chain over the key dimension, in blocks of 256, times the scale.
static float score(const ck_attention *a, const float *q, const void *block, size_t j) {
  float total = 0;
  for (size_t begin = 0; begin < a->key_dim; begin += CK_CHAIN) {
    size_t end = begin + CK_CHAIN < a->key_dim ? begin + CK_CHAIN : a->key_dim;
    float chain = 0;
    for (size_t d = begin; d < end; d++)
      chain = ck_fma(q[d], element(block, a->key_offset + d * CK_KEYS + j, a->half), chain);
    total = total + chain;
  }
  float scaled = total * a->scale;
  return a->cap == 0 ? scaled : a->cap * CK_FN(tanh1)(scaled / a->cap);
}

typedef struct partial {
  float maximum, sum;
} partial;

/// Keys [low, high) of one block: output in `out`, not yet divided by the sum.
static partial attend_block(const ck_attention *a, const float *q, const void *block, size_t low,
                            size_t high, float *out) {
  float p[CK_KEYS] = {0}, lanes[16] = {0};
  float maximum = -__builtin_inff();
  for (size_t j = low; j < high; j++) {
    p[j] = score(a, q, block, j);
    maximum = p[j] > maximum ? p[j] : maximum;
  }
  for (size_t j = low; j < high; j++) p[j] = CK_FN(exp1)(p[j] - maximum);
  for (size_t j = 0; j < CK_KEYS; j++) lanes[j % 16] = lanes[j % 16] + p[j];
  for (size_t d = 0; d < a->value_dim; d++) {
    float chain = 0;
    for (size_t j = low; j < high; j++)
      chain = ck_fma(p[j], element(block, a->value_offset + j * a->value_stride + d, a->half),
                     chain);
    out[d] = chain + 0.0f;
  }
  return (partial){maximum, ck_halving(lanes)};
}

static partial merge(const ck_attention *a, partial x, partial y, float *out, const float *next) {
  float maximum = y.maximum > x.maximum ? y.maximum : x.maximum;
  float keep = CK_FN(exp1)(x.maximum - maximum), take = CK_FN(exp1)(y.maximum - maximum);
  for (size_t d = 0; d < a->value_dim; d++) out[d] = ck_fma(next[d], take, out[d] * keep);
  return (partial){maximum, ck_fma(y.sum, take, x.sum * keep)};
}

/// The factor of the output: 1 / sum, after a sink has joined the sum.
static float normaliser(partial x, const float *sink) {
  if (!sink) return 1.0f / x.sum;
  float maximum = *sink > x.maximum ? *sink : x.maximum;
  float keep = CK_FN(exp1)(x.maximum - maximum);
  float sum = x.sum * keep + CK_FN(exp1)(*sink - maximum);
  return keep * (1.0f / sum);
}

static void attend_row(const ck_attention *a, const float *q, size_t position, const float *sink,
                       float *out) {
  size_t low = a->window != 0 && position + 1 > a->window ? position + 1 - a->window : 0;
  partial whole = {0, 0};
  float *next = a->scratch;
  for (size_t b = low / CK_KEYS; b <= position / CK_KEYS; b++) {
    size_t start = b * CK_KEYS;
    size_t from = low > start ? low - start : 0;
    size_t to = position + 1 - start < CK_KEYS ? position + 1 - start : CK_KEYS;
    bool first = b == low / CK_KEYS;
    partial part = attend_block(a, q, a->blocks[b], from, to, first ? out : next);
    whole = first ? part : merge(a, whole, part, out, next);
  }
  float inverse = normaliser(whole, sink);
  for (size_t d = 0; d < a->value_dim; d++) out[d] = out[d] * inverse;
}

void CK_FN(attention)(const ck_attention *a, size_t row, size_t row_end) {
  for (size_t r = row; r < row_end; r++)
    for (size_t h = 0; h < a->heads; h++)
      attend_row(a, a->q + r * a->q_stride + h * a->key_dim, a->first_position + r,
                 a->sinks ? a->sinks + h : NULL,
                 a->out + r * a->out_stride + h * a->value_dim);
}
