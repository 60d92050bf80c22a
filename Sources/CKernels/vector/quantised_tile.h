// Matrix products for quantised weights over the integer vocabulary of a variant (dot_*.h). Panels
// outermost, row tiles inner. Defines CK_Q(matmul_*) for all quantised panel formats; tiles are
// CK_Q_ROWS high, those with scales for 16 weights CK_HALF_ROWS.
#pragma once

/// Bytes ahead of use at which weights are fetched: the hardware's own prefetch stops at pages.
#define CK_AHEAD 3072

static CK_INLINE void fetch_ahead(const uint8_t *w, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(w + CK_AHEAD + i);
}

/// Groups of three rows, which one pointer and its stride reach.
#define CK_GROUPS 5

/// R rows of activations at one of their blocks.
typedef struct tile_rows {
  const int8_t *q[CK_GROUPS];
  const char *meta[CK_GROUPS];
  size_t stride, meta_stride;  // from row to row, in bytes
} tile_rows;

static CK_INLINE tile_rows tile_rows_at(const ck_matmul *a, size_t row, const int R) {
  tile_rows x = {.stride = a->k, .meta_stride = a->k / CK_QBLOCK * sizeof(ck_qmeta)};
  CK_UNROLL for (int i = 0; 3 * i < R; i++) {
    x.q[i] = a->xq + (row + 3 * (size_t)i) * x.stride;
    x.meta[i] = (const char *)a->meta + (row + 3 * (size_t)i) * x.meta_stride;
  }
  return x;
}

static CK_INLINE void next_block(tile_rows *x, const int R) {
  CK_UNROLL for (int i = 0; 3 * i < R; i++) {
    x->q[i] += CK_QBLOCK;
    x->meta[i] += sizeof(ck_qmeta);
  }
}

/// Keeps what is read of the rows after here from being read before.
static CK_INLINE void keep_rows(tile_rows *x, const int R) {
  CK_UNROLL for (int i = 0; 3 * i < R; i++) {
    CK_KEEP(x->q[i]);
    CK_KEEP(x->meta[i]);
  }
}

/// The four quantised activations of row r from input i of the block on, in every lane.
static CK_INLINE int32_t four(const tile_rows *x, int r, size_t i) {
  int32_t word;
  memcpy(&word, x->q[r / 3] + (size_t)(r % 3) * x->stride + i, 4);
  return word;
}

static CK_INLINE const ck_qmeta *meta_of(const tile_rows *x, int r) {
  return (const ck_qmeta *)(x->meta[r / 3] + (size_t)(r % 3) * x->meta_stride);
}

/// The float half of a block: one FMA with the product of the scales.
static CK_INLINE void add_block(tile_rows *x, const int R, const v16i *sum, v16 scale,
                                v16 *chain) {
  keep_rows(x, R);
  CK_UNROLL for (int r = 0; r < R; r++)
    chain[r] = v16_fma(v16i_to_float(sum[r]), v16_mul(v16_set(meta_of(x, r)->scale), scale),
                       chain[r]);
}

/// And one for a minimum.
static CK_INLINE void add_minimum(const tile_rows *x, const int R, v16 least, v16 *chain) {
  CK_UNROLL for (int r = 0; r < R; r++)
    chain[r] = v16_fma(v16_set(meta_of(x, r)->scaled_sum), least, chain[r]);
}

static CK_INLINE void start_tile(const int R, v16 *chain) {
  CK_UNROLL for (int r = 0; r < R; r++) chain[r] = v16_zero();
}

static CK_INLINE void store_tile(const ck_matmul *a, size_t panel, size_t row, const int R,
                                 const v16 *chain) {
  CK_UNROLL for (int r = 0; r < R; r++)
    v16_store(a->y + (row + (size_t)r) * a->y_stride + panel * CK_PANEL,
              v16_add(chain[r], v16_zero()));
}

