/* `info` for PVM programs in their containers: javm/container.h. */
#ifndef JAVM_BATCH_CONTAINER_INFO_H
#define JAVM_BATCH_CONTAINER_INFO_H

#include "batch/listing.h"
#include "batch/options.h"
#include "javm/container.h"

/* Prints to standard output what the bytes of the file options->path are; the exit code of the
 * program. */
int container_info(const struct options *options, const uint8_t *bytes, size_t len);

/* Of PVM code: sizes, instructions, blocks, jump table; with `assembly` the code, beside what `jit`
 * makes of it unless that is NULL. False: it could not, and has said why. */
bool container_info_code(const struct listing_code *code, bool assembly, struct javm_jit *jit);

#endif
