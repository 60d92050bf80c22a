// log: x = 2^k m with m in [sqrt(1/2), sqrt(2)), then the series in s = (m-1)/(m+1) (coefficients
// of FreeBSD's logf).
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

float CK_FN(log1)(float x) {
  if (!(x >= 0)) return ck_float(0x7fc00000);
  if (x == 0) return ck_float(0xff800000);
  if (ck_bits(x) == 0x7f800000) return x;
  bool tiny = x < 0x1p-126f;
  uint32_t u = ck_bits(tiny ? x * 0x1p+25f : x) + (0x3f800000u - 0x3f3504f3u);
  float k = (float)((int32_t)(u >> 23) - (tiny ? 152 : 127));
  float f = ck_float((u & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
  float s = f / (2.0f + f), z = s * s, w = z * z;
  float even = w * ck_fma(w, 0x1.f13c4cp-3f, 0x1.999c26p-2f);
  float odd = z * ck_fma(w, 0x1.23d3dcp-2f, 0x1.555554p-1f);
  float half = (0.5f * f) * f;
  float tail = ck_fma(s, half + (odd + even), k * 0x1.2fefa4p-17f);
  return ((tail - half) + f) + k * 0x1.62e3p-1f;
}

void CK_FN(log)(const float *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = CK_FN(log1)(x[i]);
}
