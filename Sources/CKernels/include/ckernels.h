// Microkernels of the numerics profile exact-1 (see Sources/Kernels/NUMERICS.md, which defines
// every bit).
//
// All entry points hang in one table per variant, so that one process can compare them. Every
// variant gives the same bits. Nothing here allocates, locks, reads files or checks a bound: the
// Swift face (module Kernels) does.
//
// Shapes: M rows (tokens), K inputs, N outputs, panels of CK_PANEL outputs, E head dimension.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Output columns of a weight panel.
#define CK_PANEL 16
/// Values that share a scale in the quantised formats and in quantised activations.
#define CK_QBLOCK 32
/// Inputs whose products form one chain before it is added to the total (float formats).
#define CK_CHAIN 256
/// Keys of an attention block.
#define CK_KEYS 64

typedef enum ck_variant {
  CK_SCALAR_SOFT = 0,  // scalar, fused multiply-add in software
  CK_SCALAR,           // scalar, fused multiply-add in hardware where the build or the CPU has it
  CK_PORTABLE,         // vectors of 128 bits, fused multiply-add in software without NEON
  CK_AVX2,             // AVX2, FMA, F16C
  CK_AVX2_VNNI,        // the same with AVX-VNNI
  CK_AVX512,           // AVX-512 F, BW, DQ, VL
  CK_AVX512_VNNI,      // the same with AVX512-VNNI
  CK_VARIANTS
} ck_variant;

/// How weights are stored. Those before CK_PANEL_FORMATS have panels of their own; the others are
/// formats of files whose values those of another represent exactly (ck_panel_format).
typedef enum ck_format {
  CK_F32 = 0,
  CK_F16,
  CK_BF16,
  CK_F24,      // float32 without its last eight bits, which are zero, in fours
  CK_F8_E4M3,  // with a float32 scale for each CK_F8_BLOCK x CK_F8_BLOCK weights
  CK_Q8_0,     // from here on: quantised
  CK_Q4_0,
  CK_Q4_1,
  CK_Q5_1,
  CK_Q2_K,
  CK_Q4_K,
  CK_Q5_K,
  CK_Q6_K,
  CK_PANEL_FORMATS,
  CK_Q5_0 = CK_PANEL_FORMATS,  // in panels of Q8_0
  CK_IQ4_NL,                   // in panels of Q8_0
  CK_Q3_K,                     // in panels of Q6_K
  CK_FORMATS
} ck_format;

/// Inputs, and outputs, that share a scale in CK_F8_E4M3.
#define CK_F8_BLOCK 128

/// The sizes of a format. For a format without panels of its own, the last three are 0.
typedef struct ck_sizes {
  size_t block;          // weights that are encoded together
  size_t file_bytes;     // of a block in a file
  size_t panel_bytes;    // of 16 outputs by one block, without scales and minima
  size_t scale_bytes;    // of the scales of 16 outputs by one block (CK_F8_E4M3: see ck_matmul)
  size_t minimum_bytes;  // of the minima of 16 outputs by one block
} ck_sizes;

ck_sizes ck_sizes_of(ck_format format);
/// The format of the panels that hold weights of `format`.
ck_format ck_panel_format(ck_format format);

/// The formats that represent each of n float32 values in a file to the bit, as 1 << format: always
/// CK_F32, besides any of CK_F24, CK_BF16 and CK_F16.
uint32_t ck_exact_formats(const void *raw, size_t n);
/// n float32 values of a file in one of those formats, as a file would have them.
void ck_narrow(ck_format format, const void *raw, size_t n, void *narrow);

typedef enum ck_activation {
  CK_SILU = 0,
  CK_GELU_TANH,
  CK_GELU_ERF,
  CK_SIGMOID,
  CK_ACTIVATIONS
} ck_activation;

/// What belongs to one block of 32 quantised activations.
typedef struct ck_qmeta {
  float scale;       // x is about scale * q
  float scaled_sum;  // scale * (sum of q), for formats with a minimum
  int32_t comp8;     // -128 * (sum of q): undoes the offset of Q8_0's stored bytes
  int32_t comp4;     // -8 * (sum of q): undoes the offset of Q4_0's nibbles
  int32_t comp6[2];  // -32 * (sum of q) of either half: undoes the offset of Q6_K's six bits
} ck_qmeta;

