/* Images: program text and its declared layout (spec: v3 capabilities, "Image").
 *
 * An image is built as a `struct javm_image`, then admitted: javm_image_new() checks it and makes
 * an immutable cap. What leaves that function is valid; nothing downstream checks again. */
#ifndef JAVM_IMAGE_H
#define JAVM_IMAGE_H

#include "javm/cap.h"

#ifdef __cplusplus
extern "C" {
#endif

enum javm_isa { JAVM_ISA_PVM = 0, JAVM_ISA_PVM2 = 1 };

#define JAVM_CODE_BASE 0x00400000u
#define JAVM_DATA_BASE 0x10000000u
#define JAVM_CODE_MAX  (JAVM_DATA_BASE - JAVM_CODE_BASE) /* 252 MiB */

struct javm_endpoint {
    uint32_t index; /* < JAVM_MAX_ENDPOINTS; the list is sorted by it, unique */
    uint64_t entry_pc;
    uint64_t stack_top;
    struct javm_key arg_cnode_slot; /* len 0: none */
    uint8_t arg_cnode_size;
    uint64_t initial_regs[JAVM_NUM_REGS];
};

struct javm_mapping {
    uint64_t start, size;                        /* multiples of the page size, size > 0 */
    uint8_t depth;                               /* 0: ephemeral; else length of path */
    struct javm_key path[JAVM_MAX_SOURCE_DEPTH]; /* slots to walk to a Data */
};

struct javm_pin { /* an entry of `pinned` or `initial` */
    struct javm_key key;
    struct javm_hash hash;
};

/* All pointers are owned by whoever owns the struct: by the caller before javm_image_new(), which
 * copies, and by the cap after it. Lists are in canonical order (index, start, key). */
struct javm_image {
    enum javm_isa isa;
    const uint8_t *code;
    uint64_t code_len;
    const uint8_t *bitmask; /* PVM only */
    uint64_t bitmask_len;
    const uint32_t *jump_table; /* PVM only */
    uint32_t jump_count;
    const struct javm_endpoint *endpoints;
    uint32_t endpoint_count;
    const struct javm_mapping *mappings; /* in ascending start order */
    uint32_t mapping_count;
    const struct javm_pin *pinned, *initial;
    uint32_t pinned_count, initial_count;
    const struct javm_key *gas_slots, *quota_slots; /* ordered as declared */
    uint32_t gas_slot_count, quota_slot_count;
    struct javm_key yield_receiver_slot; /* len 0: none */
};

/* Admission. Copies everything. Errors name the field ("mappings[2].start: ..."). FORMAT, RANGE,
 * LIMIT, NOMEM. Time is proportional to the metadata plus one copy of the code. */
enum javm_status javm_image_new(const struct javm_image *fields, struct javm_cap **cap,
                                struct javm_error *err);
const struct javm_image *javm_image_of(const struct javm_cap *image);

/* Distinct data pages that the mappings declare (gas footprint, PVM2 9.4). */
uint64_t javm_image_footprint(const struct javm_image *image);
const struct javm_endpoint *javm_image_endpoint(const struct javm_image *image, uint64_t index);
const struct javm_pin *javm_image_pinned(const struct javm_image *image,
                                         const struct javm_key *key);
const struct javm_pin *javm_image_initial(const struct javm_image *image,
                                          const struct javm_key *key);

/* The canonical encoding. *bytes is malloc'ed and becomes the caller's. NOMEM. */
enum javm_status javm_image_encode(const struct javm_cap *image, uint8_t **bytes, size_t *len);
/* Decode and admit. Trailing bytes, unsorted or duplicate keys and lengths past the end are FORMAT
 * with the byte offset in err->where; allocation is bounded by a small multiple of len. */
enum javm_status javm_image_decode(const uint8_t *bytes, size_t len, struct javm_cap **cap,
                                   struct javm_error *err);

#ifdef __cplusplus
}
#endif
#endif
