/* The bodies of caps, for the files of this folder only. */
#ifndef JAVM_CAPS_CAP_IMPL_H
#define JAVM_CAPS_CAP_IMPL_H

#include "caps/hasher.h"
#include "javm/cap.h"
#include "javm/image.h"

/* A page (a leaf), or an inner node of the merkle tree above pages. NULL stands for all zeros, so
 * every node that exists holds at least one page. Nodes are shared between Data caps and changed
 * only by a holder of the only count on the whole path from the root. */
struct data_node {
    uint64_t count;
    struct hash_memo memo;
    uint32_t pages; /* pages stored at or below this node */
    union {
        struct data_node *kids[2]; /* an inner node; its level says which of the two it is */
        uint8_t *page;             /* a leaf: JAVM_PAGE_SIZE bytes in a block of their own */
    };
};
_Static_assert(sizeof(struct data_node) == 64, "a node fills one cache line");

struct data_body {
    uint64_t pages;
    uint32_t depth; /* levels of inner nodes; 2^depth leaves */
    struct data_node *root;
};

struct cnode_slot {
    struct javm_key key;
    struct javm_target target;
};

/* Shared between clones, changed only by the holder of the only count. Every cap that holds the
 * table owns one count of each CapRef in it. Slots 0..used-1 are in use, in any order; order[0..
 * used-1] lists them by key. */
struct cnode_table {
    uint64_t count;
    uint32_t used, room;
    uint32_t refs;   /* how many targets are CapRefs */
    uint32_t *order; /* behind the slots, in the same block */
    struct cnode_slot slots[];
};

/* An image and its arrays, shared by the clones of an image cap. */
struct image_body {
    uint64_t count;
    struct javm_image image; /* owns what it points to */
};

struct javm_cap {
    uint64_t count;
    enum javm_kind kind;
    struct hash_memo memo;
    union {
        struct data_body data;
        struct cnode_table *cnode; /* NULL: no slot is used */
        struct image_body *image;
        struct javm_hash type;
        struct javm_instance instance;
    };
};

/* cap.c */
struct javm_cap *cap_alloc(enum javm_kind kind); /* one reference, zeroed; NULL: out of memory */
void cap_forget_hash(struct javm_cap *cap);      /* the caller holds the only reference */
void hasher_start_cap(struct hasher *hasher, enum javm_kind kind); /* "javm.cap.v1" || tag */

/* data.c */
void data_body_release(struct data_body *data);
void data_body_share(struct data_body *to, const struct data_body *from);
uint64_t data_body_bytes(const struct data_body *data);

/* cnode.c; the table may be NULL */
void cnode_table_release(struct cnode_table *table); /* with the holder's counts of the CapRefs */
struct cnode_table *cnode_table_share(struct cnode_table *table);
uint64_t cnode_table_bytes(const struct cnode_table *table);

/* image.c */
void image_body_release(struct image_body *body);
struct image_body *image_body_share(struct image_body *body);
uint64_t image_body_bytes(const struct image_body *body);
enum javm_status image_make(const struct javm_image *admitted, struct javm_cap **cap,
                            struct javm_error *err);

/* image_encode.c */
struct javm_hash image_hash(const struct javm_image *image);

/* image_admit.c */
enum image_field {
    IMAGE_ISA,
    IMAGE_CODE,
    IMAGE_BITMASK,
    IMAGE_JUMP_TABLE,
    IMAGE_ENDPOINTS,
    IMAGE_MAPPINGS,
    IMAGE_PINNED,
    IMAGE_INITIAL,
    IMAGE_GAS_SLOTS,
    IMAGE_QUOTA_SLOTS,
    IMAGE_YIELD_RECEIVER_SLOT,
    IMAGE_END /* what follows the last field */
};

/* Element `index` of a list, or a whole field. */
#define IMAGE_WHOLE UINT32_MAX
struct image_place {
    enum image_field field;
    uint32_t index;
};

#define IMAGE_PLACE_TEXT 48
/* "code", "mappings[2]" */
void image_place_format(const struct image_place *place, char text[IMAGE_PLACE_TEXT]);
/* All checks of admission. *place is where the first one failed. */
enum javm_status image_admit(const struct javm_image *image, struct image_place *place,
                             struct javm_error *err);

#endif
