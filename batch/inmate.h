/* What runs in the process of --isolation process: jobs in, results out, with a directory, a Vm and
 * compiled code of its own. */
#ifndef JAVM_BATCH_INMATE_H
#define JAVM_BATCH_INMATE_H

#include "batch/foreign.h"
#include "batch/parcel.h"
#include "vm/nub/serve.h"

struct inmate_options {
    enum javm_engine engine;
    enum javm_gas_model gas_model;
    const struct foreign_stubs *stubs; /* as definitions have them */
    const char *machine;               /* as in struct javm_jit_options */
};

/* For struct nub_program; options is a struct inmate_options. */
enum javm_status inmate_start(const void *options, struct nub_region *region,
                              struct nub_service *service, struct javm_error *err);

#endif
