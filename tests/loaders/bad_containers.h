/* PVM containers that are wrong in one way each, for test_bad_input.c and test_allocation.c. */
#ifndef JAVM_TEST_BAD_CONTAINERS_H
#define JAVM_TEST_BAD_CONTAINERS_H

#include "tests/loaders/pvm_maker.h"

struct bad_container {
    const char *what; /* the document's first column */
    enum javm_status status;
    enum javm_pvm_container as; /* what it is read as; ANY: found out */
    int base;                   /* a good one, with */
    size_t at;                  /* these bytes instead of its own, */
    const char *hex;
    size_t len; /* and this length: cut, or zeros added; 0: as it is */
};

extern const struct bad_container bad_containers[];
extern const unsigned bad_container_count;

/* The bases as they are, each in its own form and to be found out. */
extern const struct bad_container good_containers[];
extern const unsigned good_container_count;

struct blob bad_container_make(const struct bad_container *bad);
/* What loading gives; nothing is kept. */
enum javm_status bad_container_load(const struct bad_container *bad, const uint8_t *bytes,
                                    size_t len, struct javm_error *err);

#endif
