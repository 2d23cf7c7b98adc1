#include "javm/version.h"

#if defined(__x86_64__)
#define ENGINES "interp, jit"
#else
#define ENGINES "interp"
#endif

const char *javm_build_facts(void)
{
    return "compiler  " BUILD_COMPILER "\n"
           "flags     " BUILD_FLAGS "\n"
           "engines   " ENGINES "\n"
           "sources   "
#include "loaders/source_hash.inc"
           "\n";
}
