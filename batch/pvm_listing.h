/* PVM code as text, on standard output. */
#ifndef JAVM_BATCH_PVM_LISTING_H
#define JAVM_BATCH_PVM_LISTING_H

#include "javm/container.h"
#include "javm/image.h"

/* A label before an instruction, or what a host call is called. */
struct listing_names {
    const struct javm_pvm_symbol *exports, *imports;
    uint32_t export_count, import_count;
};

/* The code of an image for PVM, whose parts it borrows. */
struct javm_pvm_code listing_code_of(const struct javm_image *image);

/* Instruction by instruction, from the first to the last, whatever the bytes are; block starts are
 * marked. `names` may be NULL. False: out of memory. */
bool listing_pvm(const struct javm_pvm_code *code, const struct listing_names *names);

/* In quotes, what is no printable ASCII as \xNN; cut after 200 bytes. */
void listing_name(const uint8_t *name, uint64_t len);

#endif
