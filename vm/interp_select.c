/* The interpreter is compiled twice: for any x86-64, and for processors with BMI2, LZCNT and
 * POPCNT, where shifts and counts are single instructions. The choice is made once, at load time.
 */
#include "vm/interp.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

void interp_run_plain(struct javm_exec *exec);
void interp_run_bmi2(struct javm_exec *exec);

static void (*chosen)(struct javm_exec *) = interp_run_plain;

#if defined(__x86_64__)
__attribute__((constructor)) static void choose(void)
{
    /* clang has no name for LZCNT in __builtin_cpu_supports, so it is read from cpuid. */
    unsigned eax, ebx, ecx = 0, edx;
    bool lzcnt = __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) != 0 && (ecx & 1u << 5) != 0;
    __builtin_cpu_init();
    if (lzcnt && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
        __builtin_cpu_supports("popcnt"))
        chosen = interp_run_bmi2;
}
#endif

void interp_run(struct javm_exec *exec)
{
    chosen(exec);
}
