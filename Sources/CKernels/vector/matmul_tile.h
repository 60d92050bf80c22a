// Matrix products over v16 for float weights: parts of the inputs outermost within a group of
// panels (so that the part of the weights stays in the second cache), then row tiles. Few rows take
// as many panels at once as hide the latency of the multiply-add. Defines CK_X(matmul_f32), _f16,
// _bf16, _f24 and _f8_e4m3.
//
// From the including file: CK_FEW_PANELS and CK_FEW_ROWS (a tile of up to so many rows),
// CK_WIDE_PANELS and CK_MAX_ROWS (every other tile).
#pragma once

// The weights of input k + i in a panel; i is a constant below the format's block.
#define CK_WIDEN_F32(p, k, i) v16_load((const float *)(p) + (k)*CK_PANEL)
#define CK_WIDEN_F16(p, k, i) v16_half((const uint16_t *)(p) + (k)*CK_PANEL)
#define CK_WIDEN_BF16(p, k, i) v16_brain((const uint16_t *)(p) + (k)*CK_PANEL)
#define CK_WIDEN_F24(p, k, i) v16_of_four((const float *)(p) + (k) / 4 * 48, i)
#define CK_WIDEN_F8(p, k, i) v16_e4m3((const uint8_t *)(p) + (k)*CK_PANEL)

/// Input i of four in a panel of CK_F24 (ck_f24_offset).
static CK_INLINE v16 v16_of_four(const float *p, const int i) {
  v16i low = v16i_set(0xff), word = v16_bits(v16_load(p + 16 * (i % 3)));
  if (i < 3) return v16_float(v16i_and(word, v16i_set(~0xff)));
  v16i middle = v16i_and(v16_bits(v16_load(p + 16)), low);
  word = v16i_or(v16i_left(v16i_and(word, low), 8), v16i_left(middle, 16));
  return v16_float(v16i_or(word, v16i_left(v16_bits(v16_load(p + 32)), 24)));
}

/// Inputs that all rows take before the next ones: a multiple of every chain.
#define CK_PART 1024

/// Inputs ahead of use at which few rows fetch weights narrower than float32: the hardware's own
/// prefetch stops at pages, of which several panels cross many. Float32 gains nothing by it.
#define CK_FLOAT_AHEAD 64

/// Where a product stands: rows [row, row_end), inputs [begin, end) of panels from `panel` on.
typedef struct float_part {
  const ck_matmul *a;
  const char *w;       // the first panel
  size_t panel_bytes;  // from one panel to the next
  size_t panel, row, row_end, begin, end;
} float_part;

/// What the reader of the first of P panels wants CK_FLOAT_AHEAD inputs later: beyond its end that
/// is the beginning of the first of the next P.
static CK_INLINE const char *ahead_of(const float_part *s, size_t k, const int P,
                                      const size_t bytes) {
  size_t at = k + CK_FLOAT_AHEAD;
  size_t skipped = at < s->a->k ? 0 : (size_t)(P - 1) * s->panel_bytes;
  return s->w + at * CK_PANEL * bytes + skipped;
}

/// An output after one more chain.
#define CK_PLAIN(total, chain, a, panel, begin) v16_add(total, chain)
/// The same where 128 inputs share a scale.
#define CK_SCALED(total, chain, a, panel, begin)                                                 \
  v16_add(v16_fma(chain,                                                                         \
                  v16_load((const float *)(a)->scales +                                          \
                           ((panel) * (((a)->k + CK_F8_BLOCK - 1) / CK_F8_BLOCK) +               \
                            (begin) / CK_F8_BLOCK) *                                             \
                               CK_PANEL),                                                        \
                  total),                                                                        \
          v16_zero())

