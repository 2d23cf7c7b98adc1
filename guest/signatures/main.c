/* A large program of which an invocation runs a tenth: eleven of the guests in one image, for
 * benchmarks. a0 chooses the member; a1, a2, a3 are its first three arguments, its fourth is 0. */
#include "javm_guest.h"

#define SCRATCH_BYTES 16384

JAVM_SCRATCHPAD(SCRATCH_BYTES);

/* clang-format off */
#define MEMBERS(X) \
    X(ed25519) X(secp256k1) X(sha256) X(keccak) X(blake2b) X(poseidon2) X(lz4) X(sort) X(matmul) \
    X(goldilocks) X(polyeval)
/* clang-format on */

#define X(name) uint64_t name##_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3);
MEMBERS(X)
#undef X

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
#define X(name) name##_main,
    static uint64_t (*const members[])(uint64_t, uint64_t, uint64_t, uint64_t) = {MEMBERS(X)};
#undef X
    if (a0 >= sizeof members / sizeof *members)
        javm_trap();
    return members[a0](a1, a2, a3, 0);
}
