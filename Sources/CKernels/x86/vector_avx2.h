// Sixteen lanes of float32 in two AVX registers: the vocabulary of vector/.
#pragma once

typedef struct v16 {
  __m256 a, b;
} v16;
typedef struct v16i {
  __m256i a, b;
} v16i;
typedef v16 v16mask;

#define CK_BOTH(name, instruction)                                                   \
  static CK_INLINE v16 name(v16 x, v16 y) {                                          \
    return (v16){instruction(x.a, y.a), instruction(x.b, y.b)};                      \
  }
#define CK_BOTH_INT(name, instruction)                                               \
  static CK_INLINE v16i name(v16i x, v16i y) {                                       \
    return (v16i){instruction(x.a, y.a), instruction(x.b, y.b)};                     \
  }
CK_BOTH(v16_add, _mm256_add_ps)
CK_BOTH(v16_sub, _mm256_sub_ps)
CK_BOTH(v16_mul, _mm256_mul_ps)
CK_BOTH(v16_div, _mm256_div_ps)
/// If either is NaN: the second.
CK_BOTH(v16_max, _mm256_max_ps)
CK_BOTH(v16_min, _mm256_min_ps)
CK_BOTH_INT(v16i_add, _mm256_add_epi32)
CK_BOTH_INT(v16i_sub, _mm256_sub_epi32)
CK_BOTH_INT(v16i_mul, _mm256_mullo_epi32)
CK_BOTH_INT(v16i_and, _mm256_and_si256)
CK_BOTH_INT(v16i_or, _mm256_or_si256)
CK_BOTH_INT(v16i_max_unsigned, _mm256_max_epu32)
#define v16i_left(x, n) ((v16i){_mm256_slli_epi32((x).a, n), _mm256_slli_epi32((x).b, n)})
#define v16i_right(x, n) ((v16i){_mm256_srai_epi32((x).a, n), _mm256_srai_epi32((x).b, n)})

static CK_INLINE v16 v16_sqrt(v16 x) {
  return (v16){_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)};
}
static CK_INLINE v16 v16_load(const float *p) {
  return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
static CK_INLINE void v16_store(float *p, v16 x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
/// The first n lanes from memory, the rest +0; and the first n lanes to memory.
static CK_INLINE v16 v16_load_first(const float *p, size_t n) {
  float lanes[16] = {0};
  memcpy(lanes, p, 4 * n);
  return v16_load(lanes);
}
static CK_INLINE void v16_store_first(float *p, size_t n, v16 x) {
  float lanes[16];
  v16_store(lanes, x);
  memcpy(p, lanes, 4 * n);
}
static CK_INLINE v16 v16_half(const uint16_t *p) {
  return (v16){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
               _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
static CK_INLINE __m256 v8_brain(const uint16_t *p) {
  __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
static CK_INLINE v16 v16_brain(const uint16_t *p) { return (v16){v8_brain(p), v8_brain(p + 8)}; }
/// Finite values alone: packing refuses NaN.
static CK_INLINE v16 v16_e4m3(const uint8_t *p) {
  __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
  __m256i half = _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16((short)0xbf80));
  __m256 scale = _mm256_set1_ps(0x1p+8f);
  return (v16){_mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(half)), scale),
               _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(half, 1)), scale)};
}
static CK_INLINE void v16_store_half(uint16_t *p, v16 x) {
  _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
static CK_INLINE v16 v16_set(float x) { return (v16){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
static CK_INLINE v16 v16_zero(void) { return (v16){_mm256_setzero_ps(), _mm256_setzero_ps()}; }
static CK_INLINE v16 v16_fma(v16 x, v16 y, v16 z) {
  return (v16){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
/// Sixteen bytes, widened without and with their sign.
static CK_INLINE v16i v16i_bytes(const uint8_t *p) {
  return (v16i){_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)),
                _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8)))};
}
static CK_INLINE v16i v16i_signed_bytes(const int8_t *p) {
  return (v16i){_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)),
                _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8)))};
}
static CK_INLINE v16mask v16_less(v16 x, v16 y) {
  return (v16){_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)};
}
/// False where x or y is NaN.
static CK_INLINE v16mask v16_equal(v16 x, v16 y) {
  return (v16){_mm256_cmp_ps(x.a, y.a, _CMP_EQ_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_EQ_OQ)};
}
static CK_INLINE v16mask v16_first(int n) {
  __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), limit = _mm256_set1_epi32(n);
  __m256i upper = _mm256_add_epi32(lanes, _mm256_set1_epi32(8));
  return (v16){_mm256_castsi256_ps(_mm256_cmpgt_epi32(limit, lanes)),
               _mm256_castsi256_ps(_mm256_cmpgt_epi32(limit, upper))};
}
static CK_INLINE v16 v16_select(v16mask m, v16 yes, v16 no) {
  return (v16){_mm256_blendv_ps(no.a, yes.a, m.a), _mm256_blendv_ps(no.b, yes.b, m.b)};
}
static CK_INLINE v16i v16_bits(v16 x) {
  return (v16i){_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)};
}
static CK_INLINE v16 v16_float(v16i x) {
  return (v16){_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)};
}
static CK_INLINE v16i v16i_set(int32_t x) {
  return (v16i){_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
static CK_INLINE v16 v16i_to_float(v16i x) {
  return (v16){_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
/// The low byte of each lane, which holds -128...127.
static CK_INLINE void v16i_store_bytes(int8_t *p, v16i x) {
  __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xd8);
  __m128i low = _mm256_castsi256_si128(words), high = _mm256_extracti128_si256(words, 1);
  _mm_storeu_si128((__m128i *)p, _mm_packs_epi16(low, high));
}
static CK_INLINE __m256 v16_low(v16 x) { return x.a; }
static CK_INLINE __m256 v16_high(v16 x) { return x.b; }
static CK_INLINE int32_t v16i_sum(v16i x) {
  __m256i eight = _mm256_add_epi32(x.a, x.b);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}
static CK_INLINE uint32_t v16i_greatest(v16i x) {
  __m256i eight = _mm256_max_epu32(x.a, x.b);
  __m128i four = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  __m128i two = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0x4e));
  return (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(two, _mm_shuffle_epi32(two, 0xb1)));
}

static CK_INLINE float v1_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

#include "halving.h"
