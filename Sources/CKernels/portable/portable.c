// Any processor with 128-bit vectors, in the vectors of the compiler: all operations.
#include <string.h>

#include "../include/ckernels.h"
#include "../reference/scalar.h"

#pragma STDC FP_CONTRACT OFF
// Vectors are arguments of inlined functions only: no other file depends on how they are passed.
#pragma clang diagnostic ignored "-Wpsabi"

#define CK_INLINE inline __attribute__((always_inline))
#define CK_UNROLL _Pragma("clang loop unroll(full)")
#define CK_X(name) ck_##name##_portable
#define CK_Q(name) ck_##name##_portable
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

#include "vector_portable.h"
#include "fma_portable.h"
#include "../vector/tiles.h"
#include "../vector/vector_ops.h"
#include "../vector/matmul_tile.h"
#include "../vector/attention_tile.h"
#include "../vector/delta_tile.h"
#include "../vector/gradient_ops.h"
#include "dot_portable.h"
#include "../vector/quantised_tile.h"
#include "../vector/table.h"

const ck_table ck_table_portable = CK_TABLE(CK_PORTABLE);
