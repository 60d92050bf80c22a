// Sixteen lanes of float32 in one AVX-512 register: the vocabulary of vector/.
#pragma once

typedef __m512 v16;
typedef __m512i v16i;
typedef __mmask16 v16mask;

static CK_INLINE v16 v16_load(const float *p) { return _mm512_loadu_ps(p); }
static CK_INLINE void v16_store(float *p, v16 x) { _mm512_storeu_ps(p, x); }
/// The first n lanes from memory, the rest +0; and the first n lanes to memory.
static CK_INLINE v16 v16_load_first(const float *p, size_t n) {
  return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
static CK_INLINE void v16_store_first(float *p, size_t n, v16 x) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), x);
}
static CK_INLINE v16 v16_half(const uint16_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
static CK_INLINE v16 v16_brain(const uint16_t *p) {
  __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
/// Finite values alone: packing refuses NaN.
static CK_INLINE v16 v16_e4m3(const uint8_t *p) {
  __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
  __m256i half = _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16((short)0xbf80));
  return _mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(0x1p+8f));
}
static CK_INLINE void v16_store_half(uint16_t *p, v16 x) {
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
static CK_INLINE v16 v16_set(float x) { return _mm512_set1_ps(x); }
static CK_INLINE v16 v16_zero(void) { return _mm512_setzero_ps(); }
static CK_INLINE v16 v16_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
static CK_INLINE v16 v16_sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
static CK_INLINE v16 v16_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
static CK_INLINE v16 v16_div(v16 a, v16 b) { return _mm512_div_ps(a, b); }
static CK_INLINE v16 v16_sqrt(v16 x) { return _mm512_sqrt_ps(x); }
static CK_INLINE v16 v16_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
/// If either is NaN: b.
static CK_INLINE v16 v16_max(v16 a, v16 b) { return _mm512_max_ps(a, b); }
static CK_INLINE v16 v16_min(v16 a, v16 b) { return _mm512_min_ps(a, b); }
static CK_INLINE v16mask v16_less(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
/// False where a or b is NaN.
static CK_INLINE v16mask v16_equal(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static CK_INLINE v16mask v16_first(int n) {
  return (__mmask16)(n <= 0 ? 0u : n >= 16 ? 0xffffu : (1u << n) - 1);
}
static CK_INLINE v16 v16_select(v16mask m, v16 yes, v16 no) {
  return _mm512_mask_blend_ps(m, no, yes);
}
static CK_INLINE v16i v16_bits(v16 x) { return _mm512_castps_si512(x); }
static CK_INLINE v16 v16_float(v16i x) { return _mm512_castsi512_ps(x); }
static CK_INLINE v16i v16i_set(int32_t x) { return _mm512_set1_epi32(x); }
static CK_INLINE v16i v16i_add(v16i a, v16i b) { return _mm512_add_epi32(a, b); }
static CK_INLINE v16i v16i_sub(v16i a, v16i b) { return _mm512_sub_epi32(a, b); }
static CK_INLINE v16i v16i_mul(v16i a, v16i b) { return _mm512_mullo_epi32(a, b); }
/// Sixteen bytes, widened without and with their sign.
static CK_INLINE v16i v16i_bytes(const uint8_t *p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}
static CK_INLINE v16i v16i_signed_bytes(const int8_t *p) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p));
}
static CK_INLINE v16i v16i_and(v16i a, v16i b) { return _mm512_and_si512(a, b); }
static CK_INLINE v16i v16i_or(v16i a, v16i b) { return _mm512_or_si512(a, b); }
static CK_INLINE v16i v16i_max_unsigned(v16i a, v16i b) { return _mm512_max_epu32(a, b); }
#define v16i_left(x, n) _mm512_slli_epi32(x, n)
#define v16i_right(x, n) _mm512_srai_epi32(x, n)
static CK_INLINE v16 v16i_to_float(v16i x) { return _mm512_cvtepi32_ps(x); }
/// The low byte of each lane.
static CK_INLINE void v16i_store_bytes(int8_t *p, v16i x) {
  _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(x));
}
static CK_INLINE __m256 v16_low(v16 x) { return _mm512_castps512_ps256(x); }
static CK_INLINE __m256 v16_high(v16 x) { return _mm512_extractf32x8_ps(x, 1); }
static CK_INLINE int32_t v16i_sum(v16i x) { return _mm512_reduce_add_epi32(x); }
static CK_INLINE uint32_t v16i_greatest(v16i x) { return _mm512_reduce_max_epu32(x); }

static CK_INLINE float v1_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

#include "halving.h"
