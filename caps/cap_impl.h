/* The bodies of caps, for the files of this folder only. */
#ifndef JAVM_CAPS_CAP_IMPL_H
#define JAVM_CAPS_CAP_IMPL_H

#include "javm/cap.h"
#include "javm/image.h"

/* A value that is computed once by whoever comes first and remembered: NONE -> BUSY -> DONE. A
 * thread that finds BUSY computes its own copy instead of waiting. */
enum { HASH_NONE = 0, HASH_BUSY = 1, HASH_DONE = 2 };

struct hash_memo {
    uint32_t state;
    struct javm_hash hash;
};

/* True when *hash was filled from the memo. */
bool hash_memo_get(const struct hash_memo *memo, struct javm_hash *hash);
void hash_memo_offer(struct hash_memo *memo, const struct javm_hash *hash);

/* A page, or an inner node of the merkle tree above pages. NULL stands for all zeros. Nodes are
 * shared between Data caps and changed only by a holder of the only count on the whole path. */
struct data_node {
    uint64_t count;
    struct hash_memo memo;
    union {
        struct data_node *kids[2];
        uint8_t bytes[8]; /* a page: JAVM_PAGE_SIZE of them are allocated */
    };
};

struct data_body {
    uint64_t pages;
    uint32_t depth; /* levels of inner nodes; 2^depth leaves */
    struct data_node *root;
};

/* Slots live in `slots` in any order; `order` lists the used ones by key. */
struct cnode_slot {
    struct javm_key key;
    struct javm_target target;
};
struct cnode_body {
    struct cnode_slot *slots;
    uint32_t *order;
    uint32_t count, room;
};

struct javm_cap {
    uint64_t count;
    enum javm_kind kind;
    struct hash_memo memo;
    union {
        struct data_body data;
        struct cnode_body cnode;
        struct javm_image *image; /* one block with everything it points to; see image_body */
        struct javm_hash type;
        struct javm_instance instance;
    };
};

/* An image and its arrays, shared by the clones of an image cap. */
struct image_body {
    uint64_t count;
    struct javm_image image;
};

struct javm_cap *cap_alloc(enum javm_kind kind); /* one reference, zeroed; NULL: out of memory */
void cap_forget_hash(struct javm_cap *cap);

void data_body_release(struct data_body *data);
void data_body_share(struct data_body *to, const struct data_body *from);
uint64_t data_body_bytes(const struct data_body *data);
void cnode_body_release(struct cnode_body *cnode);
bool cnode_body_copy(struct cnode_body *to, const struct cnode_body *from);
void image_body_release(struct javm_image *image);
void image_body_share(struct javm_image *image);
struct javm_hash image_hash(const struct javm_image *image, bool *ok);

#endif
