// Rotary position embedding with given tables; pairs are (2i, 2i+1) or (i, i + pairs).
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

void CK_FN(rope)(float *x, size_t heads, size_t head_stride, size_t pairs, const float *cos,
                 const float *sin, bool interleaved) {
  for (size_t h = 0; h < heads; h++) {
    float *head = x + h * head_stride;
    for (size_t i = 0; i < pairs; i++) {
      size_t first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + pairs;
      float a = head[first], b = head[second];
      head[first] = ck_fma(a, cos[i], -(b * sin[i]));
      head[second] = ck_fma(b, cos[i], a * sin[i]);
    }
  }
}