/// From the sums of the block's first and second half.
static inline ck_qmeta ck_qmeta_of(float scale, int32_t first, int32_t second) {
  int32_t sum = first + second;
  return (ck_qmeta){scale, scale * (float)sum, -128 * sum, -8 * sum, {-32 * first, -32 * second}};
}

/// y[M,N] = x[M,K] times the transpose of w[N,K].
typedef struct ck_matmul {
  const float *x;  // [M][x_stride], float formats
  size_t x_stride;
  const int8_t *xq;      // [M][K], quantised formats
  const ck_qmeta *meta;  // [M][K/32], quantised formats
  const void *w;         // panels, 64-byte aligned
  // Q8_0, Q4_0, Q4_1, Q5_1: f16 [panel][K/32][16].
  // Q4_K, Q5_K: [panel][K/256] of { f16 d[16], dmin[16]; u8 { scale[16], minimum[16] }[8] }.
  // Q2_K: [panel][K/256] of { f16 d[16], dmin[16]; u8 scale | minimum << 4 [16][16] }.
  // Q6_K: [panel][K/256] of { f16 d[16]; i8 scale[16][16] }.
  // F8_E4M3: float32 [panel][K/128 rounded up][16].
  const void *scales;
  const void *minima;  // f16 [panel][K/32][16], Q4_1 and Q5_1
  size_t k;
  float *y;  // [M][y_stride]; whole panels are written, so y_stride >= N rounded up to 16
  size_t y_stride;
} ck_matmul;

/// Attention of one sequence over a paged cache, for one key/value head. Block b (64 positions)
/// lies at blocks[b]: keys [E][64] at key_offset, values [64][value_stride] at value_offset.
typedef struct ck_attention {
  const float *q;  // row r, head h (of this key/value head) at q + r * q_stride + h * key_dim
  size_t q_stride;
  float *out;  // row r, head h at out + r * out_stride + h * value_dim
  size_t out_stride;
  const void *const *blocks;
  size_t key_offset, value_offset;  // elements
  size_t value_stride;              // elements, a multiple of 16
  size_t key_dim, value_dim;
  size_t heads;           // query heads that share this key/value head
  size_t first_position;  // position of query row 0; row r is at first_position + r
  size_t window;          // keys seen by a query including itself; 0: all
  float scale;
  float cap;           // soft limit of the scores: cap * tanh(score / cap); 0: none
  const float *sinks;  // a logit of each head that joins the sum without a value; NULL: none
  bool half;       // cache elements are f16 instead of f32
  float *scratch;  // ck_attention_scratch floats
} ck_attention;

/// Query rows (token and head pairs) that attention takes through a key block together.
#define CK_ATTENTION_ROWS 24

/// Floats of scratch that one call of `attention` needs.
static inline size_t ck_attention_scratch(size_t key_dim, size_t value_stride) {
  return CK_ATTENTION_ROWS * (key_dim + CK_KEYS + value_stride);
}

/// The gated delta rule of one head over consecutive tokens. The state S [key_dim][value_stride]
/// becomes, token by token, S' + k (x) c with S' = decay S and c = rate (v - S'^T k); out is its
/// product with q. Chains over the key dimension in order.
typedef struct ck_delta {
  const float *q, *k, *v;  // token t at + t * stride
  size_t q_stride, k_stride, v_stride;
  const float *decay, *rate;  // token t at + t * gate_stride
  size_t gate_stride;
  float *out;  // token t at + t * out_stride
  size_t out_stride;
  float *state;
  size_t key_dim, value_dim;
  size_t value_stride;  // a multiple of 16
} ck_delta;

/// Sums over tokens of the products of two rows: y[R][N] += the sum of v[t] (x) x[t], one chain for
/// each element of at most CK_CHAIN tokens.
typedef struct ck_outer {
  const float *v, *x;  // token t at + t * stride
  size_t v_stride, x_stride;
  size_t tokens;
  float *y;
  size_t y_stride;
} ck_outer;

