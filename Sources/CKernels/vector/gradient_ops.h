// Derivatives over v16: each mirrors its function in reference/gradient.c, lane by lane.
#pragma once

/// Calls `body(i, count)` for each sixteen of n values; `count` of them are there.
#define CK_SIXTEENS(n, body)                          \
  for (size_t i = 0; i < (n); i += 16) {              \
    size_t count = (n)-i < 16 ? (n)-i : 16;           \
    body                                              \
  }

void CK_X(rms_norm_gradient)(const float *x, const float *w, float eps, const float *dy, size_t n,
                             float *dx) {
  v16 squares = v16_zero(), products = v16_zero();
  CK_SIXTEENS(n, {
    v16 value = v16_load_first(x + i, count);
    v16 scaled = v16_mul(v16_load_first(dy + i, count), v16_load_first(w + i, count));
    squares = v16_fma(value, value, squares);
    products = v16_fma(value, scaled, products);
  })
  float inverse = 1.0f / __builtin_elementwise_sqrt(v16_sum(squares) / (float)n + eps);
  float along = (v16_sum(products) / (float)n) * (inverse * inverse);
  v16 a = v16_set(along), factor = v16_set(inverse);
  CK_SIXTEENS(n, {
    v16 value = v16_negated(v16_load_first(x + i, count));
    v16 scaled = v16_mul(v16_load_first(dy + i, count), v16_load_first(w + i, count));
    v16_store_first(dx + i, count, v16_mul(v16_fma(value, a, scaled), factor));
  })
}

#define CK_GATE_GRADIENT(name, slope_and_value)                                                 \
  void CK_X(name)(const float *gate, const float *up, const float *dy, size_t n, float *dgate,  \
                  float *dup) {                                                                 \
    v16 one = v16_set(1.0f), halved = v16_set(0.5f);                                            \
    (void)halved;                                                                               \
    CK_SIXTEENS(n, {                                                                            \
      v16 g = v16_load_first(gate + i, count);                                                  \
      v16 d = v16_load_first(dy + i, count);                                                    \
      v16 through = v16_mul(d, v16_load_first(up + i, count));                                  \
      v16 slope;                                                                                \
      v16 value;                                                                                \
      slope_and_value;                                                                          \
      v16_store_first(dgate + i, count, v16_mul(through, slope));                               \
      v16_store_first(dup + i, count, v16_mul(d, value));                                       \
    })                                                                                          \
  }

CK_GATE_GRADIENT(silu_gradient, {
  v16 e = v16_add(one, v16_exp(v16_negated(g)));
  v16 s = v16_div(one, e);
  slope = v16_mul(s, v16_fma(g, v16_sub(one, s), one));
  value = v16_div(g, e);
})
CK_GATE_GRADIENT(gelu_tanh_gradient, {
  v16 half = v16_mul(halved, g);
  v16 c = v16_set(0x1.988454p-1f);
  v16 cube = v16_fma(v16_mul(v16_mul(v16_set(0x1.6e4e26p-5f), g), g), g, g);
  v16 t = v16_tanh(v16_mul(c, cube));
  v16 inner = v16_mul(c, v16_fma(v16_mul(v16_set(0x1.12ba9ep-3f), g), g, one));
  v16 rest = v16_fma(v16_negated(t), t, one);
  v16 more = v16_add(one, t);
  slope = v16_fma(v16_mul(half, rest), inner, v16_mul(halved, more));
  value = v16_mul(half, more);
})
CK_GATE_GRADIENT(gelu_erf_gradient, {
  v16 half = v16_mul(halved, g);
  v16 e = v16_add(one, v16_erf(v16_mul(g, v16_set(0x1.6a09e6p-1f))));
  v16 bell = v16_exp(v16_negated(v16_mul(half, g)));
  v16 density = v16_mul(v16_set(0x1.988454p-2f), bell);
  slope = v16_fma(g, density, v16_mul(halved, e));
  value = v16_mul(half, e);
})
CK_GATE_GRADIENT(sigmoid_gate_gradient, {
  v16 s = v16_sigmoid(g);
  slope = v16_mul(s, v16_sub(one, s));
  value = s;
})

void CK_X(soft_cap_gradient)(const float *y, float cap, const float *dy, size_t n, float *dx) {
  v16 c = v16_set(cap), one = v16_set(1.0f);
  CK_SIXTEENS(n, {
    v16 t = v16_div(v16_load_first(y + i, count), c);
    v16 slope = v16_fma(v16_negated(t), t, one);
    v16_store_first(dx + i, count, v16_mul(v16_load_first(dy + i, count), slope));
  })
}

