/* New offsets. A marker pushes its target away from the branches around it, a branch that no longer
 * reaches its target grows and pushes others: repeated until nothing grows. Sizes never shrink, so
 * this ends; a long chain of single growths is cut by giving every candidate its larger form after
 * some rounds, so that it also ends soon. */
#include "loaders/relink.h"

#include <inttypes.h>

enum {
    PATIENCE = 24
}; /* rounds before all compressed forms grow, and again before all branches do */

static void place(struct relink *r)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        struct site *site = &r->sites[i];
        at += site->marker ? 4 : 0;
        /* At most 12 bytes for each 2 of at most 252 MiB: 32 bits hold it. */
        site->moved = (uint32_t)at;
        at += site->size;
    }
    r->code_len = at;
}

static bool reaches(int64_t distance, int64_t range)
{
    return distance >= -range && distance < range;
}

/* The smallest form that reaches: 2, 4, or 8 (an inverted branch over a jal). */
static uint8_t size_needed(const struct relink *r, const struct site *site, unsigned round)
{
    int64_t distance = (int64_t)r->sites[site->link].moved - (int64_t)site->moved;
    bool jump = site->insn.op == PVM2_JAL;
    if (site->insn.len == 2 && round < PATIENCE && reaches(distance, jump ? 2048 : 256))
        return 2;
    if (jump || (round < 2 * PATIENCE && reaches(distance, 4096)))
        return 4;
    return 8;
}

enum javm_status relink_layout(struct relink *r)
{
    bool grown = true;
    for (unsigned round = 0; grown; round++) {
        grown = false;
        place(r);
        if (r->code_len > JAVM_CODE_MAX)
            return javm_fail(r->err, JAVM_E_LIMIT, JAVM_NOWHERE,
                             "with markers the code has %" PRIu64
                             " bytes; a program has at most %u",
                             r->code_len, JAVM_CODE_MAX);
        for (uint32_t i = 0; i < r->count; i++) {
            struct site *site = &r->sites[i];
            if (site->role != SITE_DIRECT)
                continue;
            uint8_t size = size_needed(r, site, round);
            if (size <= site->size)
                continue;
            r->grown += site->size == site->insn.len;
            site->size = size;
            grown = true;
        }
    }
    return JAVM_OK;
}
