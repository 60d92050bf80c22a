// The operations on rows, written once for all variants over v16 (vector_*.h). Each mirrors the file
// of its name in reference/, lane by lane.
#pragma once

static CK_INLINE v16 v16_exp(v16 x) {
  x = v16_min(v16_set(89.0f), v16_max(v16_set(-104.0f), x));  // NaN passes both
  v16 shifted = v16_fma(x, v16_set(0x1.715476p+0f), v16_set(0x1.8p+23f));
  v16 n = v16_sub(shifted, v16_set(0x1.8p+23f));
  v16 r = v16_fma(n, v16_set(-0x1.62e4p-1f), x);
  r = v16_fma(n, v16_set(-0x1.7f7d1cp-20f), r);
  v16 p = v16_set(0x1.6db412p-10f);
  p = v16_fma(p, r, v16_set(0x1.123b46p-7f));
  p = v16_fma(p, r, v16_set(0x1.55545ep-5f));
  p = v16_fma(p, r, v16_set(0x1.55549p-3f));
  p = v16_fma(p, r, v16_set(0x1p-1f));
  p = v16_fma(p, r, v16_set(1.0f));
  p = v16_fma(p, r, v16_set(1.0f));
  v16i i = v16i_sub(v16_bits(shifted), v16i_set(0x4b400000));
  v16i first = v16i_right(i, 1), second = v16i_sub(i, first), bias = v16i_set(127);
  p = v16_mul(p, v16_float(v16i_left(v16i_add(first, bias), 23)));
  return v16_mul(p, v16_float(v16i_left(v16i_add(second, bias), 23)));
}

static CK_INLINE v16 v16_log(v16 x) {
  v16mask tiny = v16_less(x, v16_set(0x1p-126f));
  v16 scaled = v16_select(tiny, v16_mul(x, v16_set(0x1p+25f)), x);
  v16i u = v16i_add(v16_bits(scaled), v16i_set(0x3f800000 - 0x3f3504f3));
  v16 bias = v16_select(tiny, v16_set(152.0f), v16_set(127.0f));
  // The exponent of a positive number: the sign bit is clear, so that an arithmetic shift will do.
  v16 k = v16_sub(v16i_to_float(v16i_right(u, 23)), bias);
  v16i mantissa = v16i_add(v16i_and(u, v16i_set(0x007fffff)), v16i_set(0x3f3504f3));
  v16 f = v16_sub(v16_float(mantissa), v16_set(1.0f));
  v16 s = v16_div(f, v16_add(v16_set(2.0f), f)), z = v16_mul(s, s), w = v16_mul(z, z);
  v16 even = v16_mul(w, v16_fma(w, v16_set(0x1.f13c4cp-3f), v16_set(0x1.999c26p-2f)));
  v16 odd = v16_mul(z, v16_fma(w, v16_set(0x1.23d3dcp-2f), v16_set(0x1.555554p-1f)));
  v16 half = v16_mul(v16_mul(v16_set(0.5f), f), f);
  v16 tail = v16_fma(s, v16_add(half, v16_add(odd, even)), v16_mul(k, v16_set(0x1.2fefa4p-17f)));
  v16 y = v16_add(v16_add(v16_sub(tail, half), f), v16_mul(k, v16_set(0x1.62e3p-1f)));
  v16 infinity = v16_set(__builtin_inff()), zero = v16_zero();
  y = v16_select(v16_equal(x, infinity), x, y);
  y = v16_select(v16_equal(x, zero), v16_sub(zero, infinity), y);
  // Positive or zero keeps y; negative and NaN become NaN.
  v16mask valid = v16_less(v16_set(-0x1p-149f), x);
  return v16_select(valid, y, v16_float(v16i_set(0x7fc00000)));
}

static CK_INLINE v16 v16_tanh(v16 x) {
  v16i sign = v16i_and(v16_bits(x), v16i_set((int32_t)0x80000000));
  v16 magnitude = v16_float(v16i_and(v16_bits(x), v16i_set(0x7fffffff)));
  v16 z = v16_mul(x, x);
  v16 p = v16_set(0x1.174d4p-9f);
  p = v16_fma(p, z, v16_set(-0x1.0b8d46p-7f));
  p = v16_fma(p, z, v16_set(0x1.6377eap-6f));
  p = v16_fma(p, z, v16_set(-0x1.b9ecf2p-5f));
  p = v16_fma(p, z, v16_set(0x1.11105ep-3f));
  p = v16_fma(p, z, v16_set(-0x1.555554p-2f));
  v16 small = v16_fma(v16_mul(x, z), p, x), one = v16_set(1.0f);
  v16 e = v16_add(v16_exp(v16_add(magnitude, magnitude)), one);
  v16 large = v16_sub(one, v16_div(v16_set(2.0f), e));
  large = v16_float(v16i_or(v16_bits(large), sign));
  return v16_select(v16_less(magnitude, v16_set(0.625f)), small, large);
}

