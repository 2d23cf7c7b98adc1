#include "guest/native/guest_native.h"

#include <string.h>

_Thread_local uint8_t *javm_native_scratch;
extern _Thread_local uint8_t *javm_native_scratch;

/* name, scratchpad bytes, arguments for benchmarks, arguments for the demo */
/* clang-format off */
#define GUESTS(X) \
    X(nop, 0, (7, 0, 0, 0), (7, 0, 0, 0)) \
    X(fib, 0, (22, 0, 0, 0), (14, 0, 0, 0)) \
    X(sieve, 0, (200000, 0, 0, 0), (5000, 0, 0, 0)) \
    X(sort, 0, (8192, 1, 0, 0), (300, 1, 0, 0)) \
    X(matmul, 0, (48, 1, 0, 0), (12, 1, 0, 0)) \
    X(blake2b, 16384, (65536, 0, 1, 0), (600, 0, 2, 0)) \
    X(keccak, 16384, (65536, 0, 1, 0), (500, 0, 2, 0)) \
    X(sha256, 16384, (65536, 0, 1, 0), (400, 0, 2, 0)) \
    X(ed25519, 16384, (2, 0, 0, 0), (1, 0, 0, 0)) \
    X(secp256k1, 16384, (1, 0, 0, 0), (1, 0, 0, 0)) \
    X(goldilocks, 0, (10000, 1, 0, 0), (200, 1, 0, 0)) \
    X(poseidon2, 0, (100, 1, 0, 0), (3, 1, 0, 0)) \
    X(polyeval, 0, (256, 256, 1, 0), (32, 24, 1, 0)) \
    X(lz4, 16384, (65536, 0, 4, 0), (2000, 0, 1, 0)) \
    X(bytecode, 0, (2000, 0, 0, 0), (60, 0, 0, 0)) \
    X(memsweep, 0, (50, 1, 0, 0), (1, 1, 0, 0))
#define FOUR(...) {__VA_ARGS__}
/* clang-format on */

#define X(name, scratch, bench, demo) uint64_t name##_main(uint64_t, uint64_t, uint64_t, uint64_t);
GUESTS(X)
#undef X

const struct guest_native guest_natives[] = {
#define X(name, scratch, bench, demo) {#name, name##_main, scratch, FOUR bench, FOUR demo},
    GUESTS(X)
#undef X
};
const size_t guest_native_count = sizeof guest_natives / sizeof *guest_natives;

const struct guest_native *guest_native_find(const char *name)
{
    for (size_t i = 0; i < guest_native_count; i++)
        if (strcmp(guest_natives[i].name, name) == 0)
            return &guest_natives[i];
    return NULL;
}

uint64_t guest_native_run(const struct guest_native *guest, const uint64_t args[4],
                          uint8_t *scratch)
{
    javm_native_scratch = scratch;
    return guest->run(args[0], args[1], args[2], args[3]);
}
