// Exact products of 64 stored weight bytes (16 outputs by 4 inputs) with 4 activations, in AVX2.
#pragma once

typedef v16i w4;

static CK_INLINE v16i bytes64(const uint8_t *p) {
  return (v16i){_mm256_loadu_si256((const __m256i *)p),
                _mm256_loadu_si256((const __m256i *)(p + 32))};
}
static CK_INLINE w4 w4_load(const uint8_t *p) { return bytes64(p); }
static CK_INLINE w4 w4_low(w4 x) {
  __m256i mask = _mm256_set1_epi8(15);
  return (w4){_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
}
static CK_INLINE w4 w4_high(w4 x) {
  return w4_low((w4){_mm256_srli_epi16(x.a, 4), _mm256_srli_epi16(x.b, 4)});
}

static CK_INLINE w4 w4_or(w4 x, w4 y) {
  return (w4){_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
}
static CK_INLINE __m256i moved_bits(__m256i x, int from, int to, int mask) {
  __m256i moved =
      from < to ? _mm256_slli_epi16(x, to - from) : _mm256_srli_epi16(x, from - to);
  return _mm256_and_si256(moved, _mm256_set1_epi8((char)mask));
}
/// Of each byte, the bits from bit `from` on, moved to bit `to` and masked.
static CK_INLINE w4 w4_bits(w4 x, int from, int to, int mask) {
  return (w4){moved_bits(x.a, from, to, mask), moved_bits(x.b, from, to, mask)};
}

#if defined(CK_VNNI)
/// Stored bytes are w + 128: accumulators start at the compensation.
#define CK_DOT8_COMP 1
typedef v16i w8;
static CK_INLINE w8 w8_load(const uint8_t *p) { return bytes64(p); }
static CK_INLINE v16i dot8(v16i sum, w8 w, int32_t q) {
  __m256i x = _mm256_set1_epi32(q);
  return (v16i){_mm256_dpbusd_avx_epi32(sum.a, w.a, x), _mm256_dpbusd_avx_epi32(sum.b, w.b, x)};
}
static CK_INLINE v16i dot4(v16i sum, w4 w, int32_t q) { return dot8(sum, w, q); }
#else
/// vpmaddubsw would saturate on w + 128; |w| times sign(w) q does not (2 x 128 x 127), and needs no
/// compensation.
#define CK_DOT8_COMP 0
typedef struct w8 {
  v16i magnitude, sign;
} w8;
static CK_INLINE w8 w8_load(const uint8_t *p) {
  v16i stored = bytes64(p);
  __m256i offset = _mm256_set1_epi8((char)0x80);
  v16i w = {_mm256_xor_si256(stored.a, offset), _mm256_xor_si256(stored.b, offset)};
  return (w8){{_mm256_abs_epi8(w.a), _mm256_abs_epi8(w.b)}, w};
}
static CK_INLINE __m256i dot_unsigned(__m256i sum, __m256i w, __m256i q) {
  __m256i pairs = _mm256_maddubs_epi16(w, q);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
static CK_INLINE v16i dot8(v16i sum, w8 w, int32_t q) {
  __m256i x = _mm256_set1_epi32(q);
  return (v16i){dot_unsigned(sum.a, w.magnitude.a, _mm256_sign_epi8(x, w.sign.a)),
                dot_unsigned(sum.b, w.magnitude.b, _mm256_sign_epi8(x, w.sign.b))};
}
static CK_INLINE v16i dot4(v16i sum, w4 w, int32_t q) {
  __m256i x = _mm256_set1_epi32(q);
  return (v16i){dot_unsigned(sum.a, w.a, x), dot_unsigned(sum.b, w.b, x)};
}
#endif