/// A step of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) as torch.optim.AdamW takes it.
typedef struct ck_adamw {
  float clip;          // multiplies gradients
  float first_share;   // 1 - beta1
  float second_share;  // 1 - beta2
  float second_decay;  // beta2
  float second_root;   // sqrt(1 - beta2^t)
  float epsilon;
  float step;   // rate / (1 - beta1^t)
  float decay;  // 1 - rate * weight decay
} ck_adamw;

/// The operations of one variant.
typedef struct ck_table {
  ck_variant variant;
  /// Rows [row, row_end) of panels [panel, panel_end).
  void (*matmul[CK_PANEL_FORMATS])(const ck_matmul *a, size_t panel, size_t panel_end, size_t row,
                             size_t row_end);
  /// One row of k floats (a multiple of 32) to int8.
  void (*quantise)(const float *x, size_t k, int8_t *q, ck_qmeta *meta);
  /// y = x / sqrt(mean(x^2) + eps) * w over n values; x and y may be the same.
  void (*rms_norm)(const float *x, const float *w, float eps, size_t n, float *y);
  /// y = f(gate) * up over n values; y may be either input.
  void (*gated[CK_ACTIVATIONS])(const float *gate, const float *up, size_t n, float *y);
  void (*add)(const float *a, const float *b, size_t n, float *y);
  /// y = x * factor; x and y may be the same.
  void (*scale)(const float *x, float factor, size_t n, float *y);
  /// y = factor * x + y, fused.
  void (*add_scaled)(const float *x, float factor, size_t n, float *y);
  /// y = cap * tanh(x / cap); x and y may be the same.
  void (*soft_cap)(const float *x, float cap, size_t n, float *y);
  void (*exp)(const float *x, size_t n, float *y);
  void (*log)(const float *x, size_t n, float *y);
  void (*tanh)(const float *x, size_t n, float *y);
  void (*erf)(const float *x, size_t n, float *y);
  void (*sigmoid)(const float *x, size_t n, float *y);
  void (*softmax)(const float *x, size_t n, float *y);
  /// The maximum m, and the sum of exp(x - m).
  void (*exp_sum)(const float *x, size_t n, float *maximum, float *sum);
  /// Rotates the first 2 * pairs values of `heads` heads (head_stride floats apart) in place.
  void (*rope)(float *x, size_t heads, size_t head_stride, size_t pairs, const float *cos,
               const float *sin, bool interleaved);
  /// Query rows [row, row_end), all `heads`.
  void (*attention)(const ck_attention *a, size_t row, size_t row_end);
  /// y = silu(the sum over t < taps of rows[t] * w[t][n], a chain in order).
  void (*convolve)(const float *const *rows, size_t taps, const float *w, size_t n, float *y);
  void (*delta)(const ck_delta *a, size_t tokens);
  /// From the gradient of y = rms_norm(x): that of x; dx may be dy.
  void (*rms_norm_gradient)(const float *x, const float *w, float eps, const float *dy, size_t n,
                            float *dx);
  /// From the gradient of y = f(gate) * up: those of gate and up; each may be any input.
  void (*gated_gradient[CK_ACTIVATIONS])(const float *gate, const float *up, const float *dy,
                                         size_t n, float *dgate, float *dup);
  /// From y = soft_cap(x) and its gradient: that of x; dx may be dy.
  void (*soft_cap_gradient)(const float *y, float cap, const float *dy, size_t n, float *dx);
  /// Of one query over n keys: s are products of query and keys, d the gradients of the softmax. p
  /// becomes the softmax of the scaled (and, with a cap, limited) scores, d the gradients of s,
  /// and s the scores.
  void (*score_gradient)(float *s, float scale, float cap, size_t n, float *p, float *d);
  /// Rows [row, row_end) and columns [column, column_end) of y.
  void (*outer)(const ck_outer *a, size_t row, size_t row_end, size_t column, size_t column_end);
  /// Parameters p and moments m and v of n values go one step along their gradients.
  void (*adamw)(const ck_adamw *a, const float *g, size_t n, float *p, float *m, float *v);
  /// Saturating store to f16 (NaN becomes +0), and back.
  void (*to_f16)(const float *x, size_t n, uint16_t *y);
  void (*from_f16)(const uint16_t *x, size_t n, float *y);
} ck_table;

