// Blocks of weights in panels of 16 outputs. Of 32 inputs, group g holds inputs 4 g .. 4 g + 3 of
// every output in 64 bytes, so that one register meets four activations.
//   Q8_0              8 groups of bytes
//   Q4_0, Q4_1, Q4_K  4 groups of nibbles: group g low, group g + 4 high
//   Q5_1, Q5_K        these, then 64 bytes whose bit g is the fifth bit of group g
//   Q2_K              2 x 64 bytes: bits 2 g of the first for group g, of the second for g + 4
//   Q6_K              the nibbles, then the fifth and sixth bits as in Q2_K
#include "block.h"

#pragma STDC FP_CONTRACT OFF

typedef struct parts {
  bool bytes, nibbles, fifth, pairs;
  size_t size;  // of 16 outputs by 32 inputs
} parts;

static parts parts_of(ck_format format) {
  switch (format) {
    case CK_Q8_0: return (parts){.bytes = true, .size = 512};
    case CK_Q5_1:
    case CK_Q5_K: return (parts){.nibbles = true, .fifth = true, .size = 320};
    case CK_Q6_K: return (parts){.nibbles = true, .pairs = true, .size = 384};
    case CK_Q2_K: return (parts){.pairs = true, .size = 128};
    default: return (parts){.nibbles = true, .size = 256};
  }
}

/// Adds 32 weights of one output to zeroed panel bytes, which begin at the output's lane.
static void put(parts p, const uint8_t *q, uint8_t *w) {
  for (size_t i = 0; i < 32; i++) {
    size_t group = i / 4 % 4, half = i / 16, lane = i % 4;
    if (p.bytes) w[64 * (i / 4) + lane] = q[i];
    if (p.nibbles) w[64 * group + lane] |= (uint8_t)((q[i] & 15) << 4 * half);
    if (p.fifth) w[256 + lane] |= (uint8_t)((q[i] >> 4 & 1) << i / 4);
    uint8_t *pairs = w + (p.nibbles ? 256 : 0) + 64 * half + lane;
    if (p.pairs) *pairs |= (uint8_t)((q[i] >> (p.nibbles ? 4 : 0) & 3) << 2 * group);
  }
}

static void get(parts p, const uint8_t *w, uint8_t *q) {
  for (size_t i = 0; i < 32; i++) {
    size_t group = i / 4 % 4, half = i / 16, lane = i % 4;
    uint8_t value = p.bytes ? w[64 * (i / 4) + lane] : 0;
    if (p.nibbles) value = w[64 * group + lane] >> 4 * half & 15;
    if (p.fifth) value |= (uint8_t)((w[256 + lane] >> i / 4 & 1) << 4);
    uint8_t pairs = w[(p.nibbles ? 256 : 0) + 64 * half + lane];
    if (p.pairs) value |= (uint8_t)((pairs >> 2 * group & 3) << (p.nibbles ? 4 : 0));
    q[i] = value;
  }
}

static void put_word(uint8_t *to, size_t lane, uint16_t word) { memcpy(to + 2 * lane, &word, 2); }

static uint16_t get_word(const uint8_t *from, size_t lane) {
  uint16_t word;
  memcpy(&word, from + 2 * lane, 2);
  return word;
}

void ck_block_to_panel(ck_format format, const ck_block *block, size_t index, size_t lane,
                       uint8_t *w, uint8_t *scales, uint8_t *minima) {
  ck_sizes sizes = ck_sizes_of(format);
  parts p = parts_of(format);
  w += index * sizes.panel_bytes + 4 * lane;
  for (size_t b = 0; b < sizes.block / 32; b++) put(p, block->q + 32 * b, w + b * p.size);
  uint8_t *scale = scales + index * sizes.scale_bytes;
  put_word(scale, lane, block->d);
  if (sizes.minimum_bytes) put_word(minima + index * sizes.minimum_bytes, lane, block->m);
  if (sizes.block == 32) return;
  if (format != CK_Q6_K) put_word(scale + 32, lane, block->m);
  for (size_t i = 0; i < 8 && (format == CK_Q4_K || format == CK_Q5_K); i++) {
    scale[64 + 32 * i + lane] = block->scale[i];
    scale[64 + 32 * i + 16 + lane] = block->least[i];
  }
  for (size_t i = 0; i < 16; i++) {
    if (format == CK_Q6_K) scale[32 + 16 * i + lane] = block->scale[i];
    if (format == CK_Q2_K)
      scale[64 + 16 * i + lane] = (uint8_t)(block->scale[i] | block->least[i] << 4);
  }
}

void ck_block_of_panel(ck_format format, const uint8_t *w, const uint8_t *scales,
                       const uint8_t *minima, size_t index, size_t lane, ck_block *block) {
  ck_sizes sizes = ck_sizes_of(format);
  parts p = parts_of(format);
  w += index * sizes.panel_bytes + 4 * lane;
  for (size_t b = 0; b < sizes.block / 32; b++) get(p, w + b * p.size, block->q + 32 * b);
  const uint8_t *scale = scales + index * sizes.scale_bytes;
  block->d = get_word(scale, lane);
  if (sizes.minimum_bytes) block->m = get_word(minima + index * sizes.minimum_bytes, lane);
  if (sizes.block == 32) return;
  if (format != CK_Q6_K) block->m = get_word(scale + 32, lane);
  for (size_t i = 0; i < 8 && (format == CK_Q4_K || format == CK_Q5_K); i++) {
    block->scale[i] = scale[64 + 32 * i + lane];
    block->least[i] = scale[64 + 32 * i + 16 + lane];
  }
  for (size_t i = 0; i < 16; i++) {
    if (format == CK_Q6_K) block->scale[i] = scale[32 + 16 * i + lane];
    if (format == CK_Q2_K) block->scale[i] = scale[64 + 16 * i + lane] & 15;
    if (format == CK_Q2_K) block->least[i] = scale[64 + 16 * i + lane] >> 4;
  }
}
