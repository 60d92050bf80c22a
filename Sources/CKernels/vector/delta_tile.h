// The gated delta rule over v16: a few columns of the state stay in the first cache through all
// tokens. Mirrors reference/delta.c lane by lane.
#pragma once

/// Columns [column, column + 16 * width) of the state; the last of them may be fewer, `last`.
static CK_INLINE void delta_columns(const ck_delta *a, size_t tokens, size_t column,
                                    const int width, size_t last) {
  size_t stride = a->value_stride;
  for (size_t t = 0; t < tokens; t++) {
    const float *q = a->q + t * a->q_stride, *k = a->k + t * a->k_stride;
    const float *v = a->v + t * a->v_stride + column;
    v16 decay = v16_set(a->decay[t * a->gate_stride]), rate = v16_set(a->rate[t * a->gate_stride]);
    v16 known[4], change[4], out[4];
    CK_UNROLL for (int c = 0; c < width; c++) known[c] = v16_zero();
    float *state = a->state + column;
    for (size_t d = 0; d < a->key_dim; d++, state += stride) {
      v16 key = v16_set(k[d]);
      CK_UNROLL for (int c = 0; c < width; c++) {
        v16 kept = v16_mul(v16_load(state + 16 * c), decay);
        v16_store(state + 16 * c, kept);
        known[c] = v16_fma(kept, key, known[c]);
      }
    }
    CK_UNROLL for (int c = 0; c < width; c++) {
      v16 value = width == 1 ? v16_load_first(v, last) : v16_load(v + 16 * c);
      change[c] = v16_mul(v16_sub(value, known[c]), rate);
      out[c] = v16_zero();
    }
    state = a->state + column;
    for (size_t d = 0; d < a->key_dim; d++, state += stride) {
      v16 key = v16_set(k[d]), query = v16_set(q[d]);
      CK_UNROLL for (int c = 0; c < width; c++) {
        v16 next = v16_fma(key, change[c], v16_load(state + 16 * c));
        v16_store(state + 16 * c, next);
        out[c] = v16_fma(next, query, out[c]);
      }
    }
    float *to = a->out + t * a->out_stride + column;
    CK_UNROLL for (int c = 0; c < width; c++) {
      if (width == 1)
        v16_store_first(to, last, out[0]);
      else
        v16_store(to + 16 * c, out[c]);
    }
  }
}

void CK_X(delta)(const ck_delta *a, size_t tokens) {
  size_t column = 0;
  for (; column + 64 <= a->value_dim; column += 64) delta_columns(a, tokens, column, 4, 16);
  for (; column < a->value_dim; column += 16) {
    size_t left = a->value_dim - column;
    delta_columns(a, tokens, column, 1, left < 16 ? left : 16);
  }
}
