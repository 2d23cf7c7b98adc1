/* The guest programs in the machine: a directory, a Vm and one fresh instance per prebuilt image.
 * Shared by tests, benchmarks and the demo's generator. One thread. */
#ifndef JAVM_GUEST_VM_H
#define JAVM_GUEST_VM_H

#include "guest/native/guest_native.h"
#include "javm/vm.h"

#ifdef __cplusplus
extern "C" {
#endif

struct guest_vm;

/* Loads `folder`/<name>.jimg for every guest. `options` is the Vm's, NULL for its defaults. NULL
 * with a message on stderr when an image is missing or bad. */
struct guest_vm *guest_vm_open(const char *folder, const struct javm_vm_options *options);
void guest_vm_close(struct guest_vm *vm);
/* Invoke endpoint 0 of guest number i (its place in guest_natives). The caller clears the result.
 */
enum javm_status guest_vm_invoke(struct guest_vm *vm, size_t i, const uint64_t args[4],
                                 uint64_t gas, const struct javm_cap *scratchpad,
                                 struct javm_call_result *result, struct javm_error *err);

#ifdef __cplusplus
}
#endif
#endif
