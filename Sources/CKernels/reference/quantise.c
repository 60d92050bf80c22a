// Activations to int8 with one float scale per 32.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

static void quantise_block(const float *x, int8_t *q, ck_qmeta *meta) {
  uint32_t top = 0;
  for (int i = 0; i < CK_QBLOCK; i++) {
    uint32_t magnitude = ck_bits(x[i]) & 0x7fffffff;
    top = magnitude > top ? magnitude : top;
  }
  float maximum = ck_float(top), scale = 0, inverse = 0;
  if (top >= 0x7f800000) {
    scale = ck_float(0x7fc00000);
  } else if (maximum >= 0x1p-100f) {
    scale = maximum / 127.0f;
    inverse = 127.0f / maximum;
  }
  int32_t sum[2] = {0, 0};
  for (int i = 0; i < CK_QBLOCK; i++) {
    float product = top >= 0x7f800000 ? 0.0f : x[i] * inverse;
    q[i] = (int8_t)(ck_bits(product + 0x1.8p+23f) - 0x4b400000u);
    sum[i / 16] += q[i];
  }
  *meta = ck_qmeta_of(scale, sum[0], sum[1]);
}

void CK_FN(quantise)(const float *x, size_t k, int8_t *q, ck_qmeta *meta) {
  for (size_t b = 0; b < k / CK_QBLOCK; b++)
    quantise_block(x + b * CK_QBLOCK, q + b * CK_QBLOCK, meta + b);
}
