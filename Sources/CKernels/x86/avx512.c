// AVX-512 F, BW, DQ and VL: all operations, integer products without VNNI.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "../include/ckernels.h"

#pragma STDC FP_CONTRACT OFF
#define CK_FEATURES "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"
#pragma clang attribute push(__attribute__((target(CK_FEATURES))), apply_to = function)

#define CK_INLINE inline __attribute__((always_inline))
#define CK_UNROLL _Pragma("clang loop unroll(full)")
#define CK_X(name) ck_##name##_avx512
#define CK_Q(name) ck_##name##_avx512
#define CK_FEW_ROWS 3
#define CK_FEW_PANELS 2
#define CK_FEW_SWITCH CK_SWITCH_3
#define CK_MAX_ROWS 12
#define CK_WIDE_PANELS 2
#define CK_TILE_CHAINS 24
#define CK_TILE_SWITCH CK_SWITCH_12
#define CK_WIDTH 4
#define CK_TALL_ROWS 12
#define CK_TALL_WIDTH 2
#define CK_TALL_SWITCH CK_SWITCH_12
#define CK_Q_ROWS 14
#define CK_Q_SWITCH CK_SWITCH_14
#define CK_HALF_ROWS 8
#define CK_HALF_SWITCH CK_SWITCH_8

#include "vector_avx512.h"
#include "../vector/tiles.h"
#include "../vector/vector_ops.h"
#include "../vector/matmul_tile.h"
#include "../vector/attention_tile.h"
#include "../vector/delta_tile.h"
#include "../vector/gradient_ops.h"
#include "dot_avx512.h"
#include "../vector/quantised_tile.h"
#include "../vector/table.h"

const ck_table ck_table_avx512 = CK_TABLE(CK_AVX512);

#pragma clang attribute pop
#endif