#define CK_FLOAT_MATMUL(name, bytes, step, widen, length, append)                                \
  /* R rows of P panels; the totals rest in memory while a chain runs. */                        \
  static CK_INLINE void name##_tile(const float_part *s, size_t row, const int R, const int P) { \
    const ck_matmul *a = s->a;                                                                   \
    float *y = a->y + row * a->y_stride + s->panel * CK_PANEL;                                   \
    const float *x = a->x + row * a->x_stride;                                                   \
    size_t stride = a->x_stride;                                                                 \
    bool fetch = (bytes < 4 || R > CK_FEW_ROWS) && row == s->row;                                \
    v16 total[CK_TILE_CHAINS];                                                                   \
    CK_UNROLL for (int i = 0; i < R * P; i++)                                                    \
      total[i] = s->begin == 0 ? v16_zero()                                                      \
                               : v16_load(y + (size_t)(i / P) * a->y_stride + 16 * (i % P));     \
    for (size_t begin = s->begin; begin < s->end; begin += length) {                             \
      size_t end = begin + length < s->end ? begin + length : s->end;                            \
      v16 chain[CK_TILE_CHAINS];                                                                 \
      CK_UNROLL for (int i = 0; i < R * P; i++) chain[i] = v16_zero();                           \
      for (size_t k = begin; k < end; k += step) {                                               \
        if (fetch && k % (step > 1 ? step : 4 / bytes) == 0)                                         \
          CK_UNROLL for (int p = 0; p < P; p++) {                                                \
            const char *ahead = ahead_of(s, k, P, bytes) + (size_t)p * s->panel_bytes;           \
            CK_UNROLL for (int line = 0; line < step * bytes; line += 4)                         \
              __builtin_prefetch(ahead + 16 * line);                                             \
          }                                                                                      \
        CK_UNROLL for (int i = 0; i < step; i++) {                                               \
          v16 w[4];                                                                              \
          CK_UNROLL for (int p = 0; p < P; p++)                                                  \
            w[p] = widen(s->w + (size_t)p * s->panel_bytes, k, i);                               \
          CK_UNROLL for (int r = 0; r < R; r++) {                                                \
            v16 value = v16_set(x[(size_t)r * stride + k + (size_t)i]);                          \
            CK_UNROLL for (int p = 0; p < P; p++)                                                \
              chain[r * P + p] = v16_fma(value, w[p], chain[r * P + p]);                         \
          }                                                                                      \
        }                                                                                        \
      }                                                                                          \
      CK_UNROLL for (int i = 0; i < R * P; i++)                                                  \
        total[i] = append(total[i], chain[i], a, s->panel + (size_t)(i % P), begin);             \
    }                                                                                            \
    CK_UNROLL for (int i = 0; i < R * P; i++)                                                    \
      v16_store(y + (size_t)(i / P) * a->y_stride + 16 * (i % P), total[i]);                     \
  }                                                                                              \
                                                                                                 \
  /* All rows over `panels` panels: CK_FEW_PANELS, CK_WIDE_PANELS or 1. */                       \
  static void name##_rows(const float_part *s, size_t panels) {                                  \
    bool few = panels == CK_FEW_PANELS && s->row_end - s->row <= CK_FEW_ROWS;                    \
    /* One row less where unpacking the weights takes registers. */                              \
    size_t most = few ? CK_FEW_ROWS : step > 1 ? CK_MAX_ROWS - 1 : CK_MAX_ROWS;                  \
    size_t height = tile_height(s->row_end - s->row, most);                                      \
    for (size_t row = s->row; row < s->row_end; row += height) {                                 \
      size_t count = s->row_end - row < height ? s->row_end - row : height;                      \
      if (few) {                                                                                 \
        CK_FEW_SWITCH(count, CK_FEW_##name)                                                      \
      } else if (panels == 1) {                                                                  \
        CK_TILE_SWITCH(count, CK_ONE_##name)                                                     \
      } else {                                                                                   \
        CK_TILE_SWITCH(count, CK_WIDE_##name)                                                    \
      }                                                                                          \
    }                                                                                            \
  }                                                                                              \
                                                                                                 \
  void CK_X(name)(const ck_matmul *a, size_t panel, size_t panel_end, size_t row,                \
                  size_t row_end) {                                                              \
    if (row >= row_end) return;                                                                  \
    size_t group = row_end - row <= CK_FEW_ROWS ? CK_FEW_PANELS : CK_WIDE_PANELS;                \
    size_t panel_bytes = a->k * CK_PANEL * bytes;                                                \
    while (panel < panel_end) {                                                                  \
      size_t panels = panel_end - panel >= group ? group : 1;                                    \
      const char *w = (const char *)a->w + panel * panel_bytes;                                  \
      for (size_t begin = 0; begin < a->k; begin += CK_PART) {                                   \
        size_t end = begin + CK_PART < a->k ? begin + CK_PART : a->k;                            \
        float_part part = {a, w, panel_bytes, panel, row, row_end, begin, end};                  \
        name##_rows(&part, panels);                                                              \
      }                                                                                          \
      panel += panels;                                                                           \
    }                                                                                            \
  }

#define CK_FEW_matmul_f32(R) matmul_f32_tile(s, row, R, CK_FEW_PANELS)
#define CK_FEW_matmul_f16(R) matmul_f16_tile(s, row, R, CK_FEW_PANELS)
#define CK_FEW_matmul_bf16(R) matmul_bf16_tile(s, row, R, CK_FEW_PANELS)
#define CK_FEW_matmul_f24(R) matmul_f24_tile(s, row, R, CK_FEW_PANELS)
#define CK_FEW_matmul_f8_e4m3(R) matmul_f8_e4m3_tile(s, row, R, CK_FEW_PANELS)
#define CK_ONE_matmul_f32(R) matmul_f32_tile(s, row, R, 1)
#define CK_ONE_matmul_f16(R) matmul_f16_tile(s, row, R, 1)
#define CK_ONE_matmul_bf16(R) matmul_bf16_tile(s, row, R, 1)
#define CK_ONE_matmul_f24(R) matmul_f24_tile(s, row, R, 1)
#define CK_ONE_matmul_f8_e4m3(R) matmul_f8_e4m3_tile(s, row, R, 1)
#define CK_WIDE_matmul_f32(R) matmul_f32_tile(s, row, R, CK_WIDE_PANELS)
#define CK_WIDE_matmul_f16(R) matmul_f16_tile(s, row, R, CK_WIDE_PANELS)
#define CK_WIDE_matmul_bf16(R) matmul_bf16_tile(s, row, R, CK_WIDE_PANELS)
#define CK_WIDE_matmul_f24(R) matmul_f24_tile(s, row, R, CK_WIDE_PANELS)
#define CK_WIDE_matmul_f8_e4m3(R) matmul_f8_e4m3_tile(s, row, R, CK_WIDE_PANELS)

CK_FLOAT_MATMUL(matmul_f32, 4, 1, CK_WIDEN_F32, CK_CHAIN, CK_PLAIN)
CK_FLOAT_MATMUL(matmul_f16, 2, 1, CK_WIDEN_F16, CK_CHAIN, CK_PLAIN)
CK_FLOAT_MATMUL(matmul_bf16, 2, 1, CK_WIDEN_BF16, CK_CHAIN, CK_PLAIN)
CK_FLOAT_MATMUL(matmul_f24, 3, 4, CK_WIDEN_F24, CK_CHAIN, CK_PLAIN)
CK_FLOAT_MATMUL(matmul_f8_e4m3, 1, 1, CK_WIDEN_F8, CK_F8_BLOCK, CK_SCALED)