static CK_INLINE void q8_0_tile(const ck_matmul *a, size_t panel, size_t row, const int R,
                                bool fetch) {
  tile_rows x = tile_rows_at(a, row, R);
  size_t blocks = a->k / CK_QBLOCK;
  const uint8_t *w = (const uint8_t *)a->w + panel * blocks * 512;
  const uint16_t *d = (const uint16_t *)a->scales + panel * blocks * CK_PANEL;
  v16 chain[CK_Q_ROWS];
  start_tile(R, chain);
  for (size_t b = 0; b < blocks; b++, w += 512, next_block(&x, R)) {
    keep_rows(&x, R);
    if (fetch) fetch_ahead(w, 512);
    v16i sum[CK_Q_ROWS];
    CK_UNROLL for (int r = 0; r < R; r++)
      sum[r] = v16i_set(CK_DOT8_COMP ? meta_of(&x, r)->comp8 : 0);
    CK_UNROLL for (int g = 0; g < 8; g++) {
      w8 weights = w8_load(w + 64 * g);
      CK_UNROLL for (int r = 0; r < R; r++)
        sum[r] = dot8(sum[r], weights, four(&x, r, 4 * (size_t)g));
    }
    add_block(&x, R, sum, v16_half(d + b * CK_PANEL), chain);
  }
  store_tile(a, panel, row, R, chain);
}

/// Adds to each sum the products of the block with nibbles, or with five bits.
static CK_INLINE void nibble_dots(const tile_rows *x, const uint8_t *w, const int R,
                                  const bool five, v16i *sum) {
  w4 fifth = five ? w4_load(w + 256) : w4_load(w);
  CK_UNROLL for (int g = 0; g < 4; g++) {
    w4 pairs = w4_load(w + 64 * g), low = w4_low(pairs), high = w4_high(pairs);
    if (five) {
      low = w4_or(low, w4_bits(fifth, g, 4, 16));
      high = w4_or(high, w4_bits(fifth, g + 4, 4, 16));
    }
    CK_UNROLL for (int r = 0; r < R; r++) {
      size_t at = 4 * (size_t)g;
      sum[r] = dot4(dot4(sum[r], low, four(x, r, at)), high, four(x, r, at + 16));
    }
  }
}

/// Q4_0, Q4_1 and Q5_1: scales and minima of 32 weights as f16.
static CK_INLINE void nibble_tile(const ck_matmul *a, size_t panel, size_t row, const int R,
                                  const bool minimum, const bool five, bool fetch) {
  tile_rows x = tile_rows_at(a, row, R);
  size_t blocks = a->k / CK_QBLOCK;
  size_t bytes = five ? 320 : 256;
  const uint8_t *w = (const uint8_t *)a->w + panel * blocks * bytes;
  const uint16_t *d = (const uint16_t *)a->scales + panel * blocks * CK_PANEL;
  const uint16_t *m = (const uint16_t *)a->minima + panel * blocks * CK_PANEL;
  v16 chain[CK_Q_ROWS];
  start_tile(R, chain);
  for (size_t b = 0; b < blocks; b++, w += bytes, next_block(&x, R)) {
    keep_rows(&x, R);
    if (fetch) fetch_ahead(w, bytes);
    v16i sum[CK_Q_ROWS];
    CK_UNROLL for (int r = 0; r < R; r++)
      sum[r] = v16i_set(minimum ? 0 : meta_of(&x, r)->comp4);
    nibble_dots(&x, w, R, five, sum);
    add_block(&x, R, sum, v16_half(d + b * CK_PANEL), chain);
    if (minimum) add_minimum(&x, R, v16_half(m + b * CK_PANEL), chain);
  }
  store_tile(a, panel, row, R, chain);
}

