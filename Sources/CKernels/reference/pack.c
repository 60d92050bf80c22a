// Weight rows: from files to panels of 16 outputs, and from either to float32.
#include "block.h"

#pragma STDC FP_CONTRACT OFF

ck_format ck_panel_format(ck_format format) {
  switch (format) {
    case CK_Q5_0:
    case CK_IQ4_NL: return CK_Q8_0;
    case CK_Q3_K: return CK_Q6_K;
    default: return format;
  }
}

ck_sizes ck_sizes_of(ck_format format) {
  switch (format) {
    case CK_F32: return (ck_sizes){1, 4, 64, 0, 0};
    case CK_F16:
    case CK_BF16: return (ck_sizes){1, 2, 32, 0, 0};
    case CK_F24: return (ck_sizes){4, 12, 192, 0, 0};
    case CK_F8_E4M3: return (ck_sizes){1, 1, 16, 0, 0};
    case CK_Q8_0: return (ck_sizes){32, 34, 512, 32, 0};
    case CK_Q4_0: return (ck_sizes){32, 18, 256, 32, 0};
    case CK_Q4_1: return (ck_sizes){32, 20, 256, 32, 32};
    case CK_Q5_1: return (ck_sizes){32, 24, 320, 32, 32};
    case CK_Q2_K: return (ck_sizes){256, 84, 8 * 128, 64 + 256, 0};
    case CK_Q4_K: return (ck_sizes){256, 144, 8 * 256, 64 + 256, 0};
    case CK_Q5_K: return (ck_sizes){256, 176, 8 * 320, 64 + 256, 0};
    case CK_Q6_K: return (ck_sizes){256, 210, 8 * 384, 32 + 256, 0};
    case CK_Q5_0: return (ck_sizes){32, 22, 0, 0, 0};
    case CK_IQ4_NL: return (ck_sizes){32, 18, 0, 0, 0};
    case CK_Q3_K: return (ck_sizes){256, 110, 0, 0, 0};
    default: return (ck_sizes){1, 0, 0, 0, 0};
  }
}

static bool is_quantised(ck_format format) { return format >= CK_Q8_0; }

/// A value of the formats that are not quantised, as float32; the scale of F8_E4M3 left out.
static float plain_value(ck_format format, const uint8_t *from, size_t i) {
  uint32_t word;
  switch (format) {
    case CK_F32: memcpy(&word, from + 4 * i, 4); return ck_float(word);
    case CK_F16: return ck_half((uint16_t)(from[2 * i] | from[2 * i + 1] << 8));
    case CK_BF16: return ck_brain((uint16_t)(from[2 * i] | from[2 * i + 1] << 8));
    case CK_F24: return ck_float((uint32_t)(from[3 * i] << 8 | from[3 * i + 1] << 16) |
                                 (uint32_t)from[3 * i + 2] << 24);
    default: return ck_e4m3(from[i]);
  }
}

uint32_t ck_exact_formats(const void *raw, size_t n) {
  const uint8_t *from = raw;
  uint32_t lost = 0;
  bool halves = true;
  for (size_t i = 0; i < n; i++) {
    uint32_t word;
    memcpy(&word, from + 4 * i, 4);
    lost |= word;
    halves = halves && (word & 0x7fffffff) < 0x7f800000 &&
             ck_bits(ck_half(ck_f16_of(ck_float(word)))) == word;
    if (!halves && lost & 0xff) break;
  }
  return 1u << CK_F32 | (lost & 0xff ? 0 : 1u << CK_F24) | (lost & 0xffff ? 0 : 1u << CK_BF16) |
         (halves ? 1u << CK_F16 : 0);
}

void ck_narrow(ck_format format, const void *raw, size_t n, void *narrow) {
  const uint8_t *from = raw;
  uint8_t *to = narrow;
  ck_sizes sizes = ck_sizes_of(format);
  size_t bytes = sizes.file_bytes / sizes.block;
  for (size_t i = 0; i < n; i++) {
    uint32_t word;
    memcpy(&word, from + 4 * i, 4);
    if (format == CK_F16) {
      uint16_t half = ck_f16_of(ck_float(word));
      memcpy(to + 2 * i, &half, 2);
    } else {
      for (size_t b = 0; b < bytes; b++) to[bytes * i + b] = (uint8_t)(word >> 8 * (4 - bytes + b));
    }
  }
}