static CK_INLINE v16 v16_negated(v16 x) { return v16_sub(v16_set(-0.0f), x); }

static CK_INLINE v16 v16_erf(v16 x) {
  v16i sign = v16i_and(v16_bits(x), v16i_set((int32_t)0x80000000));
  v16 magnitude = v16_float(v16i_and(v16_bits(x), v16i_set(0x7fffffff)));
  v16 t = v16_min(magnitude, v16_set(4.0f));
  v16 q = v16_set(0x1.82befep-17f);
  q = v16_fma(q, t, v16_set(-0x1.559448p-12f));
  q = v16_fma(q, t, v16_set(0x1.deffb2p-9f));
  q = v16_fma(q, t, v16_set(-0x1.85bbfap-6f));
  q = v16_fma(q, t, v16_set(0x1.b3446ep-4f));
  q = v16_fma(q, t, v16_set(0x1.453036p-1f));
  q = v16_fma(q, t, v16_set(0x1.077b2cp-3f));
  v16 e = v16_exp(v16_negated(v16_fma(q, t, t)));
  v16 large = v16_float(v16i_or(v16_bits(v16_sub(v16_set(1.0f), e)), sign));
  v16 z = v16_mul(x, x);
  v16 p = v16_set(0x1.5d76dcp-14f);
  p = v16_fma(p, z, v16_set(-0x1.aa6fbcp-11f));
  p = v16_fma(p, z, v16_set(0x1.54cd6p-8f));
  p = v16_fma(p, z, v16_set(-0x1.b80f1ep-6f));
  p = v16_fma(p, z, v16_set(0x1.ce2e1p-4f));
  p = v16_fma(p, z, v16_set(-0x1.812742p-2f));
  p = v16_fma(p, z, v16_set(0x1.06eba8p-3f));
  return v16_select(v16_less(v16_set(0x1.dbp-1f), magnitude), large, v16_fma(x, p, x));
}

static CK_INLINE v16 v16_sigmoid(v16 x) {
  v16 one = v16_set(1.0f);
  return v16_div(one, v16_add(one, v16_exp(v16_negated(x))));
}

static CK_INLINE v16 v16_silu(v16 gate, v16 up) {
  return v16_mul(v16_div(gate, v16_add(v16_set(1.0f), v16_exp(v16_negated(gate)))), up);
}

static CK_INLINE v16 v16_gelu_tanh(v16 g, v16 up) {
  v16 cube = v16_fma(v16_mul(v16_mul(v16_set(0x1.6e4e26p-5f), g), g), g, g);
  v16 t = v16_tanh(v16_mul(v16_set(0x1.988454p-1f), cube));
  return v16_mul(v16_mul(v16_mul(v16_set(0.5f), g), v16_add(v16_set(1.0f), t)), up);
}

static CK_INLINE v16 v16_gelu_erf(v16 g, v16 up) {
  v16 e = v16_erf(v16_mul(g, v16_set(0x1.6a09e6p-1f)));
  return v16_mul(v16_mul(v16_mul(v16_set(0.5f), g), v16_add(v16_set(1.0f), e)), up);
}

static CK_INLINE v16 v16_sigmoid_gate(v16 g, v16 up) { return v16_mul(v16_sigmoid(g), up); }

#define CK_MAP(name, function)                                                                  \
  void CK_X(name)(const float *x, size_t n, float *y) {                                         \
    size_t i = 0;                                                                               \
    for (; i + 16 <= n; i += 16) v16_store(y + i, function(v16_load(x + i)));                   \
    if (i < n) v16_store_first(y + i, n - i, function(v16_load_first(x + i, n - i)));           \
  }
#define CK_MAP2(name, function)                                                                 \
  void CK_X(name)(const float *a, const float *b, size_t n, float *y) {                         \
    size_t i = 0;                                                                               \
    for (; i + 16 <= n; i += 16) v16_store(y + i, function(v16_load(a + i), v16_load(b + i)));  \
    if (i < n)                                                                                  \
      v16_store_first(y + i, n - i,                                                             \
                      function(v16_load_first(a + i, n - i), v16_load_first(b + i, n - i)));    \
  }

