// Blocks of weights as GGUF files hold them (ggml-common.h and ggml-quants.c).
#include "block.h"

#pragma STDC FP_CONTRACT OFF

static uint16_t word_at(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

/// Weight i of 32 nibbles: the low half of byte i below 16, the high half of byte i - 16 above.
static uint8_t nibble(const uint8_t *qs, size_t i) {
  return i < 16 ? qs[i] & 15 : qs[i - 16] >> 4;
}

/// block_q8_0 { f16 d; int8 qs[32]; }
static void read_q8_0(const uint8_t *raw, ck_block *block) {
  block->d = word_at(raw);
  for (size_t i = 0; i < 32; i++) block->q[i] = raw[2 + i] ^ 0x80;
}

/// block_q4_0 { f16 d; uint8 qs[16]; } and block_q4_1 { f16 d, m; uint8 qs[16]; }
static void read_nibbles(const uint8_t *raw, bool minimum, ck_block *block) {
  block->d = word_at(raw);
  if (minimum) block->m = word_at(raw + 2);
  for (size_t i = 0; i < 32; i++) block->q[i] = nibble(raw + (minimum ? 4 : 2), i);
}

/// block_q5_0 { f16 d; uint8 qh[4], qs[16]; }: d * (q - 16), in a block of Q8_0;
/// block_q5_1 { f16 d, m; uint8 qh[4], qs[16]; }. Bit i of qh is the fifth bit of weight i.
static void read_q5(const uint8_t *raw, bool minimum, ck_block *block) {
  const uint8_t *high = raw + (minimum ? 4 : 2);
  block->d = word_at(raw);
  if (minimum) block->m = word_at(raw + 2);
  for (size_t i = 0; i < 32; i++) {
    int q = nibble(high + 4, i) | (high[i / 8] >> i % 8 & 1) << 4;
    block->q[i] = (uint8_t)(minimum ? q : q - 16 + 128);
  }
}

/// block_iq4_nl { f16 d; uint8 qs[16]; }: d * table[nibble], in a block of Q8_0.
static void read_iq4_nl(const uint8_t *raw, ck_block *block) {
  static const int8_t table[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};
  block->d = word_at(raw);
  for (size_t i = 0; i < 32; i++) block->q[i] = (uint8_t)(table[nibble(raw + 2, i)] + 128);
}

/// The eight 6-bit scales and minima of block_q4_K and block_q5_K, in 12 bytes.
static void read_k_scales(const uint8_t *s, ck_block *block) {
  for (size_t j = 0; j < 4; j++) {
    block->scale[j] = s[j] & 63;
    block->least[j] = s[j + 4] & 63;
    block->scale[j + 4] = (uint8_t)((s[j + 8] & 15) | s[j] >> 6 << 4);
    block->least[j + 4] = (uint8_t)(s[j + 8] >> 4 | s[j + 4] >> 6 << 4);
  }
}

/// block_q4_K { f16 d, dmin; uint8 scales[12], qs[128]; } and
/// block_q5_K { f16 d, dmin; uint8 scales[12], qh[32], qs[128]; }.
/// Bytes 32 j + l of qs hold weights 64 j + l and 64 j + 32 + l; bit b of qh[l] is the fifth bit of
/// weight 32 b + l.
static void read_k(const uint8_t *raw, bool five, ck_block *block) {
  const uint8_t *high = raw + 16, *qs = raw + (five ? 48 : 16);
  block->d = word_at(raw);
  block->m = word_at(raw + 2);
  read_k_scales(raw + 4, block);
  for (size_t i = 0; i < 256; i++) {
    size_t l = i % 32, b = i / 32;
    uint8_t pair = qs[b / 2 * 32 + l];
    uint8_t q = b % 2 ? pair >> 4 : pair & 15;
    block->q[i] = five ? (uint8_t)(q | (high[l] >> b & 1) << 4) : q;
  }
}

/// block_q2_K { uint8 scales[16], qs[64]; f16 d, dmin; }: scale in the low, minimum in the high
/// nibble; bits 2 j of qs[32 n + l] hold weight 128 n + 32 j + l.
static void read_q2_k(const uint8_t *raw, ck_block *block) {
  block->d = word_at(raw + 80);
  block->m = word_at(raw + 82);
  for (size_t i = 0; i < 16; i++) {
    block->scale[i] = raw[i] & 15;
    block->least[i] = raw[i] >> 4;
  }
  for (size_t i = 0; i < 256; i++)
    block->q[i] = raw[16 + i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
}

/// block_q3_K { uint8 hmask[32], qs[64], scales[12]; f16 d; }: (d * (scale - 32)) * q with q from
/// -4 to 3, whose low two bits lie as in Q2_K and whose third, set for q >= 0, is bit i / 32 of
/// hmask[i % 32]. A block of Q6_K.
static void read_q3_k(const uint8_t *raw, ck_block *block) {
  const uint8_t *qs = raw + 32, *scales = raw + 96;
  block->d = word_at(raw + 108);
  for (size_t i = 0; i < 16; i++) {
    int low = i < 8 ? scales[i] & 15 : scales[i - 8] >> 4;
    int high = scales[8 + i % 4] >> (i / 4 * 2) & 3;
    block->scale[i] = (uint8_t)((low | high << 4) - 32);
  }
  for (size_t i = 0; i < 256; i++) {
    int low = qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
    int q = raw[i % 32] >> i / 32 & 1 ? low : low - 4;
    block->q[i] = (uint8_t)(q + 32);
  }
}

/// block_q6_K { uint8 ql[128], qh[64]; int8 scales[16]; f16 d; }: of each half of 128 weights, the
/// low four bits are the nibbles of 64 bytes (low nibbles first), the high two lie as in Q2_K.
static void read_q6_k(const uint8_t *raw, ck_block *block) {
  block->d = word_at(raw + 208);
  memcpy(block->scale, raw + 192, 16);
  for (size_t i = 0; i < 256; i++) {
    size_t n = i / 128, j = i / 32 % 4, l = i % 32;
    uint8_t pair = raw[64 * n + 32 * (j % 2) + l];
    uint8_t low = j < 2 ? pair & 15 : pair >> 4;
    block->q[i] = (uint8_t)(low | (raw[128 + 32 * n + l] >> 2 * j & 3) << 4);
  }
}

void ck_block_of_file(ck_format format, const uint8_t *raw, ck_block *block) {
  switch (format) {
    case CK_Q8_0: read_q8_0(raw, block); break;
    case CK_Q4_0: read_nibbles(raw, false, block); break;
    case CK_Q4_1: read_nibbles(raw, true, block); break;
    case CK_Q5_0: read_q5(raw, false, block); break;
    case CK_Q5_1: read_q5(raw, true, block); break;
    case CK_IQ4_NL: read_iq4_nl(raw, block); break;
    case CK_Q2_K: read_q2_k(raw, block); break;
    case CK_Q3_K: read_q3_k(raw, block); break;
    case CK_Q4_K: read_k(raw, false, block); break;
    case CK_Q5_K: read_k(raw, true, block); break;
    case CK_Q6_K: read_q6_k(raw, block); break;
    default: break;
  }
}
