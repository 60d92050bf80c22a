// Matrix products over v16 for float weights: panels outermost, then chains of 256 inputs (so that a panel's part stays
// in the first cache), then row tiles. Defines CK_X(matmul_f32), _f16 and _bf16; CK_MAX_ROWS is a tile's height.
#pragma once

#define CK_WIDEN_F32(p, at) v16_load((const float *)(p) + (at))
#define CK_WIDEN_F16(p, at) v16_half((const uint16_t *)(p) + (at))
#define CK_WIDEN_BF16(p, at) v16_brain((const uint16_t *)(p) + (at))

#define CK_FLOAT_MATMUL(name, bytes, widen)                                                      \
  static CK_INLINE void name##_tile(const ck_matmul *a, const char *w, size_t panel, size_t row, \
                                    const int R, size_t begin, size_t end) {                     \
    v16 chain[CK_MAX_ROWS];                                                                      \
    const float *x = a->x + row * a->x_stride;                                                   \
    size_t stride = a->x_stride;                                                                 \
    CK_UNROLL for (int r = 0; r < R; r++) chain[r] = v16_zero();                                 \
    for (size_t k = begin; k < end; k++) {                                                       \
      v16 weights = widen(w, k * CK_PANEL);                                                      \
      CK_UNROLL for (int r = 0; r < R; r++)                                                      \
        chain[r] = v16_fma(v16_set(x[(size_t)r * stride + k]), weights, chain[r]);               \
    }                                                                                            \
    CK_UNROLL for (int r = 0; r < R; r++) {                                                      \
      float *y = a->y + (row + (size_t)r) * a->y_stride + panel * CK_PANEL;                      \
      v16_store(y, v16_add(begin == 0 ? v16_zero() : v16_load(y), chain[r]));                    \
    }                                                                                            \
  }                                                                                              \
                                                                                                 \
  static void name##_rows(const ck_matmul *a, const char *w, size_t panel, size_t row,           \
                          size_t row_end, size_t begin, size_t end) {                            \
    size_t height = tile_height(row_end - row, CK_MAX_ROWS);                                     \
    for (; row < row_end; row += height) {                                                       \
      size_t count = row_end - row < height ? row_end - row : height;                            \
      CK_TILE_SWITCH(count, CK_CALL_##name)                                                      \
    }                                                                                            \
  }                                                                                              \
                                                                                                 \
  void CK_X(name)(const ck_matmul *a, size_t panel, size_t panel_end, size_t row,                \
                  size_t row_end) {                                                              \
    if (row >= row_end) return;                                                                  \
    for (; panel < panel_end; panel++) {                                                         \
      const char *w = (const char *)a->w + panel * a->k * CK_PANEL * bytes;                      \
      for (size_t begin = 0; begin < a->k; begin += CK_CHAIN) {                                  \
        size_t end = begin + CK_CHAIN < a->k ? begin + CK_CHAIN : a->k;                          \
        name##_rows(a, w, panel, row, row_end, begin, end);                                      \
      }                                                                                          \
    }                                                                                            \
  }

#define CK_CALL_matmul_f32(R) matmul_f32_tile(a, w, panel, row, R, begin, end)
#define CK_CALL_matmul_f16(R) matmul_f16_tile(a, w, panel, row, R, begin, end)
#define CK_CALL_matmul_bf16(R) matmul_bf16_tile(a, w, panel, row, R, begin, end)

CK_FLOAT_MATMUL(matmul_f32, 4, CK_WIDEN_F32)
CK_FLOAT_MATMUL(matmul_f16, 2, CK_WIDEN_F16)
CK_FLOAT_MATMUL(matmul_bf16, 2, CK_WIDEN_BF16)
