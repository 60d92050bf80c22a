// The halving tree over the two halves of a v16, for both x86 families.
#pragma once

/// The sum of 16 lanes: lane i plus lane i + 8, then + 4, + 2, + 1.
static CK_INLINE float v16_sum(v16 x) {
  __m256 eight = _mm256_add_ps(v16_low(x), v16_high(x));
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static CK_INLINE float v16_maximum(v16 x) {
  __m256 eight = _mm256_max_ps(v16_low(x), v16_high(x));
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
