// What this x86-64 processor and its operating system offer (Intel SDM volume 2, CPUID and XGETBV).
#if defined(__x86_64__)
#include <cpuid.h>

#include "../include/ckernels.h"

extern const ck_table ck_table_soft, ck_table_hard, ck_table_portable, ck_table_avx2,
    ck_table_avx2_vnni, ck_table_avx512, ck_table_avx512_vnni;

typedef struct cpu {
  bool fma, avx2, avx_vnni, avx512, avx512_vnni;
} cpu;

/// The register states that the operating system saves (XCR0).
static uint32_t saved_states(void) {
  uint32_t low, high;
  __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static bool bit(uint32_t word, int index) { return word >> index & 1; }

static cpu inspect(void) {
  cpu found = {0};
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return found;
  bool xsave = bit(c, 27);
  if (!xsave || !bit(c, 28)) return found;
  uint32_t states = saved_states();
  bool ymm = (states & 0x6) == 0x6, zmm = (states & 0xe6) == 0xe6;
  found.fma = ymm && bit(c, 12);
  bool f16c = bit(c, 29);
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
  found.avx2 = found.fma && f16c && bit(b, 5);
  // F, DQ, BW, VL
  found.avx512 = found.avx2 && zmm && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31);
  found.avx512_vnni = found.avx512 && bit(c, 11);
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) found.avx_vnni = found.avx2 && bit(a, 4);
  return found;
}

const ck_table *ck_table_of(ck_variant variant) {
  cpu found = inspect();
  switch (variant) {
    case CK_SCALAR_SOFT: return &ck_table_soft;
    case CK_SCALAR: return found.fma ? &ck_table_hard : &ck_table_soft;
    case CK_PORTABLE: return &ck_table_portable;
    case CK_AVX2: return found.avx2 ? &ck_table_avx2 : NULL;
    case CK_AVX2_VNNI: return found.avx_vnni ? &ck_table_avx2_vnni : NULL;
    case CK_AVX512: return found.avx512 ? &ck_table_avx512 : NULL;
    case CK_AVX512_VNNI: return found.avx512_vnni ? &ck_table_avx512_vnni : NULL;
    default: return NULL;
  }
}
#endif
