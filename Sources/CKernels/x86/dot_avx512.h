// Exact products of 64 stored weight bytes (16 outputs by 4 inputs) with 4 activations, in AVX-512.
#pragma once

typedef __m512i w4;

static CK_INLINE w4 w4_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
static CK_INLINE w4 w4_low(w4 x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
static CK_INLINE w4 w4_high(w4 x) { return w4_low(_mm512_srli_epi16(x, 4)); }
static CK_INLINE w4 w4_or(w4 a, w4 b) { return _mm512_or_si512(a, b); }
/// Of each byte, the bits from bit `from` on, moved to bit `to` and masked.
static CK_INLINE w4 w4_bits(w4 x, int from, int to, int mask) {
  w4 moved = from < to ? _mm512_slli_epi16(x, (unsigned)(to - from))
                       : _mm512_srli_epi16(x, (unsigned)(from - to));
  return _mm512_and_si512(moved, _mm512_set1_epi8((char)mask));
}

#if defined(CK_VNNI)
/// Stored bytes are w + 128: accumulators start at the compensation.
#define CK_DOT8_COMP 1
typedef __m512i w8;
static CK_INLINE w8 w8_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
static CK_INLINE v16i dot8(v16i sum, w8 w, int32_t q) {
  return _mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32(q));
}
static CK_INLINE v16i dot4(v16i sum, w4 w, int32_t q) { return dot8(sum, w, q); }
#else
/// vpmaddubsw would saturate on w + 128; |w| times q with the sign of w does not (2 x 128 x 127),
/// and needs no compensation.
#define CK_DOT8_COMP 0
typedef struct w8 {
  __m512i magnitude;
  __mmask64 negative;
} w8;
static CK_INLINE w8 w8_load(const uint8_t *p) {
  __m512i w = _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8((char)0x80));
  return (w8){_mm512_abs_epi8(w), _mm512_movepi8_mask(w)};
}
static CK_INLINE v16i dot_unsigned(v16i sum, __m512i w, __m512i q) {
  __m512i pairs = _mm512_maddubs_epi16(w, q);
  return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
static CK_INLINE v16i dot8(v16i sum, w8 w, int32_t q) {
  __m512i x = _mm512_set1_epi32(q);
  __m512i with_sign = _mm512_mask_sub_epi8(x, w.negative, _mm512_setzero_si512(), x);
  return dot_unsigned(sum, w.magnitude, with_sign);
}
static CK_INLINE v16i dot4(v16i sum, w4 w, int32_t q) {
  return dot_unsigned(sum, w, _mm512_set1_epi32(q));
}
#endif