void CK_X(score_gradient)(float *s, float scale, float cap, size_t n, float *p, float *d) {
  CK_X(scale)(s, scale, n, s);
  if (cap != 0) CK_X(soft_cap)(s, cap, n, s);
  CK_X(softmax)(s, n, p);
  v16 lanes = v16_zero();
  CK_SIXTEENS(n, {
    lanes = v16_fma(v16_load_first(p + i, count), v16_load_first(d + i, count), lanes);
  })
  v16 mean = v16_set(v16_sum(lanes)), factor = v16_set(scale), c = v16_set(cap);
  v16 one = v16_set(1.0f);
  CK_SIXTEENS(n, {
    v16 away = v16_sub(v16_load_first(d + i, count), mean);
    v16 slope = v16_mul(v16_load_first(p + i, count), away);
    if (cap != 0) {
      v16 t = v16_div(v16_load_first(s + i, count), c);
      slope = v16_mul(slope, v16_fma(v16_negated(t), t, one));
    }
    v16_store_first(d + i, count, v16_mul(slope, factor));
  })
}

/// R rows by P times sixteen columns, of which the last sixteen have `count`.
static CK_INLINE void outer_tile(const ck_outer *a, size_t row, size_t column, size_t count,
                                 const int R, const int P, const bool whole) {
  const float *v = a->v + row, *x = a->x + column;
  float *y = a->y + row * a->y_stride + column;
  v16 chain[CK_TILE_CHAINS];
  CK_UNROLL for (int i = 0; i < R * P; i++) chain[i] = v16_zero();
  for (size_t t = 0; t < a->tokens; t++, v += a->v_stride, x += a->x_stride) {
    v16 wide[4];
    CK_UNROLL for (int p = 0; p < P; p++)
      wide[p] = whole ? v16_load(x + 16 * p) : v16_load_first(x + 16 * p, count);
    CK_UNROLL for (int r = 0; r < R; r++) {
      v16 value = v16_set(v[r]);
      CK_UNROLL for (int p = 0; p < P; p++)
        chain[r * P + p] = v16_fma(value, wide[p], chain[r * P + p]);
    }
  }
  CK_UNROLL for (int i = 0; i < R * P; i++) {
    float *to = y + (size_t)(i / P) * a->y_stride + 16 * (i % P);
    if (whole)
      v16_store(to, v16_add(v16_load(to), chain[i]));
    else
      v16_store_first(to, count, v16_add(v16_load_first(to, count), chain[i]));
  }
}

#define CK_OUTER_WIDE(R) outer_tile(a, r, c, 16, R, CK_WIDE_PANELS, true)
#define CK_OUTER_ONE(R) outer_tile(a, r, c, 16, R, 1, true)
#define CK_OUTER_PART(R) outer_tile(a, r, c, count, R, 1, false)

void CK_X(outer)(const ck_outer *a, size_t row, size_t row_end, size_t column, size_t column_end) {
  if (row >= row_end) return;
  size_t height = tile_height(row_end - row, CK_MAX_ROWS);
  for (size_t c = column; c < column_end;) {
    size_t left = column_end - c;
    size_t width = left >= 16 * CK_WIDE_PANELS ? 16 * CK_WIDE_PANELS : 16;
    size_t count = left < 16 ? left : 16;
    for (size_t r = row; r < row_end; r += height) {
      size_t rows = row_end - r < height ? row_end - r : height;
      if (left < 16) {
        CK_TILE_SWITCH(rows, CK_OUTER_PART)
      } else if (width == 16) {
        CK_TILE_SWITCH(rows, CK_OUTER_ONE)
      } else {
        CK_TILE_SWITCH(rows, CK_OUTER_WIDE)
      }
    }
    c += width;
  }
}

void CK_X(adamw)(const ck_adamw *a, const float *g, size_t n, float *p, float *m, float *v) {
  v16 clip = v16_set(a->clip), first = v16_set(a->first_share), second = v16_set(a->second_share);
  v16 second_decay = v16_set(a->second_decay), second_root = v16_set(a->second_root);
  v16 epsilon = v16_set(a->epsilon), step = v16_set(-a->step), decay = v16_set(a->decay);
  CK_SIXTEENS(n, {
    v16 gradient = v16_mul(v16_load_first(g + i, count), clip);
    v16 mean = v16_load_first(m + i, count);
    mean = v16_fma(v16_sub(gradient, mean), first, mean);
    v16 square = v16_mul(second_decay, v16_load_first(v + i, count));
    square = v16_fma(v16_mul(second, gradient), gradient, square);
    v16 root = v16_add(v16_div(v16_sqrt(square), second_root), epsilon);
    v16 value = v16_mul(v16_load_first(p + i, count), decay);
    v16_store_first(m + i, count, mean);
    v16_store_first(v + i, count, square);
    v16_store_first(p + i, count, v16_fma(step, v16_div(mean, root), value));
  })
}
