/* The code of an image as text, on standard output. */
#ifndef JAVM_BATCH_LISTING_H
#define JAVM_BATCH_LISTING_H

#include "batch/options.h"
#include "batch/pvm_listing.h"
#include "javm/engine.h"
#include "javm/image.h"

/* The guest's side of a listing. */
struct listing_code {
    const uint8_t *code;
    uint64_t len;
    struct javm_program_key key;
    const struct javm_image *image;    /* its endpoints are labels; NULL: none */
    const struct javm_pvm_code *pvm;   /* NULL: PVM2 */
    const struct listing_names *names; /* PVM; NULL: none */
};

/* For native code, when the options ask for a listing with it. False: it was asked for and cannot
 * be, which was said. */
bool listing_open(const struct options *options, struct javm_jit **jit);

/* Instruction by instruction, each block start marked with its gas. */
void listing_guest(const struct javm_image *image, const struct javm_program *program);
/* Block by block, beside the native code that `jit` makes of it. `program`: of the same code and
 * key. LIMIT, NOMEM, UNSUPPORTED. */
enum javm_status listing_native(struct javm_jit *jit, const struct listing_code *code,
                                const struct javm_program *program, struct javm_error *err);

#endif