/// The values of a block; `format` is that of panels.
static void block_values(ck_format format, const ck_block *block, float *y) {
  size_t n = ck_sizes_of(format).block;
  size_t share = format == CK_Q4_K || format == CK_Q5_K ? 32 : 16;
  float d = ck_half(block->d), m = ck_half(block->m);
  for (size_t i = 0; i < n; i++) {
    int q = block->q[i];
    uint8_t scale = block->scale[i / share];
    switch (format) {
      case CK_Q8_0: y[i] = d * (float)(q - 128); break;
      case CK_Q4_0: y[i] = d * (float)(q - 8); break;
      case CK_Q4_1:
      case CK_Q5_1: y[i] = d * (float)q + m; break;
      case CK_Q6_K: y[i] = (d * (float)(int8_t)scale) * (float)(q - 32); break;
      default: y[i] = (d * (float)scale) * (float)q - m * (float)block->least[i / share]; break;
    }
  }
}

void ck_pack_row(ck_format format, const void *raw, size_t row, size_t k, void *w, void *scales,
                 void *minima) {
  ck_format to = ck_panel_format(format);
  ck_sizes from_sizes = ck_sizes_of(format), sizes = ck_sizes_of(to);
  size_t panel = row / CK_PANEL, lane = row % CK_PANEL, blocks = k / sizes.block;
  const uint8_t *from = raw;
  uint8_t *panels = (uint8_t *)w + panel * blocks * sizes.panel_bytes;
  if (format == CK_F24) {
    for (size_t i = 0; i < k; i++)
      for (int byte = 0; byte < 3; byte++)
        panels[ck_f24_offset(i, lane, byte)] = from[3 * i + (size_t)byte];
    return;
  }
  if (!is_quantised(format)) {
    size_t bytes = sizes.file_bytes;
    for (size_t i = 0; i < k; i++)
      memcpy(panels + (i * CK_PANEL + lane) * bytes, from + i * bytes, bytes);
    return;
  }
  uint8_t *scale = (uint8_t *)scales + panel * blocks * sizes.scale_bytes;
  uint8_t *minimum = (uint8_t *)minima + panel * blocks * sizes.minimum_bytes;
  for (size_t b = 0; b < blocks; b++) {
    ck_block block;
    ck_block_of_file(format, from + b * from_sizes.file_bytes, &block);
    ck_block_to_panel(to, &block, b, lane, panels, scale, minimum);
  }
}

void ck_dequantise_row(ck_format format, const void *raw, size_t k, float *y) {
  ck_sizes sizes = ck_sizes_of(format);
  const uint8_t *from = raw;
  if (!is_quantised(format)) {
    for (size_t i = 0; i < k; i++) y[i] = plain_value(format, from, i);
    return;
  }
  for (size_t b = 0; b < k / sizes.block; b++) {
    ck_block block;
    ck_block_of_file(format, from + b * sizes.file_bytes, &block);
    block_values(ck_panel_format(format), &block, y + b * sizes.block);
  }
}

void ck_unpack_row(ck_format format, const void *w, const void *scales, const void *minima,
                   size_t row, size_t k, float *y) {
  ck_sizes sizes = ck_sizes_of(format);
  size_t panel = row / CK_PANEL, lane = row % CK_PANEL, blocks = k / sizes.block;
  const uint8_t *panels = (const uint8_t *)w + panel * blocks * sizes.panel_bytes;
  if (!is_quantised(format)) {
    size_t shares = (k + CK_F8_BLOCK - 1) / CK_F8_BLOCK;
    const float *scale = (const float *)scales + panel * shares * CK_PANEL + lane;
    for (size_t i = 0; i < k; i++) {
      float value = format == CK_F24 ? ck_f24(panels, i, lane)
                                     : plain_value(format, panels, i * CK_PANEL + lane);
      y[i] = format == CK_F8_E4M3 ? value * scale[i / CK_F8_BLOCK * CK_PANEL] : value;
    }
    return;
  }
  const uint8_t *scale = (const uint8_t *)scales + panel * blocks * sizes.scale_bytes;
  const uint8_t *minimum = (const uint8_t *)minima + panel * blocks * sizes.minimum_bytes;
  for (size_t b = 0; b < blocks; b++) {
    ck_block block;
    ck_block_of_panel(format, panels, scale, minimum, b, lane, &block);
    block_values(format, &block, y + b * sizes.block);
  }
}
