// The state of the floating-point unit, and sleeping on a word of memory.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scalar.h"

#if defined(__x86_64__)
uint32_t ck_enter(void) {
  uint32_t state = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(0x1f80);  // nearest even, subnormals kept, exceptions masked
  return state;
}

void ck_leave(uint32_t state) { __builtin_ia32_ldmxcsr(state); }
#else
extern const ck_table ck_table_soft, ck_table_portable;

const ck_table *ck_table_of(ck_variant variant) {
  if (variant == CK_PORTABLE) return &ck_table_portable;
  return variant <= CK_SCALAR ? &ck_table_soft : NULL;
}

#if defined(__aarch64__)
uint32_t ck_enter(void) {
  uint64_t state;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(state));
  __asm__ __volatile__("msr fpcr, %0" ::"r"((uint64_t)0));
  return (uint32_t)state;
}

void ck_leave(uint32_t state) { __asm__ __volatile__("msr fpcr, %0" ::"r"((uint64_t)state)); }
#else
uint32_t ck_enter(void) { return 0; }
void ck_leave(uint32_t state) { (void)state; }
#endif
#endif

void ck_futex_wait(const uint32_t *word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

void ck_futex_wake(const uint32_t *word, int count) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}
