// Exact products of 64 stored weight bytes (16 outputs by 4 inputs) with 4 activations, in AVX-512.
#pragma once

typedef __m512i w8;
typedef __m512i w4;

static CK_INLINE w8 w8_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
static CK_INLINE w4 w4_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
static CK_INLINE w4 w4_low(w4 x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
static CK_INLINE w4 w4_high(w4 x) { return w4_low(_mm512_srli_epi16(x, 4)); }

/// Stored bytes are w + 128: accumulators start at the compensation.
#define CK_DOT8_COMP 1

#if defined(CK_VNNI)
static CK_INLINE v16i dot8(v16i sum, w8 w, int32_t q) {
  return _mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32(q));
}
static CK_INLINE v16i dot4(v16i sum, w4 w, int32_t q) { return dot8(sum, w, q); }
#else
/// Sixteen-bit products of even and odd bytes: vpmaddubsw would saturate.
static CK_INLINE v16i dot8(v16i sum, w8 w, int32_t q) {
  __m512i x = _mm512_set1_epi32(q);
  __m512i even = _mm512_madd_epi16(_mm512_and_si512(w, _mm512_set1_epi16(255)),
                                   _mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8));
  __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(w, 8), _mm512_srai_epi16(x, 8));
  return _mm512_add_epi32(sum, _mm512_add_epi32(even, odd));
}
/// Nibbles are small enough for vpmaddubsw: 2 x 15 x 127.
static CK_INLINE v16i dot4(v16i sum, w4 w, int32_t q) {
  __m512i pairs = _mm512_maddubs_epi16(w, _mm512_set1_epi32(q));
  return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
#endif
