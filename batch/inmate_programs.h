/* The programs that a process of --isolation process was given, by what they are called outside. */
#ifndef JAVM_BATCH_INMATE_PROGRAMS_H
#define JAVM_BATCH_INMATE_PROGRAMS_H

#include "batch/definitions.h"
#include "batch/foreign.h"
#include "batch/v2_programs.h"

struct inmate_programs {
    void *tree; /* tsearch, by kind and hash */
};

/* From its file, of `kind` INMATE_PVM or INMATE_V2. One that is there already is left as it is. */
enum javm_status inmate_programs_add(struct inmate_programs *programs, uint32_t kind,
                                     const uint8_t *bytes, size_t len,
                                     const struct foreign_stubs *stubs, struct javm_error *err);
/* NULL: it was not given. */
const struct target *inmate_programs_pvm(const struct inmate_programs *programs,
                                         const struct javm_hash *hash);
const struct v2_program *inmate_programs_v2(const struct inmate_programs *programs,
                                            const struct javm_hash *hash);
/* Nothing runs any more. */
void inmate_programs_clear(struct inmate_programs *programs);

#endif
