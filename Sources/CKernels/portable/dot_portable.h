// Exact products of 64 stored weight bytes (16 outputs by 4 inputs) with 4 activations, in 16-bit
// words. A lane of 32 bits holds the 4 inputs of an output: its even bytes and its odd bytes are
// each a pair of words.
#pragma once

typedef v16i w4;

static CK_INLINE v16i bytes64(const uint8_t *p) {
  v16i x;
  memcpy(&x, p, sizeof x);
  return x;
}
static CK_INLINE w4 w4_load(const uint8_t *p) { return bytes64(p); }
static CK_INLINE w4 w4_low(w4 x) { return x & 0x0f0f0f0f; }
static CK_INLINE w4 w4_high(w4 x) { return x >> 4 & 0x0f0f0f0f; }
static CK_INLINE w4 w4_or(w4 x, w4 y) { return x | y; }
/// Of each byte, the bits from bit `from` on, moved to bit `to` and masked.
static CK_INLINE w4 w4_bits(w4 x, int from, int to, int mask) {
  w4 moved = from < to ? x << (uint32_t)(to - from) : x >> (uint32_t)(from - to);
  return moved & (uint32_t)mask * 0x01010101u;
}

/// sum plus, in each lane, the products of its two pairs of words.
static CK_INLINE v16i add_products(v16i sum, v16i a, v16i b) {
#if defined(__SSE2__)
  typedef __attribute__((vector_size(16))) short words;
  v16i products;
  words x[4], y[4], z[4];
  memcpy(x, &a, sizeof x);
  memcpy(y, &b, sizeof y);
  CK_UNROLL for (int i = 0; i < 4; i++) z[i] = (words)__builtin_ia32_pmaddwd128(x[i], y[i]);
  memcpy(&products, z, sizeof products);
  return sum + products;
#else
  v16s even = (v16s)(a << 16) >> 16, odd = (v16s)a >> 16;
  v16s first = (v16s)(b << 16) >> 16, second = (v16s)b >> 16;
  return sum + (v16i)(even * first) + (v16i)(odd * second);
#endif
}

/// Stored bytes are w + 128: accumulators start at the compensation.
#define CK_DOT8_COMP 1
typedef v16i w8;
static CK_INLINE w8 w8_load(const uint8_t *p) { return bytes64(p); }
static CK_INLINE v16i dot8(v16i sum, w8 w, int32_t q) {
  typedef int16_t v8h __attribute__((ext_vector_type(8)));
  typedef int32_t v4s __attribute__((ext_vector_type(4)));
  v8h four = (v8h)(v4s)q, odd = four >> 8, even = (four << 8) >> 8;
  v4s x = (v4s)even, y = (v4s)odd;
  sum = add_products(sum, w & 0x00ff00ff, (v16i)(v16s)x.xyzwxyzwxyzwxyzw);
  return add_products(sum, w >> 8 & 0x00ff00ff, (v16i)(v16s)y.xyzwxyzwxyzwxyzw);
}
static CK_INLINE v16i dot4(v16i sum, w4 w, int32_t q) { return dot8(sum, w, q); }
