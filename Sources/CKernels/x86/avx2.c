// AVX2, FMA and F16C: all operations, integer products without VNNI.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "../include/ckernels.h"

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define CK_INLINE inline __attribute__((always_inline))
#define CK_UNROLL _Pragma("clang loop unroll(full)")
#define CK_X(name) ck_##name##_avx2
#define CK_Q(name) ck_##name##_avx2
#define CK_FEW_ROWS 3
#define CK_FEW_PANELS 2
#define CK_FEW_SWITCH CK_SWITCH_3
#define CK_MAX_ROWS 6
#define CK_WIDE_PANELS 1
#define CK_TILE_CHAINS 6
#define CK_TILE_SWITCH CK_SWITCH_6
#define CK_WIDTH 1
#define CK_TALL_ROWS 6
#define CK_TALL_WIDTH 1
#define CK_TALL_SWITCH CK_SWITCH_6
#define CK_Q_ROWS 4
#define CK_Q_SWITCH CK_SWITCH_4
#define CK_HALF_ROWS 2
#define CK_HALF_SWITCH CK_SWITCH_2

#include "vector_avx2.h"
#include "../vector/tiles.h"
#include "../vector/vector_ops.h"
#include "../vector/matmul_tile.h"
#include "../vector/attention_tile.h"
#include "../vector/delta_tile.h"
#include "../vector/gradient_ops.h"
#include "dot_avx2.h"
#include "../vector/quantised_tile.h"
#include "../vector/table.h"

const ck_table ck_table_avx2 = CK_TABLE(CK_AVX2);

#pragma clang attribute pop
#endif
