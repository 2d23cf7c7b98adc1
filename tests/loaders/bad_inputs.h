/* Inputs that are wrong in one way each, for test_bad_input.c: its rows of docs/bad-input-files.md.
 */
#ifndef JAVM_TEST_BAD_INPUTS_H
#define JAVM_TEST_BAD_INPUTS_H

#include "javm/load.h"

struct input {
    uint8_t *bytes; /* owned */
    size_t len;
};

struct bad {
    const char *what; /* the document's first column */
    enum javm_status status;
    struct input (*make)(void);
};

extern const struct bad bad_elf[], bad_bundles[];
extern const unsigned bad_elf_count, bad_bundle_count;

#endif
