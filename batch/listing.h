/* The code of an image as text, on standard output. */
#ifndef JAVM_BATCH_LISTING_H
#define JAVM_BATCH_LISTING_H

#include "javm/engine.h"
#include "javm/image.h"

/* Instruction by instruction, each block start marked with its gas. */
void listing_guest(const struct javm_image *image, const struct javm_program *program);
/* Block by block, beside the native code that `jit` makes of it. LIMIT, NOMEM, UNSUPPORTED. */
enum javm_status listing_native(struct javm_jit *jit, const struct javm_image *image,
                                const struct javm_program *program, struct javm_error *err);

#endif
