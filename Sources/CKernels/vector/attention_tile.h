// Attention over v16, for up to CK_ATTENTION_ROWS query rows (token and head pairs, tokens
// outermost) at a time: each key block is read once for all of them. Defines CK_X(attention). Tiles
// are up to 6 rows by CK_WIDTH v16, or taller and narrower (CK_TALL_ROWS by CK_TALL_WIDTH), which
// widens fewer f16 for as many products.
#pragma once

/// Rows rounded up to whole v16.
#define CK_ATTENTION_LANES ((CK_ATTENTION_ROWS + 15) / 16 * 16)

typedef struct attention_state {
  const ck_attention *a;
  size_t rows, first;  // rows of this pass, and the first of them in the whole call
  size_t position[CK_ATTENTION_ROWS];
  size_t low[CK_ATTENTION_ROWS], high[CK_ATTENTION_ROWS];  // the keys of this block that a row sees
  float block_maximum[CK_ATTENTION_LANES], block_sum[CK_ATTENTION_LANES];
  float maximum[CK_ATTENTION_LANES], sum[CK_ATTENTION_LANES];
  float keep[CK_ATTENTION_LANES], take[CK_ATTENTION_LANES];  // factors of the merge
  float sink[CK_ATTENTION_LANES];
  float *scores;                                             // [rows][64], then probabilities
  float *q;                                                  // [rows][key_dim]
  float *out;                                                // [rows][value_stride], merged
} attention_state;

static CK_INLINE v16 cache_v16(const void *base, size_t at, bool half) {
  return half ? v16_half((const uint16_t *)base + at) : v16_load((const float *)base + at);
}

/// Scores of R rows against `width` x 16 keys: chains of up to 256 dimensions, added in order.
static CK_INLINE void score_tile(const attention_state *s, size_t row, const int R,
                                 const void *block, size_t column, const int width,
                                 const bool half) {
  const ck_attention *a = s->a;
  size_t stride = a->key_dim, bytes = half ? 2 : 4;
  const char *keys = (const char *)block + (a->key_offset + column) * bytes;
  float *scores = s->scores + row * CK_KEYS + column;
  for (size_t begin = 0; begin < a->key_dim; begin += CK_CHAIN) {
    size_t end = begin + CK_CHAIN < a->key_dim ? begin + CK_CHAIN : a->key_dim;
    v16 chain[CK_TALL_ROWS][CK_WIDTH];
    CK_UNROLL for (int r = 0; r < R; r++)
      CK_UNROLL for (int c = 0; c < width; c++) chain[r][c] = v16_zero();
    const float *q0 = s->q + row * stride + begin, *q3 = q0 + 3 * stride, *q6 = q3 + 3 * stride;
    const float *q9 = q6 + 3 * stride;
    for (size_t d = begin; d < end; d++, q0++, q3++, q6++, q9++, keys += CK_KEYS * bytes) {
      CK_KEEP(q0);
      if (R > 3) CK_KEEP(q3);
      if (R > 6) CK_KEEP(q6);
      if (R > 9) CK_KEEP(q9);
      v16 key[CK_WIDTH];
      CK_UNROLL for (int c = 0; c < width; c++) key[c] = cache_v16(keys, 16 * (size_t)c, half);
      CK_UNROLL for (int r = 0; r < R; r++) {
        const float *q = r < 3 ? q0 : r < 6 ? q3 : r < 9 ? q6 : q9;
        v16 value = v16_set(q[(size_t)(r % 3) * stride]);
        CK_UNROLL for (int c = 0; c < width; c++) chain[r][c] = v16_fma(value, key[c], chain[r][c]);
      }
    }
    CK_UNROLL for (int r = 0; r < R; r++)
      CK_UNROLL for (int c = 0; c < width; c++) {
        float *to = scores + r * CK_KEYS + 16 * c;
        v16_store(to, v16_add(begin == 0 ? v16_zero() : v16_load(to), chain[r][c]));
      }
  }
}

