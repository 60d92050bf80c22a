// A block of quantised weights of one output, taken apart: what files, panels and values of the
// formats have in common.
#pragma once

#include "scalar.h"

/// Weights of the largest block.
#define CK_LARGEST_BLOCK 256

/// A block of a format with panels. The value of weight i is
///   Q8_0        d * (q - 128)
///   Q4_0        d * (q - 8)
///   Q4_1, Q5_1  d * q + m
///   Q4_K, Q5_K  (d * scale) * q - m * least, with scale and least of i / 32
///   Q2_K        (d * scale) * q - m * least, with scale and least of i / 16
///   Q6_K        (d * scale) * (q - 32), with scale of i / 16, an int8
/// where d and m are f16 (m is ggml's `dmin` in the K formats), and each operation rounds.
typedef struct ck_block {
  uint16_t d, m;
  uint8_t scale[16], least[16];
  uint8_t q[CK_LARGEST_BLOCK];
} ck_block;

/// Reads a block of a quantised format of a file; the result is of ck_panel_format(format).
void ck_block_of_file(ck_format format, const uint8_t *raw, ck_block *block);
/// Writes and reads block `index` of a row (the panel's lane `lane`), in panels of `format` whose
/// row of blocks begins at `w`, `scales` and `minima`.
void ck_block_to_panel(ck_format format, const ck_block *block, size_t index, size_t lane,
                       uint8_t *w, uint8_t *scales, uint8_t *minima);
void ck_block_of_panel(ck_format format, const uint8_t *w, const uint8_t *scales,
                       const uint8_t *minima, size_t index, size_t lane, ck_block *block);
