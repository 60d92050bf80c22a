// Matrix products for quantised weights over the integer vocabulary of a variant (dot_*.h). Panels
// outermost, row tiles inner. Defines CK_Q(matmul_q8_0), _q4_0 and _q4_1; CK_Q_ROWS is a tile's
// height.
#pragma once

/// The float half of a block: one FMA with the product of the scales, and one for a minimum.
#define CK_FINISH_BLOCK(r)                                                                      \
  chain[r] = v16_fma(v16i_to_float(sum[r]), v16_mul(v16_set(meta[r * blocks + b].scale), scale), \
                     chain[r])

/// Bytes ahead of use at which weights are fetched: the hardware's own prefetch stops at pages.
#define CK_AHEAD 3072

static CK_INLINE void fetch_ahead(const uint8_t *w, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(w + CK_AHEAD + i);
}

/// The four quantised activations of group g, in every lane.
static CK_INLINE int32_t four(const int8_t *q) {
  int32_t x;
  memcpy(&x, q, 4);
  return x;
}

static CK_INLINE void q8_0_tile(const ck_matmul *a, size_t panel, size_t row, const int R,
                                bool fetch) {
  size_t blocks = a->k / CK_QBLOCK;
  const uint8_t *w = (const uint8_t *)a->w + panel * blocks * 512;
  const uint16_t *d = a->d + panel * blocks * CK_PANEL;
  const int8_t *q = a->xq + row * a->k;
  const ck_qmeta *meta = a->meta + row * blocks;
  v16 chain[CK_Q_ROWS];
  CK_UNROLL for (int r = 0; r < R; r++) chain[r] = v16_zero();
  for (size_t b = 0; b < blocks; b++, w += 512) {
    if (fetch) fetch_ahead(w, 512);
    v16i sum[CK_Q_ROWS];
    CK_UNROLL for (int r = 0; r < R; r++)
      sum[r] = v16i_set(CK_DOT8_COMP ? meta[(size_t)r * blocks + b].comp8 : 0);
    CK_UNROLL for (int g = 0; g < 8; g++) {
      w8 weights = w8_load(w + 64 * g);
      CK_UNROLL for (int r = 0; r < R; r++)
        sum[r] = dot8(sum[r], weights, four(q + (size_t)r * a->k + b * CK_QBLOCK + 4 * (size_t)g));
    }
    v16 scale = v16_half(d + b * CK_PANEL);
    CK_UNROLL for (int r = 0; r < R; r++) CK_FINISH_BLOCK((size_t)r);
  }
  CK_UNROLL for (int r = 0; r < R; r++)
    v16_store(a->y + (row + (size_t)r) * a->y_stride + panel * CK_PANEL,
              v16_add(chain[r], v16_zero()));
}

static CK_INLINE void q4_tile(const ck_matmul *a, size_t panel, size_t row, const int R,
                              const bool minimum, bool fetch) {
  size_t blocks = a->k / CK_QBLOCK;
  const uint8_t *w = (const uint8_t *)a->w + panel * blocks * 256;
  const uint16_t *d = a->d + panel * blocks * CK_PANEL, *m = a->m + panel * blocks * CK_PANEL;
  const int8_t *q = a->xq + row * a->k;
  const ck_qmeta *meta = a->meta + row * blocks;
  v16 chain[CK_Q_ROWS];
  CK_UNROLL for (int r = 0; r < R; r++) chain[r] = v16_zero();
  for (size_t b = 0; b < blocks; b++, w += 256) {
    if (fetch) fetch_ahead(w, 256);
    v16i sum[CK_Q_ROWS];
    CK_UNROLL for (int r = 0; r < R; r++)
      sum[r] = v16i_set(minimum ? 0 : meta[(size_t)r * blocks + b].comp4);
    CK_UNROLL for (int g = 0; g < 4; g++) {
      w4 pairs = w4_load(w + 64 * g), low = w4_low(pairs), high = w4_high(pairs);
      CK_UNROLL for (int r = 0; r < R; r++) {
        const int8_t *at = q + (size_t)r * a->k + b * CK_QBLOCK + 4 * (size_t)g;
        sum[r] = dot4(dot4(sum[r], low, four(at)), high, four(at + 16));
      }
    }
    v16 scale = v16_half(d + b * CK_PANEL);
    CK_UNROLL for (int r = 0; r < R; r++) CK_FINISH_BLOCK((size_t)r);
    if (minimum) {
      v16 least = v16_half(m + b * CK_PANEL);
      CK_UNROLL for (int r = 0; r < R; r++)
        chain[r] = v16_fma(v16_set(meta[(size_t)r * blocks + b].scaled_sum), least, chain[r]);
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++)
    v16_store(a->y + (row + (size_t)r) * a->y_stride + panel * CK_PANEL,
              v16_add(chain[r], v16_zero()));
}

#define CK_QUANTISED_MATMUL(name, call)                                                         \
  void CK_Q(name)(const ck_matmul *a, size_t panel, size_t panel_end, size_t first,             \
                  size_t row_end) {                                                             \
    if (first >= row_end) return;                                                               \
    size_t height = tile_height(row_end - first, CK_Q_ROWS);                                    \
    for (; panel < panel_end; panel++)                                                          \
      for (size_t row = first; row < row_end; row += height) {                                  \
        size_t count = row_end - row < height ? row_end - row : height;                         \
        bool fetch = row == first; /* later tiles find the panel in the cache */                \
        CK_Q_SWITCH(count, call)                                                             \
      }                                                                                         \
  }

#define CK_CALL_Q8_0(R) q8_0_tile(a, panel, row, R, fetch)
#define CK_CALL_Q4_0(R) q4_tile(a, panel, row, R, false, fetch)
#define CK_CALL_Q4_1(R) q4_tile(a, panel, row, R, true, fetch)
CK_QUANTISED_MATMUL(matmul_q8_0, CK_CALL_Q8_0)
CK_QUANTISED_MATMUL(matmul_q4_0, CK_CALL_Q4_0)
CK_QUANTISED_MATMUL(matmul_q4_1, CK_CALL_Q4_1)
