// What this processor can do at most, for benchmarks alone: multiply-adds on registers, without any
// memory, and a plain read of memory. No result of a unit comes from here.
#include "../include/ckernels.h"

#pragma STDC FP_CONTRACT OFF

uint64_t ck_probe_read(const uint64_t *words, size_t count) {
  // Eight sums, so that additions do not wait for each other.
  uint64_t sum[8] = {0};
  for (size_t i = 0; i + 8 <= count; i += 8) {
    for (size_t lane = 0; lane < 8; lane++) sum[lane] += words[i + lane];
  }
  uint64_t total = 0;
  for (size_t lane = 0; lane < 8; lane++) total += sum[lane];
  return total;
}

#if defined(__x86_64__)
#include <immintrin.h>

// Independent chains: more than latency times units of any processor so far, fewer than registers.
#define CHAINS 12

// The empty assembly keeps the compiler from computing ahead: `a` and `b` may change there.
#define CK_PROBE(name, features, type, start, step)                                 \
  __attribute__((target(features))) static void name(size_t rounds) {               \
    type a = start, b = start, chain[CHAINS];                                       \
    for (int i = 0; i < CHAINS; i++) chain[i] = start;                              \
    for (size_t round = 0; round < rounds; round++) {                               \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++) { step; } \
      __asm__ __volatile__("" : "+v"(a), "+v"(b));                                  \
    }                                                                               \
    for (int i = 0; i < CHAINS; i++) __asm__ __volatile__("" : : "v"(chain[i]));    \
  }

CK_PROBE(float_avx512, "avx512f", __m512, _mm512_set1_ps(0.5f),
         chain[i] = _mm512_fmadd_ps(a, b, chain[i]))
CK_PROBE(integer_avx512_vnni, "avx512f,avx512vnni", __m512i, _mm512_set1_epi32(1),
         chain[i] = _mm512_dpbusd_epi32(chain[i], a, b))
CK_PROBE(integer_avx512, "avx512f,avx512bw", __m512i, _mm512_set1_epi32(1),
         chain[i] = _mm512_add_epi32(
             chain[i], _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), _mm512_set1_epi16(1)));
         __asm__ __volatile__("" : "+v"(a)))

CK_PROBE(float_avx2, "avx2,fma", __m256, _mm256_set1_ps(0.5f),
         chain[i] = _mm256_fmadd_ps(a, b, chain[i]))
CK_PROBE(integer_avx2_vnni, "avx2,avxvnni", __m256i, _mm256_set1_epi32(1),
         chain[i] = _mm256_dpbusd_avx_epi32(chain[i], a, b))
CK_PROBE(integer_avx2, "avx2", __m256i, _mm256_set1_epi32(1),
         chain[i] = _mm256_add_epi32(
             chain[i], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
         __asm__ __volatile__("" : "+v"(a)))

ck_probe ck_probe_of(ck_variant variant) {
  // Two operations, multiply and add, for each of 16 or 8 floats, 64 or 32 bytes.
  const size_t wide = 2 * CHAINS * 16, narrow = 2 * CHAINS * 8;
  ck_probe none = {0};
  if (!ck_table_of(variant)) return none;
  switch (variant) {
    case CK_AVX512_VNNI:
      return (ck_probe){float_avx512, wide, integer_avx512_vnni, 4 * wide};
    case CK_AVX512: return (ck_probe){float_avx512, wide, integer_avx512, 4 * wide};
    case CK_AVX2_VNNI: return (ck_probe){float_avx2, narrow, integer_avx2_vnni, 4 * narrow};
    case CK_AVX2: return (ck_probe){float_avx2, narrow, integer_avx2, 4 * narrow};
    default: return none;
  }
}
#else
ck_probe ck_probe_of(ck_variant variant) {
  (void)variant;
  return (ck_probe){0};
}
#endif
