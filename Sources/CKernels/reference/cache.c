// Stores to the key/value cache: saturated, so that a position's overflow stays that position's own failure.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

void ck_store_key(const float *x, size_t n, size_t slot, void *keys, bool half) {
  for (size_t i = 0; i < n; i++) {
    if (half)
      ((uint16_t *)keys)[i * CK_KEYS + slot] = ck_half_of(x[i]);
    else
      ck_saturate(x + i, 1, (float *)keys + i * CK_KEYS + slot);
  }
}

void ck_store_value(const float *x, size_t n, size_t slot, size_t value_stride, void *values,
                    bool half) {
  if (half) {
    uint16_t *row = (uint16_t *)values + slot * value_stride;
    for (size_t i = 0; i < n; i++) row[i] = ck_half_of(x[i]);
  } else {
    ck_saturate(x, n, (float *)values + slot * value_stride);
  }
}
