/* bisect.h for jobs on instances of images. */
#ifndef JAVM_BATCH_BISECT_IMAGE_H
#define JAVM_BATCH_BISECT_IMAGE_H

#include "batch/bisect.h"
#include "batch/execute.h"

/* All borrowed. */
struct bisect_image {
    struct javm_vm *vms[2];
    struct javm_dir_thread *dir;
    struct javm_annex
        *annex;          /* sees what the job stands on; what is left there has to be cleared */
    uint64_t timeout_ms; /* of each run; 0: none */
    const struct job *job;
    const struct ground *ground;
};

/* For struct bisect, whose context is a struct bisect_image. */
enum javm_status bisect_image_probe(void *context, unsigned side, uint64_t gas,
                                    struct bisect_state *state, struct javm_error *err);
bool bisect_image_list(void *context, const struct javm_frame *frame, uint64_t *at,
                       char text[BISECT_LINE]);

#endif
