/* `info` for caps that name others: instances, tables, handles. */
#ifndef JAVM_BATCH_INFO_CAPS_H
#define JAVM_BATCH_INFO_CAPS_H

#include <stdbool.h>

#include "javm/load.h"

struct caps; /* those of a bundle, by hash, and which of them were told already */

/* `bundle` is borrowed. NULL: out of memory. */
struct caps *caps_new(const struct javm_bundle *bundle);
void caps_free(struct caps *caps);
/* A line of `info`: a label, and a text as of printf. */
__attribute__((format(printf, 2, 3))) void info_row(const char *label, const char *fmt, ...);
/* Keys that are one byte print as a number, others as 0x...; `text` has 32 bytes. Returns it. */
const char *info_key(const struct javm_key *key, char text[32]);

/* The rows of an Instance with its slots, and of a CNode. Long tables are cut. */
void info_instance(struct caps *caps, const struct javm_cap *cap);
void info_cnode(struct caps *caps, const struct javm_cap *cap);
/* Is it a root? And a text for each name that it has. */
bool info_is_root(const struct caps *caps, uint32_t index);
void info_put_roots(const struct caps *caps, uint32_t index);
/* Has the cap number `index` of the bundle been told where another one names it? */
bool info_told(const struct caps *caps, uint32_t index);

#endif
