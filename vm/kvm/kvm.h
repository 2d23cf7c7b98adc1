/* Inside of vm/kvm: physical memory, page tables, and what the guest kernel and C share. */
#ifndef JAVM_VM_KVM_KVM_H
#define JAVM_VM_KVM_KVM_H

#include <linux/kvm.h>

#include "vm/kvm/machine.h"

/* ---- the guest kernel ------------------------------------------------------------------- */

/* Three pages at physical 0, and where ring 0 sees them: code; tables of the processor, which are
 * only read; stack and mailbox. */
#define KERNEL_PAGES 3u
#define KERNEL_AT    0xFFFF800000000000u
#define KERNEL_DATA  (KERNEL_AT + 0x1000)
#define KERNEL_STACK (KERNEL_AT + 0x2000)
#define STACK_USED   0xF00u /* up to here: the stack; above: the mailbox */

#define KERNEL_CS 0x10u
#define KERNEL_SS 0x18u
#define USER_SS   0x2Bu
#define USER_CS   0x33u
#define TSS_AT    0x40u /* in the GDT */
#define VECTORS   32u
#define EXIT_PORT 0x10u

enum { VECTOR_UD = 6, VECTOR_PF = 14 };

/* What the kernel's stack holds while C looks at an exception of ring 3. C may change all of it:
 * ring 3 goes on with what it finds here. */
struct kernel_frame {
    uint64_t regs[HOST_REGS]; /* by number; regs[RSP] does not count */
    uint64_t vector, error;
    uint64_t rip, cs, flags, rsp, ss;
};
struct kernel_mailbox {
    uint64_t cr3, gs; /* to take before going on; 0: as it is */
    uint64_t cr2;     /* of the last page fault */
};
#define FRAME_AT (STACK_USED - (uint32_t)sizeof(struct kernel_frame))

/* Write the kernel's pages. Returns the address where ring 0 begins, with the frame on its stack.
 */
uint64_t kernel_write(uint8_t *pages);

/* ---- the machine ------------------------------------------------------------------------ */

#define TABLE_PAGES 4096u /* of page tables; they begin behind the kernel */
#define WINDOWS     512u
#define POOL_BYTES  (UINT64_C(2) << 30)
#define POOL_SIZES  20u /* powers of two from a page */

enum { SLOT_KERNEL, SLOT_CODE, SLOT_POOL, SLOT_WINDOWS };

/* A piece of this process that the machine has: physical addresses as congruent as large pages
 * need. */
struct span {
    uint64_t at, bytes; /* here, which is where ring 3 sees it */
    uint64_t physical;
};

struct window {
    struct memory_mirror mirror; /* first */
    struct machine *machine;
    struct javm_memory *memory;
    struct span span;
    unsigned slot;
    uint64_t root;       /* physical; of the page tables of `generation` */
    uint64_t generation; /* another than the machine's: there are no tables */
};

struct machine {
    int vm, vcpu;
    struct kvm_run *run;
    size_t run_bytes;
    uint8_t *low; /* kernel and page tables, from physical 0 on */
    struct kernel_frame *frame;
    struct kernel_mailbox *mailbox;
    uint64_t enter, gate; /* addresses in the code */
    struct span code, pool;
    uint64_t pool_used, pool_open; /* bytes handed out ever; that are not PROT_NONE */
    void *idle[POOL_SIZES];        /* given back: the first word leads to the next */
    uint32_t tables;               /* used up */
    uint64_t generation;           /* counts how often all page tables were thrown away */
    struct window *windows[WINDOWS];
    struct window *current; /* whose tables the processor has */
};

#define LOW_BYTES ((uint64_t)(KERNEL_PAGES + TABLE_PAGES) << 12)

/* pages.c. Give the machine a span, or take it away with 0 bytes. False with errno. */
bool pages_give(const struct machine *machine, unsigned slot, const struct span *span,
                bool readonly);
/* Let ring 3 see `address` and what lies around it, as far as it may. False: it may not `write`,
 * run (`fetch`) or see it at all. */
bool pages_fill(struct window *window, uint64_t address, bool write, bool fetch);
/* Tables for a window that has none of this generation. */
void pages_begin(struct window *window);
/* Physical address for a span that begins at `at` here, from `from` on. */
uint64_t pages_congruent(uint64_t from, uint64_t at);
void window_forget(struct memory_mirror *mirror, uint32_t first, uint32_t end);

#endif
