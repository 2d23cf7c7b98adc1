/* The functions of an executor of guests: a directory, a Vm and compiled code of its own. */
#ifndef JAVM_NUB_EXECUTOR_H
#define JAVM_NUB_EXECUTOR_H

#include "javm/nub_host.h"
#include "vm/nub/serve.h"

/* For struct nub_program; options is a struct nub_executor_options. */
struct nub_executor_options {
    struct javm_nub_options options;
    const char *machine; /* as in struct javm_jit_options */
};
enum javm_status nub_executor_start(const void *options, struct nub_region *region,
                                    struct nub_service *service, struct javm_error *err);
/* Publish what was read from the wire, with its overlays. On failure nothing was published. */
enum javm_status nub_publish(struct javm_dir_thread *dir, const struct javm_nub_wire *wire,
                             struct javm_hash *hash, struct javm_error *err);

#endif
