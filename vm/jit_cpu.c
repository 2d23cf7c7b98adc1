#include "vm/jit.h"

#if defined(__x86_64__)
#include <cpuid.h>

uint32_t jit_features(void)
{
    uint32_t a, b, c, d, features = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_POPCNT))
        features |= JIT_POPCNT;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d) && (c & bit_LZCNT))
        features |= JIT_LZCNT;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        if ((b & bit_BMI) && (b & bit_BMI2))
            features |= JIT_BMI2;
        if (b & bit_ADX)
            features |= JIT_ADX;
    }
    return features;
}
#else
uint32_t jit_features(void)
{
    return 0;
}
#endif