/// Q4_K and Q5_K: of 256 weights, f16 scales of the 6-bit scales and minima of 32.
static CK_INLINE void k_tile(const ck_matmul *a, size_t panel, size_t row, const int R,
                             const bool five, bool fetch) {
  tile_rows x = tile_rows_at(a, row, R);
  size_t blocks = a->k / CK_QBLOCK;
  size_t bytes = five ? 320 : 256;
  const uint8_t *w = (const uint8_t *)a->w + panel * blocks * bytes;
  const uint8_t *s = (const uint8_t *)a->scales + panel * (blocks / 8) * 320;
  v16 chain[CK_Q_ROWS];
  start_tile(R, chain);
  for (size_t super = 0; super < blocks; super += 8, s += 320) {
    v16 d = v16_half((const uint16_t *)s), m = v16_half((const uint16_t *)(s + 32));
    v16 negative = v16_sub(v16_set(-0.0f), m);
    for (size_t i = 0; i < 8; i++, w += bytes, next_block(&x, R)) {
      keep_rows(&x, R);
      if (fetch) fetch_ahead(w, bytes);
      v16i sum[CK_Q_ROWS];
      CK_UNROLL for (int r = 0; r < R; r++) sum[r] = v16i_set(0);
      nibble_dots(&x, w, R, five, sum);
      v16i scale = v16i_bytes(s + 64 + 32 * i), least = v16i_bytes(s + 80 + 32 * i);
      add_block(&x, R, sum, v16_mul(d, v16i_to_float(scale)), chain);
      add_minimum(&x, R, v16_mul(negative, v16i_to_float(least)), chain);
    }
  }
  store_tile(a, panel, row, R, chain);
}

/// The products of either half of the block with the six bits of Q6_K or the two of Q2_K.
static CK_INLINE void half_dots(const tile_rows *x, const uint8_t *w, const int R, const bool six,
                                v16i *first, v16i *second) {
  w4 low_pairs = w4_load(w + (six ? 256 : 0)), high_pairs = w4_load(w + (six ? 320 : 64));
  CK_UNROLL for (int g = 0; g < 4; g++) {
    w4 low, high;
    if (six) {
      w4 nibbles = w4_load(w + 64 * g);
      low = w4_or(w4_low(nibbles), w4_bits(low_pairs, 2 * g, 4, 48));
      high = w4_or(w4_high(nibbles), w4_bits(high_pairs, 2 * g, 4, 48));
    } else {
      low = w4_bits(low_pairs, 2 * g, 0, 3);
      high = w4_bits(high_pairs, 2 * g, 0, 3);
    }
    CK_UNROLL for (int r = 0; r < R; r++) {
      size_t at = 4 * (size_t)g;
      first[r] = dot4(first[r], low, four(x, r, at));
      second[r] = dot4(second[r], high, four(x, r, at + 16));
    }
  }
}

static CK_INLINE v16i scaled_halves(v16i first, v16i first_scale, v16i second, v16i second_scale) {
  return v16i_add(v16i_mul(first, first_scale), v16i_mul(second, second_scale));
}

/// Q6_K and Q2_K: of 256 weights, f16 scales of the integer scales (and minima) of 16. The integer
/// scales are applied before the conversion to float: the sum of both halves stays exact.
static CK_INLINE void half_tile(const ck_matmul *a, size_t panel, size_t row, const int R,
                                const bool six, bool fetch) {
  tile_rows x = tile_rows_at(a, row, R);
  size_t blocks = a->k / CK_QBLOCK;
  size_t bytes = six ? 384 : 128, scale_bytes = six ? 288 : 320;
  const uint8_t *w = (const uint8_t *)a->w + panel * blocks * bytes;
  const uint8_t *s = (const uint8_t *)a->scales + panel * (blocks / 8) * scale_bytes;
  v16 chain[CK_HALF_ROWS];
  start_tile(R, chain);
  for (size_t super = 0; super < blocks; super += 8, s += scale_bytes) {
    v16 d = v16_half((const uint16_t *)s);
    for (size_t i = 0; i < 8; i++, w += bytes, next_block(&x, R)) {
      keep_rows(&x, R);
      if (fetch) fetch_ahead(w, bytes);
      v16i first[CK_HALF_ROWS], second[CK_HALF_ROWS];
      CK_UNROLL for (int r = 0; r < R; r++) {
        first[r] = v16i_set(six ? meta_of(&x, r)->comp6[0] : 0);
        second[r] = v16i_set(six ? meta_of(&x, r)->comp6[1] : 0);
      }
      half_dots(&x, w, R, six, first, second);
      if (six) {
        const int8_t *scales = (const int8_t *)s + 32 + 32 * i;
        v16i scale[2] = {v16i_signed_bytes(scales), v16i_signed_bytes(scales + 16)};
        CK_UNROLL for (int r = 0; r < R; r++)
          first[r] = scaled_halves(first[r], scale[0], second[r], scale[1]);
        add_block(&x, R, first, d, chain);
      } else {
        v16i pair[2] = {v16i_bytes(s + 64 + 32 * i), v16i_bytes(s + 80 + 32 * i)};
        v16i mask = v16i_set(15), scale[2] = {v16i_and(pair[0], mask), v16i_and(pair[1], mask)};
        v16i least[2] = {v16i_right(pair[0], 4), v16i_right(pair[1], 4)};
        CK_UNROLL for (int r = 0; r < R; r++)
          first[r] = scaled_halves(first[r], scale[0], second[r], scale[1]);
        add_block(&x, R, first, d, chain);
        CK_UNROLL for (int r = 0; r < R; r++) {
          const int32_t *comp = meta_of(&x, r)->comp6;  // -32 times the sums
          v16i sum = scaled_halves(v16i_set(comp[0]), least[0], v16i_set(comp[1]), least[1]);
          first[r] = v16i_right(sum, 5);
        }
        add_block(&x, R, first, v16_half((const uint16_t *)(s + 32)), chain);
      }
    }
  }
  store_tile(a, panel, row, R, chain);
}

