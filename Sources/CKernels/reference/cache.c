// Stores to the key/value cache: saturated, so that a position's overflow stays that position's own
// failure.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

/// Values converted at a time.
#define CHUNK 64

void ck_store_key(const ck_table *table, const float *x, size_t n, size_t slot, void *keys,
                  bool half) {
  for (size_t i = 0; i < n; i += CHUNK) {
    size_t count = n - i < CHUNK ? n - i : CHUNK;
    if (half) {
      uint16_t values[CHUNK], *column = (uint16_t *)keys + i * CK_KEYS + slot;
      table->to_f16(x + i, count, values);
      for (size_t j = 0; j < count; j++) column[j * CK_KEYS] = values[j];
    } else {
      float values[CHUNK], *column = (float *)keys + i * CK_KEYS + slot;
      ck_saturate(x + i, count, values);
      for (size_t j = 0; j < count; j++) column[j * CK_KEYS] = values[j];
    }
  }
}

void ck_store_value(const ck_table *table, const float *x, size_t n, size_t slot,
                    size_t value_stride, void *values, bool half) {
  if (half)
    table->to_f16(x, n, (uint16_t *)values + slot * value_stride);
  else
    ck_saturate(x, n, (float *)values + slot * value_stride);
}