/// Merges into R rows' output, `width` x 16 value dimensions, that of keys [low, high) of a block.
/// Keys that a row does not see have probability +0; they cannot change a chain except for the sign
/// of a zero, which the last addition clears.
static CK_INLINE void value_tile(const attention_state *s, size_t row, const int R,
                                 const void *block, size_t low, size_t high, size_t column,
                                 const int width, const bool half) {
  size_t bytes = half ? 2 : 4, stride = s->a->value_stride * bytes;
  const char *values = (const char *)block + (s->a->value_offset + column) * bytes + low * stride;
  const float *p = s->scores + row * CK_KEYS + low, *end = p + (high - low);
  v16 chain[CK_TALL_ROWS][CK_WIDTH];
  CK_UNROLL for (int r = 0; r < R; r++)
    CK_UNROLL for (int c = 0; c < width; c++) chain[r][c] = v16_zero();
  for (; p < end; p++, values += stride) {
    CK_KEEP(p);
    v16 value[CK_WIDTH];
    CK_UNROLL for (int c = 0; c < width; c++) value[c] = cache_v16(values, 16 * (size_t)c, half);
    CK_UNROLL for (int r = 0; r < R; r++) {
      v16 weight = v16_set(p[r * CK_KEYS]);
      CK_UNROLL for (int c = 0; c < width; c++)
        chain[r][c] = v16_fma(weight, value[c], chain[r][c]);
    }
  }
  CK_UNROLL for (int r = 0; r < R; r++) {
    float *out = s->out + (row + (size_t)r) * s->a->value_stride + column;
    v16 keep = v16_set(s->keep[row + (size_t)r]), take = v16_set(s->take[row + (size_t)r]);
    CK_UNROLL for (int c = 0; c < width; c++) {
      v16 kept = v16_mul(v16_load(out + 16 * c), keep);
      v16_store(out + 16 * c, v16_fma(v16_add(chain[r][c], v16_zero()), take, kept));
    }
  }
}

static CK_INLINE void score_columns(const attention_state *s, size_t row, const int R,
                                    const void *block, const int width, const bool half) {
  for (size_t column = 0; column < CK_KEYS; column += 16 * (size_t)width)
    score_tile(s, row, R, block, column, width, half);
}

static CK_INLINE void value_columns(const attention_state *s, size_t row, const int R,
                                    const void *block, size_t low, size_t high, const int width,
                                    const bool half) {
  size_t column = 0, step = 16 * (size_t)width;
  for (; column + step <= s->a->value_stride; column += step)
    value_tile(s, row, R, block, low, high, column, width, half);
  for (; column < s->a->value_stride; column += 16)
    value_tile(s, row, R, block, low, high, column, 1, half);
}

static CK_INLINE void score_rows_of(const attention_state *s, size_t row, size_t count,
                                    const void *block, const bool half) {
#define CK_CALL_FEW(R) score_columns(s, row, R, block, CK_WIDTH, half)
#define CK_CALL_TALL(R) score_columns(s, row, R, block, CK_TALL_WIDTH, half)
  if (count <= 6) {
    CK_SWITCH_6(count, CK_CALL_FEW)
  } else {
    CK_TALL_SWITCH(count, CK_CALL_TALL)
  }
#undef CK_CALL_FEW
#undef CK_CALL_TALL
}

static CK_INLINE void value_rows_of(const attention_state *s, size_t row, size_t count,
                                    const void *block, size_t low, size_t high, const bool half) {
#define CK_CALL_FEW(R) value_columns(s, row, R, block, low, high, CK_WIDTH, half)
#define CK_CALL_TALL(R) value_columns(s, row, R, block, low, high, CK_TALL_WIDTH, half)
  if (count <= 6) {
    CK_SWITCH_6(count, CK_CALL_FEW)
  } else {
    CK_TALL_SWITCH(count, CK_CALL_TALL)
  }
#undef CK_CALL_FEW
#undef CK_CALL_TALL
}

static void score_rows(const attention_state *s, size_t row, size_t end, const void *block) {
  size_t height = tile_height(end - row, CK_TALL_ROWS);
  for (; row < end; row += height) {
    size_t count = end - row < height ? end - row : height;
    if (s->a->half)
      score_rows_of(s, row, count, block, true);
    else
      score_rows_of(s, row, count, block, false);
  }
}

