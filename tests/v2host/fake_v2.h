/* A javm_v2 for tests of the host: memory of four pages, 0 nobody's, 1 read only, 2 and 3
 * writable. */
#ifndef JAVM_TEST_FAKE_V2_H
#define JAVM_TEST_FAKE_V2_H

#include "javm/v2.h"

struct javm_v2 {
    uint8_t memory[0x4000];
    unsigned reads; /* calls of javm_v2_read */
};
enum { READ_ONLY = 0x1000, WRITABLE = 0x2000, BEHIND = 0x4000 };

#endif
