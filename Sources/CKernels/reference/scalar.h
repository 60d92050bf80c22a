// What every scalar reference file starts from: fused multiply-add, bit casts, 16-bit formats.
//
// Each reference file is compiled on its own (names end in _soft: FMA in software, or in hardware
// where the whole build has it) and once more inside x86/reference_fma.c, where CK_HARD_FMA is set
// and names end in _hard.
#pragma once

#include <string.h>

#include "../include/ckernels.h"

#if defined(CK_HARD_FMA)
#define CK_FN(name) ck_##name##_hard
#else
#define CK_FN(name) ck_##name##_soft
#if defined(__FMA__) || defined(__aarch64__)
#define CK_HARD_FMA 1
#endif
#endif

static inline uint32_t ck_bits(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

static inline float ck_float(uint32_t u) {
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

/// a * b + c with one rounding, in double arithmetic. The product is exact; the sum is rounded to
/// odd, without which the second rounding (to float) could go the wrong way: a = (1+2^-12)2^-24, b
/// = 1-4095x2^-24, c = 1.
static inline float ck_fma_software(float a, float b, float c) {
  double product = (double)a * (double)b, addend = (double)c;
  double sum = product + addend;
  double part = sum - product;
  double error = (product - (sum - part)) + (addend - part);
  uint64_t u;
  memcpy(&u, &sum, sizeof u);
  bool finite = (u & 0x7ff0000000000000u) != 0x7ff0000000000000u;
  if (finite && error != 0 && (u & 1) == 0) {
    u = (error > 0) == (sum > 0) ? u + 1 : u - 1;
    memcpy(&sum, &u, sizeof sum);
  }
  return (float)sum;
}

static inline float ck_fma(float a, float b, float c) {
#if defined(CK_HARD_FMA)
  return __builtin_fmaf(a, b, c);
#else
  return ck_fma_software(a, b, c);
#endif
}

/// IEEE square root, always the instruction.
static inline float ck_sqrt(float x) { return __builtin_elementwise_sqrt(x); }

/// Exact: f16 values are a subset of f32.
static inline float ck_half(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = h & 0x7fff;
  if (magnitude >= 0x7c00) return ck_float(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  float scaled = ck_float(magnitude << 13) * 0x1p+112f;  // also right for subnormals
  return ck_float(sign | ck_bits(scaled));
}

static inline float ck_brain(uint16_t b) { return ck_float((uint32_t)b << 16); }
/// Where a panel of CK_F24 has byte 0 (the lowest) to 2 of a weight. Four inputs are three times 16
/// words: the upper bytes of the words are the first three inputs, their lowest bytes the fourth.
static inline size_t ck_f24_offset(size_t input, size_t lane, int byte) {
  size_t four = input / 4 * 192 + lane * 4, at = input % 4;
  return at < 3 ? four + at * 64 + 1 + (size_t)byte : four + (size_t)byte * 64;
}
static inline float ck_f24(const uint8_t *panel, size_t input, size_t lane) {
  uint32_t word = 0;
  for (int byte = 0; byte < 3; byte++)
    word |= (uint32_t)panel[ck_f24_offset(input, lane, byte)] << (8 + 8 * byte);
  return ck_float(word);
}

/// Exact. One sign, four exponent (bias 7) and three mantissa bits, no infinities; NaN is 0x7f and
/// 0xff (OCP 8-bit floating point specification, E4M3).
static inline float ck_e4m3(uint8_t b) {
  if ((b & 0x7f) == 0x7f) return ck_float(0x7fc00000);
  uint16_t half = (uint16_t)((b & 0x80) << 8 | (b & 0x7f) << 7);  // the same number times 2^-8
  return ck_half(half) * 0x1p+8f;
}

/// Nearest even; beyond 65504 the largest finite value, NaN +0.
static inline uint16_t ck_half_of(float x) {
  uint32_t u = ck_bits(x), sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0;
  if (magnitude >= 0x477fe000) return (uint16_t)(sign | 0x7bff);
  if (magnitude < 0x38800000) {  // below 2^-14: count units of 2^-24 by adding 0.5
    float shifted = ck_float(magnitude) + 0.5f;
    return (uint16_t)(sign | (ck_bits(shifted) - 0x3f000000));
  }
  uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return (uint16_t)(sign | ((rounded - 0x38000000) >> 13));
}

/// The sum of 16 lanes: lane i plus lane i + 8, then + 4, + 2, + 1.
static inline float ck_halving(const float *lanes) {
  float t[8];
  for (int i = 0; i < 8; i++) t[i] = lanes[i] + lanes[i + 8];
  for (int i = 0; i < 4; i++) t[i] = t[i] + t[i + 4];
  return (t[0] + t[2]) + (t[1] + t[3]);
}

float CK_FN(exp1)(float x);
float CK_FN(log1)(float x);
float CK_FN(tanh1)(float x);
float CK_FN(erf1)(float x);
