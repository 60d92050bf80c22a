// AVX2 with AVX-VNNI: its own integer products, the rest as in avx2.c.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "../include/ckernels.h"

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)

#define CK_INLINE inline __attribute__((always_inline))
#define CK_UNROLL _Pragma("clang loop unroll(full)")
#define CK_X(name) ck_##name##_avx2
#define CK_Q(name) ck_##name##_avx2_vnni
#define CK_Q_ROWS 4
#define CK_Q_SWITCH CK_SWITCH_4
#define CK_HALF_ROWS 2
#define CK_HALF_SWITCH CK_SWITCH_2
#define CK_VNNI 1

#include "vector_avx2.h"
#include "../vector/tiles.h"
#include "dot_avx2.h"
#include "../vector/quantised_tile.h"
#include "../vector/table.h"

const ck_table ck_table_avx2_vnni = CK_TABLE(CK_AVX2_VNNI);

#pragma clang attribute pop
#endif
