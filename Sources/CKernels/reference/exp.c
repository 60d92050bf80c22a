// exp: x = n ln2 + r, a degree-6 polynomial, scaling by 2^n in two exact steps and at most one
// rounding.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

float CK_FN(exp1)(float x) {
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;  // NaN passes both
  float shifted = ck_fma(x, 0x1.715476p+0f, 0x1.8p+23f);
  float n = shifted - 0x1.8p+23f;
  float r = ck_fma(n, -0x1.62e4p-1f, x);
  r = ck_fma(n, -0x1.7f7d1cp-20f, r);
  float p = 0x1.6db412p-10f;
  p = ck_fma(p, r, 0x1.123b46p-7f);
  p = ck_fma(p, r, 0x1.55545ep-5f);
  p = ck_fma(p, r, 0x1.55549p-3f);
  p = ck_fma(p, r, 0x1p-1f);
  p = ck_fma(p, r, 1.0f);
  p = ck_fma(p, r, 1.0f);
  uint32_t i = ck_bits(shifted) - 0x4b400000u;
  uint32_t first = (uint32_t)((int32_t)i >> 1), second = i - first;
  return (p * ck_float((first + 127u) << 23)) * ck_float((second + 127u) << 23);
}

void CK_FN(exp)(const float *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = CK_FN(exp1)(x[i]);
}
