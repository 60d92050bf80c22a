// Attention over v16, for up to CK_ATTENTION_ROWS query rows (token and head pairs, tokens outermost) at a time: each
// key block is read once for all of them. Defines CK_X(attention); CK_WIDTH is how many v16 a tile is wide.
#pragma once

/// Rows of a tile; with CK_WIDTH registers each they fill the register file.
#define CK_TILE_ROWS 6

typedef struct attention_state {
  const ck_attention *a;
  size_t rows, first;  // rows of this pass, and the first of them in the whole call
  const float *q[CK_ATTENTION_ROWS];
  size_t position[CK_ATTENTION_ROWS];
  float maximum[CK_ATTENTION_ROWS], sum[CK_ATTENTION_ROWS];
  bool started[CK_ATTENTION_ROWS];
  float *scores;  // [rows][64]: scores, then probabilities
  float *next;    // [rows][value_stride]: this block's output
  float *out;     // [rows][value_stride]: merged output
} attention_state;

static CK_INLINE v16 cache_v16(const void *base, size_t at, bool half) {
  return half ? v16_half((const uint16_t *)base + at) : v16_load((const float *)base + at);
}

/// Scores of R rows against `width` x 16 keys: chains of up to 256 dimensions, added in order.
static CK_INLINE void score_tile(const attention_state *s, size_t row, const int R, const void *block,
                                 size_t column, const int width, bool half) {
  const ck_attention *a = s->a;
  for (size_t begin = 0; begin < a->key_dim; begin += CK_CHAIN) {
    size_t end = begin + CK_CHAIN < a->key_dim ? begin + CK_CHAIN : a->key_dim;
    v16 chain[CK_TILE_ROWS][CK_WIDTH];
    for (int r = 0; r < R; r++)
      for (int c = 0; c < width; c++) chain[r][c] = v16_zero();
    for (size_t d = begin; d < end; d++) {
      size_t at = a->key_offset + d * CK_KEYS + column;
      v16 keys[CK_WIDTH];
      for (int c = 0; c < width; c++) keys[c] = cache_v16(block, at + 16 * (size_t)c, half);
      for (int r = 0; r < R; r++) {
        v16 q = v16_set(s->q[row + (size_t)r][d]);
        for (int c = 0; c < width; c++) chain[r][c] = v16_fma(q, keys[c], chain[r][c]);
      }
    }
    for (int r = 0; r < R; r++)
      for (int c = 0; c < width; c++) {
        float *to = s->scores + (row + (size_t)r) * CK_KEYS + column + 16 * (size_t)c;
        v16 total = begin == 0 ? v16_zero() : v16_load(to);
        v16_store(to, v16_add(total, chain[r][c]));
      }
  }
}

