// The fused multiply-add of sixteen lanes and of one: the instruction where the build has it, else in
// double arithmetic.
//
// The product of two floats is exact in double. Their sum with the third is rounded to double and
// then to float: twice, which differs from once only if the double lies just in the middle between
// two floats (its last 29 bits are 1 and 28 zeros), or if the float is subnormal, where the middle
// is elsewhere. Such lanes are rare; if any lane is one, all are computed again by way of a sum
// rounded to odd (reference/scalar.h).
#pragma once

#if defined(__FMA__) || defined(__aarch64__)
static CK_INLINE v16 v16_fma(v16 a, v16 b, v16 c) { return __builtin_elementwise_fma(a, b, c); }
static CK_INLINE float v1_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
static CK_INLINE float v1_fma(float a, float b, float c) { return ck_fma_software(a, b, c); }

typedef double v4d __attribute__((ext_vector_type(4)));
typedef int32_t v8s __attribute__((ext_vector_type(8)));

/// Set in some lane if the sums must not be rounded to float as they are. In words of 32 bits (low,
/// high of each double): the low one's last 29 bits are 2^28, or the high one's magnitude is above 0
/// and below that of 2^-126. Both are comparisons once a constant is added.
static CK_INLINE v8s doubtful(v4d sum) {
  typedef uint32_t v8u __attribute__((ext_vector_type(8)));
  const v8u mask = {0x1fffffff, 0x7fffffff, 0x1fffffff, 0x7fffffff,
                    0x1fffffff, 0x7fffffff, 0x1fffffff, 0x7fffffff};
  const v8u shift = {0x70000000, 0x7fffffff, 0x70000000, 0x7fffffff,
                     0x70000000, 0x7fffffff, 0x70000000, 0x7fffffff};
  const v8s limit = {-0x7fffffff, -0x47f00001, -0x7fffffff, -0x47f00001,
                     -0x7fffffff, -0x47f00001, -0x7fffffff, -0x47f00001};
  return (v8s)(((v8u)sum & mask) + shift) < limit;
}

/// Four lanes by way of a sum rounded to odd: where the sum is not exact and its last bit is 0, the
/// next number towards the error.
static CK_INLINE v4 fma_by_odd(v4 a, v4 b, v4 c) {
  typedef int64_t v4l __attribute__((ext_vector_type(4)));
  v4d product = __builtin_convertvector(a, v4d) * __builtin_convertvector(b, v4d);
  v4d addend = __builtin_convertvector(c, v4d), sum = product + addend, part = sum - product;
  v4d error = (product - (sum - part)) + (addend - part);
  v4l bits = (v4l)sum, finite = (bits & 0x7ff0000000000000) != 0x7ff0000000000000;
  v4l inexact = finite & (error != 0) & ((bits & 1) == 0);
  v4l step = ((error > 0) == (sum > 0)) ? (v4l)1 : (v4l)-1;
  return __builtin_convertvector((v4d)(bits + (step & inexact)), v4);
}

static __attribute__((noinline, cold)) void fma_exactly(const v16 *a, const v16 *b, v16 *c) {
  const v4 *x = (const v4 *)a, *y = (const v4 *)b;
  v4 *z = (v4 *)c;
  for (int i = 0; i < 4; i++) z[i] = fma_by_odd(x[i], y[i], z[i]);
}

static CK_INLINE v16 v16_fma(v16 a, v16 b, v16 c) {
  v4 y[4];
  v8s doubt = 0;
#define CK_QUARTER(i, lanes)                                                                      \
  {                                                                                               \
    v4d product = __builtin_convertvector(a.lanes, v4d) * __builtin_convertvector(b.lanes, v4d);  \
    v4d sum = product + __builtin_convertvector(c.lanes, v4d);                                    \
    doubt |= doubtful(sum);                                                                       \
    y[i] = __builtin_convertvector(sum, v4);                                                      \
  }
  CK_QUARTER(0, s0123)
  CK_QUARTER(1, s4567)
  CK_QUARTER(2, s89ab)
  CK_QUARTER(3, scdef)
#undef CK_QUARTER
  if (__builtin_expect(__builtin_reduce_or(doubt) != 0, 0)) {
    fma_exactly(&a, &b, &c);
    return c;
  }
  v16 result;
  memcpy(&result, y, sizeof result);
  return result;
}
#endif
