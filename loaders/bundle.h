/* What the files of the bundle format share. The format itself is in docs/formats.md. */
#ifndef JAVM_LOADERS_BUNDLE_H
#define JAVM_LOADERS_BUNDLE_H

#include "javm/load.h"

/* CR, LF, ^Z: a transfer that changes line ends or stops at the end-of-file character is found at
 * once. */
#define BUNDLE_MAGIC   "JAVM\r\n\x1a\n"
#define BUNDLE_VERSION 1

enum {
    BUNDLE_HEADER_BYTES = 24, /* magic 8, version 4, cap count 4, root count 4, zero 4 */
    BUNDLE_CAP_HEADER = 9,    /* kind 1, body length 8 */
    BUNDLE_STORED_PAGE = 4 + 4096,
    BUNDLE_MAX_NAME = 255
};
/* A Data is at most the 4 GiB of a guest address space. */
#define BUNDLE_MAX_PAGES (UINT64_C(1) << 20)

/* Which caps of a bundle a hash may name: an open-addressed set of the hashes of the caps so far.
 */
struct cap_index {
    struct javm_hash *hashes; /* by cap number */
    uint32_t *slots;          /* cap number + 1; 0: empty */
    uint32_t count, mask;
};

/* Room for `capacity` caps. NOMEM: false, and nothing to free. */
bool cap_index_init(struct cap_index *index, uint32_t capacity);
void cap_index_free(struct cap_index *index);
/* Number `index->count` gets this hash. */
void cap_index_add(struct cap_index *index, const struct javm_hash *hash);
/* The number of a cap with this hash, or UINT32_MAX. */
uint32_t cap_index_find(const struct cap_index *index, const struct javm_hash *hash);

/* May `cap` stand behind caps[0..index->count)? MISSING when it names a cap that is not among them,
 * KIND when it names one of the wrong kind; `text` then says which. Readers and writers keep the
 * same rules by asking this. */
enum { BUNDLE_PROBLEM = 160 };
enum javm_status bundle_check_references(const struct cap_index *index,
                                         struct javm_cap *const *caps, const struct javm_cap *cap,
                                         char text[BUNDLE_PROBLEM]);

/* A root's name for a message: control characters become '?', and long names are cut between
 * characters. */
enum { BUNDLE_NAME_TEXT = 81 };
const char *bundle_name_text(const char *name, char text[BUNDLE_NAME_TEXT]);

/* "" when fine, else why `name` cannot be a root's name. */
const char *bundle_name_problem(const char *name, size_t len);

#endif
