// Integer and comparison work that needs one implementation only.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

size_t ck_argmax(const float *x, size_t n) {
  // The maximum in 16 independent lanes, which any compiler turns into vector code; then its first
  // place.
  float lanes[16], top = -__builtin_inff();
  for (int i = 0; i < 16; i++) lanes[i] = top;
  size_t whole = n / 16 * 16;
  for (size_t i = 0; i < whole; i += 16)
    for (size_t l = 0; l < 16; l++) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
  for (int l = 0; l < 16; l++) top = lanes[l] > top ? lanes[l] : top;
  for (size_t i = whole; i < n; i++) top = x[i] > top ? x[i] : top;
  for (size_t i = 0; i < n; i++)
    if (x[i] == top) return i;
  return 0;
}

bool ck_has_nonfinite(const float *x, size_t n) {
  uint32_t seen = 0;
  for (size_t i = 0; i < n; i++) seen |= (ck_bits(x[i]) & 0x7f800000) == 0x7f800000;
  return seen != 0;
}

void ck_saturate(const float *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) {
    uint32_t u = ck_bits(x[i]), magnitude = u & 0x7fffffff;
    if (magnitude == 0x7f800000) u = (u & 0x80000000) | 0x7f7fffff;
    y[i] = magnitude > 0x7f800000 ? 0.0f : ck_float(u);
  }
}

uint16_t ck_bf16_of(float x) {
  uint32_t u = ck_bits(x);
  if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float ck_float_of_bf16(uint16_t x) { return ck_brain(x); }
uint16_t ck_f16_of(float x) { return ck_half_of(x); }
float ck_float_of_f16(uint16_t x) { return ck_half(x); }
