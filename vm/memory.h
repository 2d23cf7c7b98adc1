/* Guest memory from the engines' side.
 *
 * `base` is the address of guest address 0 inside one reservation; the guest's pages lie there in
 * place, so that an access is one host access. Hardware protection follows the layout: a page that
 * no access was made to is PROT_NONE, so that generated code needs no check; its first access comes
 * to memory_touch, from the interpreter by the table `access` and from generated code by a fault.
 *
 * Pages that were made accessible stay so when the memory is attached to the next layout: they are
 * the warm set. What may have been written is filled again then, without a system call. A layout of
 * another space keeps those of them that it allows too, when they are few. Below `base` lie things
 * that generated code reaches by fixed distances. */
#ifndef JAVM_VM_MEMORY_H
#define JAVM_VM_MEMORY_H

#include "javm/engine.h"

/* A byte per guest page in `access`. The first two say what the interpreter may do without asking
 * and are cleared by every reset; the others what the hardware allows. HARD bits imply content. */
#define PAGE_READ       1u
#define PAGE_WRITE      2u
#define PAGE_HARD_READ  4u
#define PAGE_HARD_WRITE 8u
/* Only with a pager: it is in the list `warm`; it was open and has been closed, with what it held.
 */
#define PAGE_LISTED     16u
#define PAGE_STALE      32u

#define MEMORY_PAGES (1u << 20)

/* Distances from `base`, which is aligned to 64 KiB. Everything not named is PROT_NONE. */
#define MEMORY_GUARD       0x1000000    /* PROT_NONE on both sides of the 4 GiB */
#define MEMORY_CONTEXT     (-0x1001000) /* one page: struct jit_context */
#define MEMORY_ACCESS      (-0x1101000) /* the table `access`, a byte for each page */
#define MEMORY_STACK_TOP   (-0x1110000) /* return addresses of generated code, grows down */
#define MEMORY_STACK_BYTES 0x10000      /* aligned to its size; PROT_NONE below and above */

/* What vm.c attaches. Layouts of one space have the same regions with the same permissions and
 * differ in their contents only (instances of one image); of layouts with one id the contents are
 * the same too, but for the region `scratch`, which is filled anew each time. Ids are never used
 * again for something else; 0 matches nothing. */
struct memory_layout {
    const struct javm_region
        *regions; /* borrowed until the next attach or memory_finish; code first */
    uint32_t count;
    uint32_t scratch; /* index of the region that differs from call to call, 0: none */
    const struct javm_cap *scratch_data; /* what it shows now, borrowed; NULL: zeros */
    uint64_t space, id;
    bool constant; /* what is not writable shows the same in every layout of the space */
};

/* Who says what is in a memory instead of a layout: then pages change while guests run (vm/v2). */
struct memory_pager {
    /* Is there a page (below MEMORY_PAGES) that allows it? */
    bool (*allows)(struct memory_pager *pager, uint32_t page, bool write);
    /* Open the pages first to last, one or two that all allow it: content, protection, bits in
     * `access`. False: the system refuses. */
    bool (*open)(struct memory_pager *pager, uint32_t first, uint32_t last, bool write);
};

/* Page tables of somebody else that show this memory (vm/kvm). */
struct memory_mirror {
    /* The protection of these pages has changed: none of them may be shown as it was. */
    void (*forget)(struct memory_mirror *mirror, uint32_t first, uint32_t end);
    /* The memory goes away; the mirror with it. */
    void (*end)(struct memory_mirror *mirror);
};

struct javm_memory {
    uint8_t *base;
    uint8_t *access;              /* MEMORY_PAGES, at base + MEMORY_ACCESS */
    bool failed;                  /* the system refused a page: what the run came to is no result */
    struct memory_pager *pager;   /* borrowed; NULL: the layout says what is where */
    struct memory_mirror *mirror; /* NULL: none */
    /* Private to memory.c. */
    bool cramped;          /* the system refused once: open few large runs from now on */
    bool inherited;        /* pages came from a layout of another space */
    bool scratch_readable; /* the scratch region may have pages that are only readable */
    uint32_t edges;        /* neighbours that the hardware protects differently */
    uint32_t low, high;    /* every page that may be accessible is in [low, high) */
    uint32_t refilled,
        wasteful;    /* pages of the last attach; runs in a row that were not worth it */
    uint64_t filled; /* pages that got their content since the last attach, by it too */
    /* Page numbers, with room for every page each, so that noting one cannot fail: with PAGE_ bits;
     * accessible; of these, writable (all without order); the answer of memory_dirty_within. */
    uint32_t *touched, *warm, *writable, *dirty;
    uint32_t touched_count, warm_count, writable_count;
    struct memory_layout layout;
    struct javm_region *copy; /* what javm_memory_attach was given */
    size_t copy_room;
    void *reservation;
};

/* NOMEM: nothing is attached then. */
enum javm_status memory_attach_warm(struct javm_memory *memory, const struct memory_layout *layout);
/* A run is over and used so much gas. Stops borrowing: nothing but attaching, memory_drop and
 * destroying is allowed after it. Pages stay warm while filling them again is worth it. */
void memory_finish(struct javm_memory *memory, uint64_t gas);
/* Show another Data in the region `scratch` of the attached layout from now on (borrowed; NULL:
 * zeros). What was written there is lost. memory_window.c */
void memory_show(struct javm_memory *memory, const struct javm_cap *data);
/* Make every page inaccessible and give its memory back; nothing is attached then. False when the
 * system refuses; the next attach tries again. */
bool memory_drop(struct javm_memory *memory);

/* For pagers: protection and HARD bits of [first, end); the bits that are not HARD stay. False: the
 * system refuses, and nothing has changed (unless `failed`). */
bool memory_protect(struct javm_memory *memory, uint32_t first, uint32_t end, uint8_t hard);

/* The process has so many mappings that each memory should do with few. */
bool memory_crowded(void);

/* Make an access of `width` (1..8) bytes at `address` possible: true when the permissions allow it
 * and the system has a page (`failed`). All or nothing. *fresh counts pages whose PAGE_WRITE was
 * not set before. */
bool memory_touch(struct javm_memory *memory, uint32_t address, uint32_t width, bool write,
                  uint32_t *fresh);

/* The same; *cost gets what the pages cost whose PAGE_WRITE was not set: the region's first_write,
 * or `usual` where that is 0; nothing when `usual` is 0. memory_cost.c */
bool memory_touch_charged(struct javm_memory *memory, uint32_t address, uint32_t width, bool write,
                          uint64_t usual, uint64_t *cost);

/* sbrk (PVM section 11): the old top of the heap after it grew by so much, every page of which is
 * writable then; the top for 0; 0 when it cannot grow so far. Sets `failed` when memory is out.
 * memory_heap.c */
uint64_t memory_grow(struct javm_memory *memory, struct javm_heap *heap, uint64_t by);

/* Store a byte `count` times from an address on, which wraps; how often it was stored before a page
 * refused. memory_heap.c */
uint64_t memory_fill(struct javm_memory *memory, uint64_t address, uint8_t byte, uint64_t count);

/* The lowest page that refuses the access, for which memory_touch said false, as an address; 0 for
 * one behind 2^32 (PVM section 6). memory_heap.c */
uint32_t memory_refused(const struct javm_memory *memory, uint32_t address, uint32_t width,
                        bool write);

/* Pages of one region whose content is no longer that of its source, ascending; valid until the
 * next call. */
size_t memory_dirty_within(struct javm_memory *memory, const struct javm_region *region,
                           const uint32_t **pages);

#endif
