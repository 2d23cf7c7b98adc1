/* A virtual machine of this process in whose ring 3 generated code runs (KVM).
 *
 * A machine belongs to one thread. All system calls but two, ioctl of KVM_RUN at the vcpu and of
 * KVM_SET_USER_MEMORY_REGION at the vm, are made by machine_create. */
#ifndef JAVM_VM_KVM_MACHINE_H
#define JAVM_VM_KVM_MACHINE_H

#include "vm/jit_context.h"

struct machine;

/* `device` is /dev/kvm. UNSUPPORTED: it is not there, may not be opened or lacks something. IO,
 * NOMEM. */
enum javm_status machine_create(const char *device, struct machine **machine,
                                struct javm_error *err);
/* NULL is allowed. */
void machine_destroy(struct machine *machine);
void machine_descriptors(const struct machine *machine, int *vm, int *vcpu);
/* Once each, before anything runs: compiled code, as ring 3 sees it, and in it the addresses of the
 * way in and of the way out. */
enum javm_status machine_set_code(struct machine *machine, const uint8_t *executable,
                                  uint64_t bytes, struct javm_error *err);
void machine_set_ways(struct machine *machine, uint64_t enter, uint64_t gate);

/* Zeros that ring 3 can read, aligned to pages. NULL: no memory. */
void *machine_alloc(struct machine *machine, size_t bytes);
void machine_free(struct machine *machine, void *at, size_t bytes); /* at may be NULL */

/* Has the machine a window for this memory? Makes it one at the first call. A memory is in one
 * machine at most. */
bool machine_ready(struct machine *machine, struct javm_memory *memory);
/* Run what the context says until it leaves for a reason; the same as jit_enter. A fault that has
 * nothing to do with a guest ends the process. */
void machine_enter(struct machine *machine, struct javm_memory *memory,
                   struct jit_context *context);

#endif