/// Output of R rows for `width` x 16 value dimensions over keys [low, high). Keys that a row does not see have
/// probability +0; they cannot change a chain except for the sign of a zero, which the last addition clears.
static CK_INLINE void value_tile(const attention_state *s, size_t row, const int R, const void *block,
                                 size_t low, size_t high, size_t column, const int width,
                                 bool half) {
  const ck_attention *a = s->a;
  v16 chain[CK_TILE_ROWS][CK_WIDTH];
  for (int r = 0; r < R; r++)
    for (int c = 0; c < width; c++) chain[r][c] = v16_zero();
  for (size_t j = low; j < high; j++) {
    size_t at = a->value_offset + j * a->value_stride + column;
    v16 values[CK_WIDTH];
    for (int c = 0; c < width; c++) values[c] = cache_v16(block, at + 16 * (size_t)c, half);
    for (int r = 0; r < R; r++) {
      v16 p = v16_set(s->scores[(row + (size_t)r) * CK_KEYS + j]);
      for (int c = 0; c < width; c++) chain[r][c] = v16_fma(p, values[c], chain[r][c]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int c = 0; c < width; c++)
      v16_store(s->next + (row + (size_t)r) * a->value_stride + column + 16 * (size_t)c,
                v16_add(chain[r][c], v16_zero()));
}

#define CK_ROWS_SWITCH(R, call) \
  switch (R) {                  \
    case 1: call(1); break;     \
    case 2: call(2); break;     \
    case 3: call(3); break;     \
    case 4: call(4); break;     \
    case 5: call(5); break;     \
    default: call(6); break;    \
  }

static CK_INLINE void score_columns(const attention_state *s, size_t row, const int R,
                                    const void *block, bool half) {
  for (size_t column = 0; column < CK_KEYS; column += 16 * CK_WIDTH)
    score_tile(s, row, R, block, column, CK_WIDTH, half);
}

static CK_INLINE void value_columns(const attention_state *s, size_t row, const int R,
                                    const void *block, size_t low, size_t high, bool half) {
  size_t column = 0, width = 16 * CK_WIDTH;
  for (; column + width <= s->a->value_stride; column += width)
    value_tile(s, row, R, block, low, high, column, CK_WIDTH, half);
  for (; column < s->a->value_stride; column += 16)
    value_tile(s, row, R, block, low, high, column, 1, half);
}

static void score_rows(const attention_state *s, size_t row, size_t end, const void *block) {
  for (; row < end; row += CK_TILE_ROWS) {
    size_t count = end - row < CK_TILE_ROWS ? end - row : CK_TILE_ROWS;
#define CK_CALL(R)                          \
  if (s->a->half)                           \
    score_columns(s, row, R, block, true);  \
  else                                      \
    score_columns(s, row, R, block, false)
    CK_ROWS_SWITCH(count, CK_CALL)
#undef CK_CALL
  }
}

static size_t window_start(const ck_attention *a, size_t position) {
  return a->window != 0 && position + 1 > a->window ? position + 1 - a->window : 0;
}

/// The keys of block b that a row at `position` sees: [*low, *high), empty if none.
static void visible(const ck_attention *a, size_t position, size_t b, size_t *low, size_t *high) {
  size_t start = b * CK_KEYS, first = window_start(a, position);
  *low = first > start ? first - start : 0;
  *high = position < start ? 0 : position + 1 - start < CK_KEYS ? position + 1 - start : CK_KEYS;
  if (*low >= *high) *low = *high = 0;
}

static void value_rows(const attention_state *s, size_t row, size_t end, const void *block,
                       size_t b) {
  for (; row < end; row += CK_TILE_ROWS) {
    size_t count = end - row < CK_TILE_ROWS ? end - row : CK_TILE_ROWS;
    // Positions rise with the rows: the first sees the earliest key, the last the latest.
    size_t low, high, other;
    visible(s->a, s->position[row], b, &low, &other);
    visible(s->a, s->position[row + count - 1], b, &other, &high);
#define CK_CALL(R)                                     \
  if (s->a->half)                                      \
    value_columns(s, row, R, block, low, high, true);  \
  else                                                 \
    value_columns(s, row, R, block, low, high, false)
    CK_ROWS_SWITCH(count, CK_CALL)
#undef CK_CALL
  }
}

/// Turns a row's scores into probabilities relative to the block's maximum; returns that and their sum.
static CK_INLINE void soften(float *scores, float scale, size_t low, size_t high, float *maximum,
                             float *sum) {
  v16 s[4], lowest = v16_set(-__builtin_inff()), factor = v16_set(scale);
  v16mask seen[4];
  for (int c = 0; c < 4; c++) {
    v16mask below = v16_first((int)low - 16 * c), within = v16_first((int)high - 16 * c);
    s[c] = v16_mul(v16_load(scores + 16 * c), factor);
    s[c] = v16_select(below, lowest, v16_select(within, s[c], lowest));
    seen[c] = v16_equal(v16_select(below, v16_set(1), v16_select(within, v16_zero(), v16_set(1))),
                        v16_zero());
  }
  *maximum = v16_maximum(v16_max(v16_max(s[0], s[1]), v16_max(s[2], s[3])));
  v16 shift = v16_set(*maximum), lanes = v16_zero();
  for (int c = 0; c < 4; c++) {
    v16 p = v16_select(seen[c], v16_exp(v16_sub(s[c], shift)), v16_zero());
    lanes = v16_add(lanes, p);
    v16_store(scores + 16 * c, p);
  }
  *sum = v16_sum(lanes);
}

static CK_INLINE float exp_one(float x) {
  return _mm_cvtss_f32(_mm256_castps256_ps128(v16_low(v16_exp(v16_set(x)))));
}

static CK_INLINE void merge_row(attention_state *s, size_t row, float maximum, float sum) {
  size_t stride = s->a->value_stride;
  float *out = s->out + row * stride, *next = s->next + row * stride;
  if (!s->started[row]) {
    s->started[row] = true;
    s->maximum[row] = maximum;
    s->sum[row] = sum;
    memcpy(out, next, 4 * stride);
    return;
  }
  float top = maximum > s->maximum[row] ? maximum : s->maximum[row];
  float keep = exp_one(s->maximum[row] - top), take = exp_one(maximum - top);
  for (size_t d = 0; d < stride; d += 16) {
    v16 kept = v16_mul(v16_load(out + d), v16_set(keep));
    v16_store(out + d, v16_fma(v16_load(next + d), v16_set(take), kept));
  }
  s->maximum[row] = top;
  s->sum[row] = __builtin_fmaf(sum, take, s->sum[row] * keep);
}

static void attend_block(attention_state *s, size_t b) {
  const ck_attention *a = s->a;
  const void *block = a->blocks[b];
  // The rows that see this block are consecutive.
  size_t first = s->rows, last = 0, low[CK_ATTENTION_ROWS], high[CK_ATTENTION_ROWS];
  for (size_t r = 0; r < s->rows; r++) {
    visible(a, s->position[r], b, &low[r], &high[r]);
    if (low[r] < high[r]) {
      first = r < first ? r : first;
      last = r + 1;
    }
  }
  if (first >= last) return;
  score_rows(s, first, last, block);
  float maximum[CK_ATTENTION_ROWS], sum[CK_ATTENTION_ROWS];
  for (size_t r = first; r < last; r++)
    soften(s->scores + r * CK_KEYS, a->scale, low[r], high[r], &maximum[r], &sum[r]);
  value_rows(s, first, last, block, b);
  for (size_t r = first; r < last; r++) merge_row(s, r, maximum[r], sum[r]);
}

static void finish_row(const attention_state *s, size_t row, float *to) {
  const float *out = s->out + row * s->a->value_stride;
  float inverse = 1.0f / s->sum[row];
  v16 factor = v16_set(inverse);
  size_t d = 0;
  for (; d + 16 <= s->a->value_dim; d += 16) v16_store(to + d, v16_mul(v16_load(out + d), factor));
  for (; d < s->a->value_dim; d++) to[d] = out[d] * inverse;
}

void CK_X(attention)(const ck_attention *a, size_t row, size_t row_end) {
  attention_state s = {.a = a, .scores = a->scratch};
  s.next = s.scores + CK_ATTENTION_ROWS * CK_KEYS;
  s.out = s.next + CK_ATTENTION_ROWS * a->value_stride;
  size_t end = row_end * a->heads;
  for (s.first = row * a->heads; s.first < end; s.first += s.rows) {
    s.rows = end - s.first < CK_ATTENTION_ROWS ? end - s.first : CK_ATTENTION_ROWS;
    for (size_t i = 0; i < s.rows; i++) {
      size_t token = (s.first + i) / a->heads, head = (s.first + i) % a->heads;
      s.q[i] = a->q + token * a->q_stride + head * a->key_dim;
      s.position[i] = a->first_position + token;
      s.started[i] = false;
    }
    size_t b = window_start(a, s.position[0]) / CK_KEYS;
    for (; b <= s.position[s.rows - 1] / CK_KEYS; b++) attend_block(&s, b);
    for (size_t i = 0; i < s.rows; i++) {
      size_t token = (s.first + i) / a->heads, head = (s.first + i) % a->heads;
      finish_row(&s, i, a->out + token * a->out_stride + head * a->value_dim);
    }
  }
}
