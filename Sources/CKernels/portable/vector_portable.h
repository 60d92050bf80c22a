// Sixteen lanes of float32 in vectors of the compiler: the vocabulary of vector/ on any processor
// (four registers of SSE2 or NEON).
#pragma once

typedef float v16 __attribute__((ext_vector_type(16)));
/// Unsigned, so that sums wrap.
typedef uint32_t v16i __attribute__((ext_vector_type(16)));
typedef int32_t v16s __attribute__((ext_vector_type(16)));
typedef v16s v16mask;
typedef uint16_t v16h __attribute__((ext_vector_type(16)));
typedef uint8_t v16b __attribute__((ext_vector_type(16)));
typedef float v4 __attribute__((ext_vector_type(4)));

static CK_INLINE v16 v16_load(const float *p) {
  v16 x;
  memcpy(&x, p, sizeof x);
  return x;
}
static CK_INLINE void v16_store(float *p, v16 x) { memcpy(p, &x, sizeof x); }
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
static CK_INLINE v16i v16_bits(v16 x) { return (v16i)x; }
static CK_INLINE v16 v16_float(v16i x) { return (v16)x; }
static CK_INLINE v16 v16_set(float x) { return (v16)x; }
static CK_INLINE v16 v16_zero(void) { return (v16)0.0f; }
static CK_INLINE v16 v16_add(v16 a, v16 b) { return a + b; }
static CK_INLINE v16 v16_sub(v16 a, v16 b) { return a - b; }
static CK_INLINE v16 v16_mul(v16 a, v16 b) { return a * b; }
static CK_INLINE v16 v16_div(v16 a, v16 b) { return a / b; }
static CK_INLINE v16 v16_sqrt(v16 x) { return __builtin_elementwise_sqrt(x); }
static CK_INLINE v16mask v16_less(v16 a, v16 b) { return a < b; }
/// False where a or b is NaN.
static CK_INLINE v16mask v16_equal(v16 a, v16 b) { return a == b; }
static CK_INLINE v16 v16_select(v16mask m, v16 yes, v16 no) { return m ? yes : no; }
/// If either is NaN: b.
static CK_INLINE v16 v16_max(v16 a, v16 b) { return a > b ? a : b; }
static CK_INLINE v16 v16_min(v16 a, v16 b) { return a < b ? a : b; }
static CK_INLINE v16mask v16_first(int n) {
  return (v16s){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} < (v16s)n;
}
static CK_INLINE v16i v16i_set(int32_t x) { return (v16i)(uint32_t)x; }
static CK_INLINE v16i v16i_add(v16i a, v16i b) { return a + b; }
static CK_INLINE v16i v16i_sub(v16i a, v16i b) { return a - b; }
static CK_INLINE v16i v16i_mul(v16i a, v16i b) { return a * b; }
static CK_INLINE v16i v16i_and(v16i a, v16i b) { return a & b; }
static CK_INLINE v16i v16i_or(v16i a, v16i b) { return a | b; }
static CK_INLINE v16i v16i_max_unsigned(v16i a, v16i b) { return a > b ? a : b; }
#define v16i_left(x, n) ((x) << (n))
#define v16i_right(x, n) ((v16i)((v16s)(x) >> (n)))
static CK_INLINE v16 v16i_to_float(v16i x) { return __builtin_convertvector((v16s)x, v16); }
/// The low byte of each lane.
static CK_INLINE void v16i_store_bytes(int8_t *p, v16i x) {
  v16b bytes = __builtin_convertvector(x, v16b);
  memcpy(p, &bytes, sizeof bytes);
}
/// Sixteen bytes, widened without and with their sign.
static CK_INLINE v16i v16i_bytes(const uint8_t *p) {
  v16b bytes;
  memcpy(&bytes, p, sizeof bytes);
  return __builtin_convertvector(bytes, v16i);
}
static CK_INLINE v16i v16i_signed_bytes(const int8_t *p) {
  return (v16i)((v16s)(v16i_bytes((const uint8_t *)p) << 24) >> 24);
}

// 16-bit formats, as in reference/scalar.h.
static CK_INLINE v16i v16_words(const uint16_t *p) {
  v16h words;
  memcpy(&words, p, sizeof words);
  return __builtin_convertvector(words, v16i);
}
static CK_INLINE v16 v16_half(const uint16_t *p) {
  v16i words = v16_words(p), magnitude = words & 0x7fff, sign = (words & 0x8000) << 16;
  v16 scaled = (v16)(magnitude << 13) * 0x1p+112f;  // also right for subnormals
  v16i special = (v16i)0x7f800000 | (magnitude & 0x3ff) << 13;
  return (v16)(sign | ((v16s)magnitude >= 0x7c00 ? special : (v16i)scaled));
}
static CK_INLINE v16 v16_brain(const uint16_t *p) { return (v16)(v16_words(p) << 16); }
/// Finite values alone: packing refuses NaN.
static CK_INLINE v16 v16_e4m3(const uint8_t *p) {
  v16i bytes = v16i_bytes(p);
  return (v16)((v16i)((v16)((bytes & 0x7f) << 20) * 0x1p+120f) | (bytes & 0x80) << 24);
}
/// Of magnitudes up to 65504.
static CK_INLINE void v16_store_half(uint16_t *p, v16 x) {
  v16i u = (v16i)x, sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
  v16i small = (v16i)((v16)magnitude + 0.5f) - 0x3f000000;
  v16i normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13;
  v16h half = __builtin_convertvector(
      sign | ((v16s)magnitude < 0x38800000 ? small : normal), v16h);
  memcpy(p, &half, sizeof half);
}

// The halving tree.
static CK_INLINE float v16_sum(v16 x) {
  v4 t = (x.s0123 + x.s89ab) + (x.s4567 + x.scdef);
  return (t.x + t.z) + (t.y + t.w);
}
static CK_INLINE v4 v4_max(v4 a, v4 b) { return a > b ? a : b; }
static CK_INLINE float v16_maximum(v16 x) {
  v4 t = v4_max(v4_max(x.s0123, x.s89ab), v4_max(x.s4567, x.scdef));
  float even = t.x > t.z ? t.x : t.z, odd = t.y > t.w ? t.y : t.w;
  return even > odd ? even : odd;
}
/// The sum of the lanes, and the greatest of them as unsigned numbers.
static CK_INLINE int32_t v16i_sum(v16i x) { return (int32_t)__builtin_reduce_add(x); }
static CK_INLINE uint32_t v16i_greatest(v16i x) { return __builtin_reduce_max(x); }
