/* Images to break: fields that a test may change, and an encoder that writes them as they are,
 * valid or not, and keeps the offset of every field and list element. It follows docs/caps.md and
 * shares no code with caps/. */
#ifndef TESTS_CAPS_DRAFT_H
#define TESTS_CAPS_DRAFT_H

#include "javm/image.h"

#define DRAFT_ENDPOINTS (JAVM_MAX_ENDPOINTS + 1)
#define DRAFT_LIST      16

struct draft {
    struct javm_image image; /* points into the arrays below: do not copy a draft */
    uint8_t code[64], bitmask[16];
    uint32_t jumps[DRAFT_LIST];
    struct javm_endpoint endpoints[DRAFT_ENDPOINTS];
    struct javm_mapping mappings[DRAFT_LIST];
    struct javm_pin pinned[DRAFT_LIST], initial[DRAFT_LIST];
    struct javm_key gas[DRAFT_LIST], quota[DRAFT_LIST];
};

/* No field is set but isa. */
void draft_empty(struct draft *draft, enum javm_isa isa);
/* Something valid in every field that the isa has; three elements in each list. */
void draft_rich(struct draft *draft, enum javm_isa isa);

enum draft_field {
    DRAFT_ISA,
    DRAFT_CODE,
    DRAFT_BITMASK,
    DRAFT_JUMP_TABLE,
    DRAFT_ENDPOINT,
    DRAFT_MAPPING,
    DRAFT_PINNED,
    DRAFT_INITIAL,
    DRAFT_GAS,
    DRAFT_QUOTA,
    DRAFT_RECEIVER,
    DRAFT_FIELDS
};
extern const char *const draft_field_names[DRAFT_FIELDS];

struct draft_bytes {
    uint8_t bytes[24576];
    size_t len;
    size_t field[DRAFT_FIELDS]; /* offset of the field, with its count */
    size_t element[DRAFT_FIELDS][DRAFT_ENDPOINTS];
};
void draft_encode(const struct javm_image *image, struct draft_bytes *out);

#endif
