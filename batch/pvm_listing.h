/* PVM code as text, on standard output. */
#ifndef JAVM_BATCH_PVM_LISTING_H
#define JAVM_BATCH_PVM_LISTING_H

#include "javm/container.h"

/* A label before an instruction, or what a host call is called. */
struct listing_names {
    const struct javm_pvm_symbol *exports, *imports;
    uint32_t export_count, import_count;
};

/* Instruction by instruction, from the first to the last, whatever the bytes are; block starts are
 * marked. `names` may be NULL. False: out of memory. */
bool listing_pvm(const struct javm_pvm_code *code, const struct listing_names *names);

/* The instruction at `at` as text, for the side of a listing; where the next one is. */
uint64_t listing_pvm_insn(const struct javm_pvm_code *code, const struct listing_names *names,
                          uint64_t at, char *text, size_t size);
/* Exports by place, for a listing that goes up. */
struct listing_labels {
    const struct javm_pvm_symbol **order; /* free it */
    uint32_t next, count;
};
/* `names` may be NULL. False: out of memory. */
bool listing_labels_open(struct listing_labels *labels, const struct listing_names *names);
/* A line for each export at `at`, which is behind that of the call before. */
void listing_labels_print(struct listing_labels *labels, uint64_t at);

/* In quotes, what is no printable ASCII as \xNN; cut after 200 bytes. */
void listing_name(const uint8_t *name, uint64_t len);

#endif