static inline void ck_matmul_run(const ck_table *table, ck_format format, const ck_matmul *a,
                                 size_t panel, size_t panel_end, size_t row, size_t row_end) {
  table->matmul[format](a, panel, panel_end, row, row_end);
}

/// The table of a variant, or NULL if this build or this CPU lacks it.
const ck_table *ck_table_of(ck_variant variant);

// The operations below have one implementation: integers, copies, or scalar double arithmetic.

/// The id of the largest of n >= 1 values; ties go to the lower id. NaN counts as lowest.
size_t ck_argmax(const float *x, size_t n);
/// True if any of n values is infinite or NaN.
bool ck_has_nonfinite(const float *x, size_t n);
/// One f32 value to bf16 (nearest even, NaN stays NaN) and each 16-bit format to f32.
uint16_t ck_bf16_of(float x);
float ck_float_of_bf16(uint16_t x);
uint16_t ck_f16_of(float x);
float ck_float_of_f16(uint16_t x);
/// y[i] = saturated x[i] (infinities to the largest finite value, NaN to +0).
void ck_saturate(const float *x, size_t n, float *y);

// Functions in double arithmetic without libm or contraction: the same bits on every machine.
double ck_exp_double(double x);
double ck_log_double(double x);
double ck_pow_double(double x, double y);
/// The sine and cosine of a float32 angle of magnitude below 2^24, correctly reduced, rounded to
/// float32.
void ck_sincos(float angle, float *sine, float *cosine);

// Packing. `raw` holds a row as in the file: K / block blocks of file_bytes (ck_sizes_of). `w`,
// `scales` and `minima` are the beginnings of the whole packed matrix, as in ck_matmul.
/// Puts output row `row` in its panel. The scales of CK_F8_E4M3 are its caller's affair.
void ck_pack_row(ck_format format, const void *raw, size_t row, size_t k, void *w, void *scales,
                 void *minima);
/// One raw row as float32, of any format but CK_F8_E4M3.
void ck_dequantise_row(ck_format format, const void *raw, size_t k, float *y);
/// Output row `row` of a packed matrix as float32; `format` is that of the panels.
void ck_unpack_row(ck_format format, const void *w, const void *scales, const void *minima,
                   size_t row, size_t k, float *y);

// Writing the cache: n values of one position, into column `slot` of a key block or row `slot` of a
// value block.
void ck_store_key(const ck_table *table, const float *x, size_t n, size_t slot, void *keys,
                  bool half);
void ck_store_value(const ck_table *table, const float *x, size_t n, size_t slot,
                    size_t value_stride, void *values, bool half);

// Threads.
/// Sets the default rounding and exception state; returns the former one for ck_leave.
uint32_t ck_enter(void);
void ck_leave(uint32_t state);
/// Sleeps while *word == expected (may wake early); wakes up to `count` sleepers.
void ck_futex_wait(const uint32_t *word, uint32_t expected);
void ck_futex_wake(const uint32_t *word, int count);

static inline uint32_t ck_load32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static inline void ck_store32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
static inline uint32_t ck_add32(uint32_t *p, uint32_t v) {
  return __atomic_add_fetch(p, v, __ATOMIC_SEQ_CST);
}
static inline uint64_t ck_load64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static inline void ck_store64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
static inline bool ck_swap64(uint64_t *p, uint64_t *expected, uint64_t desired) {
  return __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST);
}
/// Tells the CPU that this is a spin loop.
static inline void ck_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

// Benchmarks.
/// Multiply-adds on registers for `rounds` rounds, and the operations of a round: what a variant's
/// instructions can reach at most. Both functions are NULL where that is not known.
typedef struct ck_probe {
  void (*multiply_floats)(size_t rounds);
  size_t float_operations;
  void (*multiply_bytes)(size_t rounds);
  size_t byte_operations;
} ck_probe;

ck_probe ck_probe_of(ck_variant variant);
/// Reads `count` words, a multiple of 8, and returns their sum.
uint64_t ck_probe_read(const uint64_t *words, size_t count);
