/* Guest memory from the engines' side.
 *
 * `base` is the address of guest address 0 inside a reservation with guard regions before and
 * after; the guest's pages lie there in place, so that an access is one host access. `access` has a
 * byte per guest page; the low bits say what may be done without asking: PAGE_READ once the page
 * has its content, PAGE_WRITE once its first write was noted. Everything else goes through
 * memory_touch. */
#ifndef JAVM_VM_MEMORY_H
#define JAVM_VM_MEMORY_H

#include "javm/engine.h"

#define PAGE_READ  1u
#define PAGE_WRITE 2u
#define PAGE_USED  128u /* the reservation has (stale) bytes here: clear before use */

#define MEMORY_PAGES (1u << 20)

struct javm_memory {
    uint8_t *base;
    uint8_t *access; /* MEMORY_PAGES */
    /* Lists of page numbers; room for every page each, so that noting a page cannot fail. */
    uint32_t *touched, *dirty, *used;
    uint32_t touched_count, dirty_count, used_count;
    struct javm_region *regions;
    uint32_t region_count, region_room;
    void *reservation;
};

/* Make an access of `width` (1..8) bytes at `address` possible: true when the permissions allow it.
 * All or nothing. *fresh counts pages that were written for the first time. */
bool memory_touch(struct javm_memory *memory, uint32_t address, uint32_t width, bool write,
                  uint32_t *fresh);

#endif