CK_MAP(exp, v16_exp)
CK_MAP(log, v16_log)
CK_MAP(tanh, v16_tanh)
CK_MAP(sigmoid, v16_sigmoid)
CK_MAP(erf, v16_erf)
CK_MAP2(silu, v16_silu)
CK_MAP2(gelu_tanh, v16_gelu_tanh)
CK_MAP2(gelu_erf, v16_gelu_erf)
CK_MAP2(sigmoid_gate, v16_sigmoid_gate)
CK_MAP2(add, v16_add)

void CK_X(scale)(const float *x, float factor, size_t n, float *y) {
  v16 f = v16_set(factor);
  for (size_t i = 0; i < n; i += 16) {
    size_t count = n - i < 16 ? n - i : 16;
    v16_store_first(y + i, count, v16_mul(v16_load_first(x + i, count), f));
  }
}

void CK_X(add_scaled)(const float *x, float factor, size_t n, float *y) {
  v16 f = v16_set(factor);
  for (size_t i = 0; i < n; i += 16) {
    size_t count = n - i < 16 ? n - i : 16;
    v16 sum = v16_fma(f, v16_load_first(x + i, count), v16_load_first(y + i, count));
    v16_store_first(y + i, count, sum);
  }
}

void CK_X(soft_cap)(const float *x, float cap, size_t n, float *y) {
  v16 c = v16_set(cap);
  for (size_t i = 0; i < n; i += 16) {
    size_t count = n - i < 16 ? n - i : 16;
    v16 t = v16_tanh(v16_div(v16_load_first(x + i, count), c));
    v16_store_first(y + i, count, v16_mul(c, t));
  }
}

void CK_X(convolve)(const float *const *rows, size_t taps, const float *w, size_t n, float *y) {
  for (size_t i = 0; i < n; i += 16) {
    size_t count = n - i < 16 ? n - i : 16;
    v16 chain = v16_zero();
    for (size_t t = 0; t < taps; t++)
      chain = v16_fma(v16_load_first(rows[t] + i, count), v16_load_first(w + t * n + i, count),
                      chain);
    v16 one = v16_set(1.0f), e = v16_add(one, v16_exp(v16_negated(chain)));
    v16_store_first(y + i, count, v16_div(chain, e));
  }
}

static CK_INLINE float maximum_of(const float *x, size_t n) {
  v16 lowest = v16_set(-__builtin_inff()), top = lowest;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) top = v16_max(v16_load(x + i), top);
  if (i < n) {
    v16 last = v16_select(v16_first((int)(n - i)), v16_load_first(x + i, n - i), lowest);
    top = v16_max(last, top);
  }
  return v16_maximum(top) + 0.0f;
}

/// The sum of exp(x - top); the exponentials go to y unless it is NULL.
static CK_INLINE float exponentials(const float *x, size_t n, float top, float *y) {
  v16 lanes = v16_zero(), shift = v16_set(top);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    v16 e = v16_exp(v16_sub(v16_load(x + i), shift));
    lanes = v16_add(lanes, e);
    if (y) v16_store(y + i, e);
  }
  if (i < n) {
    v16 e = v16_exp(v16_sub(v16_load_first(x + i, n - i), shift));
    lanes = v16_add(lanes, v16_select(v16_first((int)(n - i)), e, v16_zero()));
    if (y) v16_store_first(y + i, n - i, e);
  }
  return v16_sum(lanes);
}

void CK_X(exp_sum)(const float *x, size_t n, float *maximum, float *sum) {
  *maximum = maximum_of(x, n);
  *sum = exponentials(x, n, *maximum, NULL);
}

void CK_X(softmax)(const float *x, size_t n, float *y) {
  float inverse = 1.0f / exponentials(x, n, maximum_of(x, n), y);
  v16 factor = v16_set(inverse);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) v16_store(y + i, v16_mul(v16_load(y + i), factor));
  for (; i < n; i++) y[i] = y[i] * inverse;
}

