/* `info`: what an image, a bundle or an ELF file holds. */
#ifndef JAVM_BATCH_INFO_H
#define JAVM_BATCH_INFO_H

#include "batch/options.h"

/* Prints to standard output. The exit code of the program. */
int info_file(const struct options *options);

#endif
