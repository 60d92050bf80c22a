// Weights from file rows to panels of 16 outputs and back. The layouts are those of GGUF
// (ggml-common.h):
//   block_q8_0 { f16 d; int8 qs[32]; }                 w[i] = d * qs[i]
//   block_q4_0 { f16 d; uint8 qs[16]; }                w[i] = d * (nibble(i) - 8)
//   block_q4_1 { f16 d; f16 m; uint8 qs[16]; }         w[i] = d * nibble(i) + m
// where nibble(i) is the low half of qs[i] for i < 16, the high half of qs[i - 16] above.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

static size_t block_bytes(ck_format format) {
  return format == CK_Q8_0 ? 34 : format == CK_Q4_0 ? 18 : 20;
}

static uint16_t half_bits_at(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static void pack_quantised(ck_format format, const uint8_t *raw, size_t row, size_t k, uint8_t *w,
                           uint16_t *d, uint16_t *m) {
  size_t blocks = k / CK_QBLOCK, panel = row / CK_PANEL, lane = row % CK_PANEL;
  size_t groups = format == CK_Q8_0 ? 8 : 4, offset = format == CK_Q4_1 ? 4 : 2;
  for (size_t b = 0; b < blocks; b++, raw += block_bytes(format)) {
    size_t block = panel * blocks + b;
    d[block * CK_PANEL + lane] = half_bits_at(raw);
    if (format == CK_Q4_1) m[block * CK_PANEL + lane] = half_bits_at(raw + 2);
    for (size_t g = 0; g < groups; g++) {
      uint8_t *to = w + (block * groups + g) * 64 + 4 * lane;
      const uint8_t *from = raw + offset + 4 * g;
      for (size_t i = 0; i < 4; i++) to[i] = format == CK_Q8_0 ? from[i] ^ 0x80 : from[i];
    }
  }
}

void ck_pack_row(ck_format format, const void *raw, size_t row, size_t k, void *w, uint16_t *d,
                 uint16_t *m) {
  size_t at = row / CK_PANEL * k * CK_PANEL + row % CK_PANEL;
  const uint8_t *from = raw;
  if (format == CK_F32) {
    for (size_t i = 0; i < k; i++) memcpy((float *)w + at + i * CK_PANEL, from + 4 * i, 4);
  } else if (format == CK_F16 || format == CK_BF16) {
    for (size_t i = 0; i < k; i++) memcpy((uint16_t *)w + at + i * CK_PANEL, from + 2 * i, 2);
  } else {
    pack_quantised(format, from, row, k, w, d, m);
  }
}

/// Value i of a block of nibbles or bytes, as an integer.
static int32_t quantum(ck_format format, const uint8_t *bytes, size_t i) {
  if (format == CK_Q8_0) return (int8_t)bytes[i];
  int32_t nibble = i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4;
  return format == CK_Q4_0 ? nibble - 8 : nibble;
}

void ck_dequantise_row(ck_format format, const void *raw, size_t k, float *y) {
  const uint8_t *from = raw;
  if (format == CK_F32) {
    memcpy(y, from, 4 * k);
  } else if (format == CK_F16) {
    for (size_t i = 0; i < k; i++) y[i] = ck_half(half_bits_at(from + 2 * i));
  } else if (format == CK_BF16) {
    for (size_t i = 0; i < k; i++) y[i] = ck_brain(half_bits_at(from + 2 * i));
  } else {
    size_t offset = format == CK_Q4_1 ? 4 : 2;
    for (size_t b = 0; b < k / CK_QBLOCK; b++, from += block_bytes(format)) {
      float d = ck_half(half_bits_at(from)), m = ck_half(half_bits_at(from + 2));
      for (size_t i = 0; i < CK_QBLOCK; i++) {
        float product = d * (float)quantum(format, from + offset, i);
        y[b * CK_QBLOCK + i] = format == CK_Q4_1 ? product + m : product;
      }
    }
  }
}

void ck_unpack_row(ck_format format, const void *w, const uint16_t *d, const uint16_t *m,
                   size_t row, size_t k, float *y) {
  size_t panel = row / CK_PANEL, lane = row % CK_PANEL, at = panel * k * CK_PANEL + lane;
  if (format == CK_F32) {
    for (size_t i = 0; i < k; i++) y[i] = ((const float *)w)[at + i * CK_PANEL];
  } else if (format == CK_F16) {
    for (size_t i = 0; i < k; i++) y[i] = ck_half(((const uint16_t *)w)[at + i * CK_PANEL]);
  } else if (format == CK_BF16) {
    for (size_t i = 0; i < k; i++) y[i] = ck_brain(((const uint16_t *)w)[at + i * CK_PANEL]);
  } else {
    size_t blocks = k / CK_QBLOCK, groups = format == CK_Q8_0 ? 8 : 4;
    for (size_t b = 0; b < blocks; b++) {
      uint8_t bytes[CK_QBLOCK];
      size_t block = panel * blocks + b;
      const uint8_t *from = (const uint8_t *)w + block * groups * 64 + 4 * lane;
      for (size_t i = 0; i < 4 * groups; i++)
        bytes[i] = from[i / 4 * 64 + i % 4] ^ (format == CK_Q8_0 ? 0x80 : 0);
      float scale = ck_half(d[block * CK_PANEL + lane]);
      float minimum = format == CK_Q4_1 ? ck_half(m[block * CK_PANEL + lane]) : 0;
      for (size_t i = 0; i < CK_QBLOCK; i++) {
        float product = scale * (float)quantum(format, bytes, i);
        y[b * CK_QBLOCK + i] = format == CK_Q4_1 ? product + minimum : product;
      }
    }
  }
}