void CK_X(rms_norm)(const float *x, const float *w, float eps, size_t n, float *y) {
  v16 lanes = v16_zero();
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    v16 value = v16_load(x + i);
    lanes = v16_fma(value, value, lanes);
  }
  if (i < n) {
    v16 value = v16_load_first(x + i, n - i);
    lanes = v16_fma(value, value, lanes);
  }
  float mean = v16_sum(lanes) / (float)n;
  v16 factor = v16_set(1.0f / __builtin_elementwise_sqrt(mean + eps));
  for (i = 0; i + 16 <= n; i += 16)
    v16_store(y + i, v16_mul(v16_mul(v16_load(x + i), factor), v16_load(w + i)));
  if (i < n) {
    v16 value = v16_mul(v16_load_first(x + i, n - i), factor);
    v16_store_first(y + i, n - i, v16_mul(value, v16_load_first(w + i, n - i)));
  }
}

void CK_X(quantise)(const float *x, size_t k, int8_t *q, ck_qmeta *meta) {
  v16i magnitude_bits = v16i_set(0x7fffffff);
  v16 magic = v16_set(0x1.8p+23f);
  for (size_t b = 0; b < k / CK_QBLOCK; b++, x += CK_QBLOCK, q += CK_QBLOCK) {
    v16 low = v16_load(x), high = v16_load(x + 16);
    v16i top = v16i_max_unsigned(v16i_and(v16_bits(low), magnitude_bits),
                                 v16i_and(v16_bits(high), magnitude_bits));
    // Bit patterns of magnitudes order like the numbers; a NaN is above infinity.
    uint32_t greatest = v16i_greatest(top);
    float maximum, scale = 0, inverse = 0;
    memcpy(&maximum, &greatest, 4);
    if (greatest >= 0x7f800000) {
      memset(q, 0, CK_QBLOCK);
      meta[b] = ck_qmeta_of(__builtin_nanf(""), 0, 0);
      continue;
    }
    if (maximum >= 0x1p-100f) {
      scale = maximum / 127.0f;
      inverse = 127.0f / maximum;
    }
    v16 factor = v16_set(inverse);
    v16i offset = v16i_set(0x4b400000);
    v16i first = v16i_sub(v16_bits(v16_add(v16_mul(low, factor), magic)), offset);
    v16i second = v16i_sub(v16_bits(v16_add(v16_mul(high, factor), magic)), offset);
    v16i_store_bytes(q, first);
    v16i_store_bytes(q + 16, second);
    meta[b] = ck_qmeta_of(scale, v16i_sum(first), v16i_sum(second));
  }
}

static CK_INLINE void rope_halves(float *head, size_t pairs, const float *cos, const float *sin) {
  size_t i = 0;
  for (; i < pairs; i += 16) {
    size_t n = pairs - i < 16 ? pairs - i : 16;
    v16 a = v16_load_first(head + i, n), b = v16_load_first(head + pairs + i, n);
    v16 c = v16_load_first(cos + i, n), s = v16_load_first(sin + i, n);
    v16_store_first(head + i, n, v16_fma(a, c, v16_negated(v16_mul(b, s))));
    v16_store_first(head + pairs + i, n, v16_fma(b, c, v16_mul(a, s)));
  }
}

void CK_X(rope)(float *x, size_t heads, size_t head_stride, size_t pairs, const float *cos,
                const float *sin, bool interleaved) {
  for (size_t h = 0; h < heads; h++) {
    float *head = x + h * head_stride;
    if (!interleaved) {
      rope_halves(head, pairs, cos, sin);
      continue;
    }
    for (size_t i = 0; i < pairs; i++) {
      float a = head[2 * i], b = head[2 * i + 1];
      head[2 * i] = v1_fma(a, cos[i], -(b * sin[i]));
      head[2 * i + 1] = v1_fma(b, cos[i], a * sin[i]);
    }
  }
}

void CK_X(to_f16)(const float *x, size_t n, uint16_t *y) {
  v16 top = v16_set(65504.0f), bottom = v16_set(-65504.0f);
  for (size_t i = 0; i < n; i += 16) {
    size_t count = n - i < 16 ? n - i : 16;
    v16 value = v16_load_first(x + i, count);
    value = v16_select(v16_equal(value, value), value, v16_zero());
    uint16_t lanes[16];
    v16_store_half(lanes, v16_min(top, v16_max(bottom, value)));
    memcpy(y + i, lanes, 2 * count);
  }
}

void CK_X(from_f16)(const uint16_t *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i += 16) {
    size_t count = n - i < 16 ? n - i : 16;
    uint16_t lanes[16] = {0};
    memcpy(lanes, x + i, 2 * count);
    v16_store_first(y + i, count, v16_half(lanes));
  }
}
