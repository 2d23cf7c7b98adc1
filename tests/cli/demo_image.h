/* A small image for tests: one endpoint for each way a job can end. Built through the C API, so
 * that the tests of the batch program need no guest compiler. */
#ifndef JAVM_TESTS_DEMO_IMAGE_H
#define JAVM_TESTS_DEMO_IMAGE_H

#include "javm/cap.h"
#include "javm/load.h"

enum demo_endpoint {
    DEMO_RETURN = 0,  /* halts with the first argument */
    DEMO_ADD = 1,     /* halts with the sum of two arguments */
    DEMO_COUNT = 2,   /* counts the first argument down to 0, halts with 0 */
    DEMO_FOREVER = 3, /* never ends */
    DEMO_TRAP = 4,
    DEMO_PANIC = 5,
    DEMO_FAULT = 6, /* loads from 0x20000010 */
    DEMO_HOST = 7,  /* ecalli 77, which no version serves */
    DEMO_ECHO = 8,  /* slot[0], mapped at 0x10000000: word 1 := word 0 + 1; halts with it */
    DEMO_SLOT = 9,  /* halts with the first 8 bytes of slot 5, mapped at 0x10010000 */
    DEMO_ENDPOINTS
};

/* A second image, for jobs that pause. Slots: 0 one page read-write at 0x10000000, 3 one page
 * read-write at 0x10010000, 4 the YieldSender. */
enum pause_endpoint {
    PAUSE_SUM = 0, /* n times: slot[0] := what is left of n, yield, add up slot[0]; adds the sum to
                      slot 3 and halts with that */
    PAUSE_TOTAL = 1,   /* halts with slot 3 */
    PAUSE_FOREVER = 2, /* yields, again and again */
    PAUSE_ENDPOINTS
};

/* Slots: 0 two pages read-write, 5 one page read-write, 9 pinned: one page, 0x11 first. NULL:
 * something failed. */
struct javm_cap *demo_image(struct javm_cap **pinned);
struct javm_cap *pause_image(void);
/* As a bundle with the root "image" (or `root`). False: something failed. */
bool demo_bundle(const char *root, struct javm_bundle *bundle);
bool pause_bundle(struct javm_bundle *bundle);

#endif