static size_t window_start(const ck_attention *a, size_t position) {
  return a->window != 0 && position + 1 > a->window ? position + 1 - a->window : 0;
}

/// Finds the keys of block b that each row sees, none being an empty range; returns the range of
/// rows that see any.
static void look(attention_state *s, size_t b, size_t *first, size_t *last) {
  size_t start = b * CK_KEYS;
  *first = s->rows;
  *last = 0;
  for (size_t r = 0; r < s->rows; r++) {
    size_t position = s->position[r], from = window_start(s->a, position);
    size_t low = from > start ? from - start : 0;
    size_t high = position < start ? 0 : position + 1 - start;
    high = high < CK_KEYS ? high : CK_KEYS;
    s->low[r] = low;
    s->high[r] = high;
    if (low >= high) continue;
    *first = r < *first ? r : *first;
    *last = r + 1;
  }
}

static void value_rows(const attention_state *s, size_t row, size_t end, const void *block) {
  size_t height = tile_height(end - row, CK_TALL_ROWS);
  for (; row < end; row += height) {
    size_t count = end - row < height ? end - row : height;
    // Positions rise with the rows: the first sees the earliest key, the last the latest.
    size_t low = s->low[row], high = s->high[row + count - 1];
    if (s->a->half)
      value_rows_of(s, row, count, block, low, high, true);
    else
      value_rows_of(s, row, count, block, low, high, false);
  }
}

/// `x` for keys [low, high), else `other`.
static CK_INLINE v16 among(v16 x, int first, size_t low, size_t high, v16 other) {
  v16mask below = v16_first((int)low - first), within = v16_first((int)high - first);
  return v16_select(below, other, v16_select(within, x, other));
}

/// Scales a row's scores and caps them, masks those it does not see, and returns the maximum of the
/// rest.
static CK_INLINE float scaled_maximum(float *scores, float scale, float cap, size_t low,
                                      size_t high) {
  v16 s[4], lowest = v16_set(-__builtin_inff()), factor = v16_set(scale);
  bool whole = low == 0 && high == CK_KEYS;
  CK_UNROLL for (int c = 0; c < 4; c++) {
    s[c] = v16_mul(v16_load(scores + 16 * c), factor);
    if (cap != 0) s[c] = v16_mul(v16_set(cap), v16_tanh(v16_div(s[c], v16_set(cap))));
    if (!whole) s[c] = among(s[c], 16 * c, low, high, lowest);
    v16_store(scores + 16 * c, s[c]);
  }
  return v16_maximum(v16_max(v16_max(s[0], s[1]), v16_max(s[2], s[3])));
}

/// Turns a row's scores into exponentials, +0 where masked, and returns their sum.
static CK_INLINE float exponentiate(float *scores, float maximum, size_t low, size_t high) {
  v16 shift = v16_set(maximum), lanes = v16_zero();
  bool whole = low == 0 && high == CK_KEYS;
  CK_UNROLL for (int c = 0; c < 4; c++) {
    v16 p = v16_exp(v16_sub(v16_load(scores + 16 * c), shift));
    // By position, not by value: with an infinite maximum a masked key's exponential is not zero.
    if (!whole) p = among(p, 16 * c, low, high, v16_zero());
    lanes = v16_add(lanes, p);
    v16_store(scores + 16 * c, p);
  }
  return v16_sum(lanes);
}

/// The factors by which each row's output so far and this block's are merged, and the merged sums.
/// Before its first block a row has maximum -infinity, sum +0 and output +0: then the factors are 0
/// and 1, and the merge is exact. Rows outside [first, last) stay as they are.
static void prepare_merge(attention_state *s, size_t first, size_t last) {
  for (size_t r = 0; r < s->rows; r += 16) {
    v16 old = v16_load(s->maximum + r), new = v16_load(s->block_maximum + r);
    v16 top = v16_max(new, old), sum = v16_load(s->sum + r);
    v16 keep = v16_exp(v16_sub(old, top)), take = v16_exp(v16_sub(new, top));
    v16 merged = v16_fma(v16_load(s->block_sum + r), take, v16_mul(sum, keep));
    v16_store(s->keep + r, keep);
    v16_store(s->take + r, take);
    v16_store(s->maximum + r, among(top, (int)r, first, last, old));
    v16_store(s->sum + r, among(merged, (int)r, first, last, sum));
  }
}

