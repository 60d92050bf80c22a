// Which variants this machine can run, and the state of the floating-point unit. Asked once by the Swift face.
#include "include/ckernels.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

extern const ck_table ck_table_soft;

#if defined(__x86_64__)
extern const ck_table ck_table_hard;

static bool has_fma(void) {
  return __builtin_cpu_supports("avx") && __builtin_cpu_supports("fma");
}

const ck_table *ck_table_of(ck_variant variant) {
  __builtin_cpu_init();
  switch (variant) {
    case CK_SCALAR_SOFT:
      return &ck_table_soft;
    case CK_SCALAR:
      return has_fma() ? &ck_table_hard : &ck_table_soft;
    default:
      return NULL;
  }
}

uint32_t ck_enter(void) {
  uint32_t state = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(0x1f80);
  return state;
}

void ck_leave(uint32_t state) { __builtin_ia32_ldmxcsr(state); }
#else
const ck_table *ck_table_of(ck_variant variant) {
  return variant <= CK_SCALAR ? &ck_table_soft : NULL;
}

uint32_t ck_enter(void) {
#if defined(__aarch64__)
  uint64_t state;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(state));
  __asm__ __volatile__("msr fpcr, %0" ::"r"((uint64_t)0));
  return (uint32_t)state;
#else
  return 0;
#endif
}

void ck_leave(uint32_t state) {
#if defined(__aarch64__)
  __asm__ __volatile__("msr fpcr, %0" ::"r"((uint64_t)state));
#else
  (void)state;
#endif
}
#endif

void ck_futex_wait(const uint32_t *word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

void ck_futex_wake(const uint32_t *word, int count) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}
