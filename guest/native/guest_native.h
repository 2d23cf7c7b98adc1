/* The guest programs as native functions: what tests compare with and benchmarks measure against.
 */
#ifndef JAVM_GUEST_NATIVE_H
#define JAVM_GUEST_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct guest_native {
    const char *name; /* also of prebuilt/<name>.jimg */
    uint64_t (*run)(uint64_t, uint64_t, uint64_t,
                    uint64_t); /* not reentrant: they have static buffers */
    size_t scratch_bytes;      /* what its JAVM_SCRATCHPAD maps; 0: none */
    uint64_t bench[4];         /* arguments for benchmarks: a few milliseconds natively at most */
    uint64_t demo[4];          /* arguments of demo jobs; the generator varies them */
};

extern const struct guest_native guest_natives[];
extern const size_t guest_native_count;

/* NULL when there is none of that name. */
const struct guest_native *guest_native_find(const char *name);
/* Run a program natively with `scratch` as its slot[0] (may be NULL for programs without one). */
uint64_t guest_native_run(const struct guest_native *guest, const uint64_t args[4],
                          uint8_t *scratch);

#ifdef __cplusplus
}
#endif
#endif