#define CK_QUANTISED_MATMUL(name, most, select, call)                                           \
  void CK_Q(name)(const ck_matmul *a, size_t panel, size_t panel_end, size_t first,             \
                  size_t row_end) {                                                             \
    if (first >= row_end) return;                                                               \
    size_t height = tile_height(row_end - first, most);                                         \
    for (; panel < panel_end; panel++)                                                          \
      for (size_t row = first; row < row_end; row += height) {                                  \
        size_t count = row_end - row < height ? row_end - row : height;                         \
        bool fetch = row == first; /* later tiles find the panel in the cache */                \
        select(count, call)                                                                     \
      }                                                                                         \
  }

#define CK_CALL_Q8_0(R) q8_0_tile(a, panel, row, R, fetch)
#define CK_CALL_Q4_0(R) nibble_tile(a, panel, row, R, false, false, fetch)
#define CK_CALL_Q4_1(R) nibble_tile(a, panel, row, R, true, false, fetch)
#define CK_CALL_Q5_1(R) nibble_tile(a, panel, row, R, true, true, fetch)
#define CK_CALL_Q4_K(R) k_tile(a, panel, row, R, false, fetch)
#define CK_CALL_Q5_K(R) k_tile(a, panel, row, R, true, fetch)
#define CK_CALL_Q6_K(R) half_tile(a, panel, row, R, true, fetch)
#define CK_CALL_Q2_K(R) half_tile(a, panel, row, R, false, fetch)
CK_QUANTISED_MATMUL(matmul_q8_0, CK_Q_ROWS, CK_Q_SWITCH, CK_CALL_Q8_0)
CK_QUANTISED_MATMUL(matmul_q4_0, CK_Q_ROWS, CK_Q_SWITCH, CK_CALL_Q4_0)
CK_QUANTISED_MATMUL(matmul_q4_1, CK_Q_ROWS, CK_Q_SWITCH, CK_CALL_Q4_1)
CK_QUANTISED_MATMUL(matmul_q5_1, CK_Q_ROWS, CK_Q_SWITCH, CK_CALL_Q5_1)
CK_QUANTISED_MATMUL(matmul_q4_k, CK_Q_ROWS, CK_Q_SWITCH, CK_CALL_Q4_K)
CK_QUANTISED_MATMUL(matmul_q5_k, CK_Q_ROWS, CK_Q_SWITCH, CK_CALL_Q5_K)
CK_QUANTISED_MATMUL(matmul_q6_k, CK_HALF_ROWS, CK_HALF_SWITCH, CK_CALL_Q6_K)
CK_QUANTISED_MATMUL(matmul_q2_k, CK_HALF_ROWS, CK_HALF_SWITCH, CK_CALL_Q2_K)
