/* `info` for PVM programs in their containers: javm/container.h. */
#ifndef JAVM_BATCH_CONTAINER_INFO_H
#define JAVM_BATCH_CONTAINER_INFO_H

#include "batch/options.h"
#include "javm/container.h"

/* Prints to standard output what the bytes of the file options->path are; the exit code of the
 * program. */
int container_info(const struct options *options, const uint8_t *bytes, size_t len);

/* Sizes, instructions, blocks, jump table; with `assembly` the code. False: out of
 * memory, which it has said. */
bool container_info_code(const struct javm_pvm_code *code, bool assembly);

#endif
