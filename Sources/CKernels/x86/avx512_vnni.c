// AVX-512 with VNNI: its own integer products, the rest as in avx512.c.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "../include/ckernels.h"

#pragma STDC FP_CONTRACT OFF
#define CK_FEATURES "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,avx512vnni"
#pragma clang attribute push(__attribute__((target(CK_FEATURES))), apply_to = function)

#define CK_INLINE inline __attribute__((always_inline))
#define CK_UNROLL _Pragma("clang loop unroll(full)")
#define CK_X(name) ck_##name##_avx512
#define CK_Q(name) ck_##name##_avx512_vnni
#define CK_Q_ROWS 14
#define CK_Q_SWITCH CK_SWITCH_14
#define CK_HALF_ROWS 8
#define CK_HALF_SWITCH CK_SWITCH_8
#define CK_VNNI 1

#include "vector_avx512.h"
#include "../vector/tiles.h"
#include "dot_avx512.h"
#include "../vector/quantised_tile.h"
#include "../vector/table.h"

const ck_table ck_table_avx512_vnni = CK_TABLE(CK_AVX512_VNNI);

#pragma clang attribute pop
#endif