static void attend_block(attention_state *s, size_t b) {
  const void *block = s->a->blocks[b];
  size_t first, last;
  look(s, b, &first, &last);
  if (first >= last) return;
  score_rows(s, first, last, block);
  for (size_t r = first; r < last; r++)
    s->block_maximum[r] =
        scaled_maximum(s->scores + r * CK_KEYS, s->a->scale, s->a->cap, s->low[r], s->high[r]);
  for (size_t r = first; r < last; r++)
    s->block_sum[r] =
        exponentiate(s->scores + r * CK_KEYS, s->block_maximum[r], s->low[r], s->high[r]);
  prepare_merge(s, first, last);
  value_rows(s, first, last, block);
}

/// The factor of every row's output, into s->take: 1 / sum, after a sink has joined the sum.
static void normalise(attention_state *s) {
  const v16 one = v16_set(1.0f);
  for (size_t r = 0; r < s->rows; r += 16) {
    v16 sum = v16_load(s->sum + r), factor = v16_div(one, sum);
    if (s->a->sinks) {
      v16 maximum = v16_load(s->maximum + r), sink = v16_load(s->sink + r);
      v16 top = v16_max(sink, maximum), keep = v16_exp(v16_sub(maximum, top));
      sum = v16_add(v16_mul(sum, keep), v16_exp(v16_sub(sink, top)));
      factor = v16_mul(keep, v16_div(one, sum));
    }
    v16_store(s->take + r, factor);
  }
}

static void finish_row(const attention_state *s, size_t row, float *to) {
  const float *out = s->out + row * s->a->value_stride;
  float inverse = s->take[row];
  v16 factor = v16_set(inverse);
  size_t d = 0;
  for (; d + 16 <= s->a->value_dim; d += 16) v16_store(to + d, v16_mul(v16_load(out + d), factor));
  for (; d < s->a->value_dim; d++) to[d] = out[d] * inverse;
}

static void begin_row(attention_state *s, size_t row, size_t token, size_t head) {
  const ck_attention *a = s->a;
  memcpy(s->q + row * a->key_dim, a->q + token * a->q_stride + head * a->key_dim, 4 * a->key_dim);
  memset(s->out + row * a->value_stride, 0, 4 * a->value_stride);
  s->position[row] = a->first_position + token;
  s->maximum[row] = -__builtin_inff();
  s->sum[row] = 0;
  s->sink[row] = a->sinks ? a->sinks[head] : 0;
}

void CK_X(attention)(const ck_attention *a, size_t row, size_t row_end) {
  attention_state s = {.a = a, .scores = a->scratch};  // lanes beyond the rows stay zero
  s.out = s.scores + CK_ATTENTION_ROWS * CK_KEYS;
  s.q = s.out + CK_ATTENTION_ROWS * a->value_stride;
  size_t end = row_end * a->heads;
  for (s.first = row * a->heads; s.first < end; s.first += s.rows) {
    s.rows = end - s.first < CK_ATTENTION_ROWS ? end - s.first : CK_ATTENTION_ROWS;
    for (size_t i = 0; i < s.rows; i++)
      begin_row(&s, i, (s.first + i) / a->heads, (s.first + i) % a->heads);
    size_t b = window_start(a, s.position[0]) / CK_KEYS;
    for (; b <= s.position[s.rows - 1] / CK_KEYS; b++) attend_block(&s, b);
    normalise(&s);
    for (size_t i = 0; i < s.rows; i++) {
      size_t token = (s.first + i) / a->heads, head = (s.first + i) % a->heads;
      finish_row(&s, i, a->out + token * a->out_stride + head * a->value_dim);
    }
  }
}
