/* Bundles for tests: a good one with every kind of cap, and raw bytes with a right checksum around
 * anything. */
#ifndef JAVM_TEST_BUNDLE_MAKER_H
#define JAVM_TEST_BUNDLE_MAKER_H

#include "javm/load.h"

/* Every kind of cap, sparse and empty data, a paused instance, a kernel handle; three roots, not
 * sorted. `sparse_pages` is the size of the Data of which only the last page is stored. */
struct javm_bundle bundle_rich(uint64_t sparse_pages);
/* Encoded; malloc'ed. Fails the test when it cannot be. */
uint8_t *bundle_bytes(const struct javm_bundle *bundle, size_t *len);
/* Make the last 32 bytes right again. */
void bundle_fix_checksum(uint8_t *bytes, size_t len);

struct raw {
    uint8_t *bytes; /* owned */
    size_t len;
};
void raw_le(struct raw *raw, uint64_t value, unsigned width);
void raw_put(struct raw *raw, const void *bytes, size_t n);
/* Magic, version 1, counts, zero. */
struct raw raw_bundle(uint32_t caps, uint32_t roots);
/* Kind and a body of n bytes. */
void raw_cap(struct raw *raw, unsigned kind, const void *body, size_t n);
void raw_finish(struct raw *raw); /* the checksum */

#endif
