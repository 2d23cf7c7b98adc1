/* The region that a host and its executor share, and the doorbells in it.
 *
 * Both sides keep sizes and addresses in memory of their own (struct nub_region); nothing in the
 * shared part says where anything is. The host copies a field once and checks the copy: the
 * executor may be anything by then. */
#ifndef JAVM_NUB_REGION_H
#define JAVM_NUB_REGION_H

#include "javm/nub.h"

/* A call: one at a time. */
enum nub_call_state { NUB_CALL_NONE = 0, NUB_CALL_POSTED = 1, NUB_CALL_DONE = 2 };

/* At the region's start. Words that one side writes and the other waits for are on lines of their
 * own. */
struct nub_head {
    struct javm_nub_boot_info boot;
    /* The host's. */
    _Alignas(64) uint32_t request; /* counts up: there is something to do */
    uint32_t host_sleeps;          /* on `answer` */
    uint32_t stop;
    uint32_t fn;
    uint64_t request_len;
    /* The executor's. */
    _Alignas(64) uint32_t answer; /* counts up: something is done */
    uint32_t executor_sleeps;     /* on `request` */
    uint32_t call;                /* enum nub_call_state; the host makes it POSTED */
    uint32_t error;               /* enum javm_nub_error, with err_where and text */
    uint64_t error_where;
    uint64_t answer_len; /* of the out area, valid up to `progress` while the call runs */
    uint64_t progress;   /* parts of a long call that are done */
    char text[240];
};
#define NUB_LANES_AT 4096
_Static_assert(sizeof(struct nub_head) <= NUB_LANES_AT, "lanes begin behind the head");
_Static_assert(offsetof(struct nub_head, boot) == 0, "boot info is found without a call");

struct nub_region {
    struct nub_head *head;
    struct javm_nub_slot *lanes;
    uint32_t lane_count;
    uint8_t *in, *out; /* requests; answers */
    size_t in_bytes, out_bytes, bytes;
};

/* The view of a mapping of region->bytes at `base`; lane_count, in_bytes and out_bytes are set. */
void nub_region_view(struct nub_region *region, void *base);
/* Sets bytes from lane_count, in_bytes and out_bytes, which it rounds up to pages. */
void nub_region_measure(struct nub_region *region);

/* Count the word up and wake who sleeps on it. */
void nub_bell_ring(uint32_t *word, const uint32_t *sleeps);
/* Until the word is not `seen` any more, or timeout_ns (0: none) is over, or for no reason. Spins
 * first. */
void nub_bell_wait(uint32_t *word, uint32_t *sleeps, uint32_t seen, unsigned spins,
                   int64_t timeout_ns);

#endif
