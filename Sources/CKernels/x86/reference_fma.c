// The scalar reference once more, with the FMA instruction: the same bits, a hundred times faster
// than in software.
#if defined(__x86_64__)
#include <string.h>

#include "../include/ckernels.h"

#pragma clang attribute push(__attribute__((target("avx,fma"))), apply_to = function)
#define CK_HARD_FMA 1
#include "../reference/activation.c"
#include "../reference/attention.c"
#include "../reference/combine.c"
#include "../reference/convert.c"
#include "../reference/delta.c"
#include "../reference/exp.c"
#include "../reference/gradient.c"
#include "../reference/log.c"
#include "../reference/matmul_float.c"
#undef MATMUL
#include "../reference/matmul_quantised.c"
#undef MATMUL
#include "../reference/norm.c"
#include "../reference/quantise.c"
#include "../reference/rope.c"
#include "../reference/softmax.c"
#undef MATMUL
#include "../reference/table.c"
#pragma clang attribute pop
#endif
