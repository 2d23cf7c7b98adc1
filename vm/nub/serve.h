/* The executor's side of a region: takes calls and jobs in lanes, until it is told to stop. */
#ifndef JAVM_NUB_SERVE_H
#define JAVM_NUB_SERVE_H

#include "vm/nub/region.h"
#include "vm/nub/sandbox.h"

/* Where a function puts what it has to say. */
struct nub_answer {
    struct nub_region *region;
    size_t len;            /* of region->out */
    uint32_t error;        /* enum javm_nub_error: then nothing but err counts */
    struct javm_error err; /* text "" : the error's own */
};
/* A long call has done so many parts, with the answer so far. */
void nub_answer_progress(struct nub_answer *answer, uint64_t parts);
/* `len` bytes; false and an error when there is no room. */
bool nub_answer_put(struct nub_answer *answer, const void *bytes, size_t len);
/* For a failure with its text in answer->err. */
void nub_answer_fail(struct nub_answer *answer, enum javm_status status);

struct nub_service {
    void *state;
    /* Any function number, any payload. */
    void (*call)(void *state, uint32_t fn, const uint8_t *payload, size_t len,
                 struct nub_answer *answer);
    /* A job of a lane; NULL when there are no lanes. */
    void (*invoke)(void *state, const struct javm_nub_invoke *packet,
                   struct javm_nub_result *result);
    void (*stop)(void *state);
    unsigned spins;             /* before sleeping */
    struct nub_machine machine; /* that it runs guests in */
};

/* What an executor runs. `start` is called in the thread or process that serves, before it gives up
 * its privileges; everything that needs a system call of its own has to happen there. */
struct nub_program {
    enum javm_status (*start)(const void *options, struct nub_region *region,
                              struct nub_service *service, struct javm_error *err);
    const void *options;
};

/* Serve until the host says stop. */
void nub_serve(struct nub_region *region, const struct nub_service *service);
/* Work one lane until it is told to STOP. False: there is no such lane, or it has a worker. */
bool nub_serve_lane(struct nub_region *region, const struct nub_service *service, uint32_t lane);

#endif
