/* The kernel of JAR v2 from the inside: what an invocation consists of (spec: JAR v2).
 *
 * VMs are numbers, caps are (VM, slot) pairs: tables grow and change under every operation.
 * An operation that the system has no memory for sets `nomem`, and the invocation ends with it. */
#ifndef JAVM_VM_V2_V2_H
#define JAVM_VM_V2_V2_H

#include "javm/v2.h"
#include "vm/memory.h"

/* ---- capabilities ----------------------------------------------------------------------- */

enum cap_type {
    CAP_NONE, /* an empty slot */
    CAP_UNTYPED,
    CAP_DATA,
    CAP_CODE,
    CAP_HANDLE,
    CAP_CALLABLE,
    CAP_PROTOCOL
};
#define CAP_BIT(type) (1u << (type))
#define CAPS_COPYABLE \
    (CAP_BIT(CAP_UNTYPED) | CAP_BIT(CAP_CODE) | CAP_BIT(CAP_CALLABLE) | CAP_BIT(CAP_PROTOCOL))
#define CAPS_ANY       (CAPS_COPYABLE | CAP_BIT(CAP_DATA) | CAP_BIT(CAP_HANDLE))
#define CAPS_AND_EMPTY (CAPS_ANY | CAP_BIT(CAP_NONE))

struct v2_cap {
    uint8_t type;
    bool has;      /* DATA: a base; HANDLE, CALLABLE: a ceiling */
    bool fixed;    /* DATA: the access */
    bool writable; /* DATA, when fixed */
    uint32_t id;   /* DATA: base page; CODE, PROTOCOL: number; HANDLE, CALLABLE: VM */
    union {
        uint64_t max_gas; /* HANDLE, CALLABLE */
        struct {
            uint32_t offset, pages; /* DATA: in the store */
        };
    };
};
_Static_assert(sizeof(struct v2_cap) == 16, "a table has 4 KiB at most");

/* ---- VMs -------------------------------------------------------------------------------- */

#define V2_VMS          65535u
#define V2_SLOTS        256u
#define V2_PIECE        16u /* slots that are allocated together */
#define V2_UNTYPED_SLOT 254u
#define V2_DIRTY_OP     0x0C
#define V2_REGS         13u
#define V2_PAGES        (UINT64_C(1) << 20) /* of an address space */
#define V2_NOBODY       UINT32_MAX

enum vm_state { VM_IDLE, VM_RUNNING, VM_WAITING, VM_FAULTED, VM_HALTED };

struct v2_vm {
    uint8_t state, code; /* enum vm_state; index of the program */
    uint8_t window;      /* number + 1; 0: it has none now */
    uint32_t pc;
    /* Of the active VM both are in javm_v2.exec. */
    uint64_t gas, regs[V2_REGS];
    struct v2_cap *pieces[V2_SLOTS / V2_PIECE]; /* NULL: all empty */
};

struct v2_place {
    uint32_t vm;
    uint8_t slot;
};

/* The mapping that a DATA had when it was sent with a call: runs of pages. */
struct v2_saved {
    uint32_t base, pages, count;
    bool writable;
    struct {
        uint32_t first, count;
    } runs[];
};
struct v2_frame {
    uint32_t caller;
    uint8_t slot;           /* that the sent cap came from; 0: none */
    struct v2_saved *saved; /* owned; NULL: none */
};

/* ---- memory ----------------------------------------------------------------------------- */

/* The pages that DATA caps name. A page is in at most one cap. Its content is where `source` says:
 * what the blob gave it or zeros, until it is `present` in `pages`; and when it is `resident` in
 * the window of its VM, what is there is newer. */
struct v2_store {
    uint8_t *pages; /* a reservation of `room` pages */
    uint64_t room, words;
    uint32_t total, used; /* the UNTYPED allocator */
    uint32_t present_count;
    uint64_t *mapped;   /* the bits of the caps */
    uint64_t *visible;  /* mapped, and no newer mapping took the address */
    uint64_t *resident; /* open in the window of the VM that shows it */
    uint64_t *written;  /* since the last DIRTY */
    uint64_t *present;
};

/* An address space for the engines. The pages that it has open belong to the VM it is lent to. */
#define V2_WINDOWS 8u
struct v2_window {
    struct memory_pager pager; /* first: memory.c knows this part */
    struct javm_v2 *v2;
    struct javm_memory *memory;
    uint32_t vm;         /* V2_NOBODY: none */
    uint64_t blob, used; /* whose VM had it last; when */
    uint32_t last_vm;
    uint32_t refilled, wasteful; /* pages of the last lending; in a row not worth it */
    uint32_t warm_max;           /* of pages in the list, when to look for closed ones */
};

/* ---- the kernel ------------------------------------------------------------------------- */

struct v2_program;

struct javm_v2_blob {
    _Atomic uint64_t count;
    uint64_t id; /* never 0, never used twice */
    struct javm_jar jar;
    uint64_t bytes;
    bool may_ask_dirty;
    /* Entries whose cap is there when all are in place; in the order of the manifest, in which
     * backing offsets ascend. */
    uint32_t entry_count, data_count;
    const struct javm_jar_entry **entries, **data;
};

struct javm_v2 {
    enum javm_engine engine;
    struct javm_jit *jit;
    bool owns_jit, exact; /* exact: each first write to a page has to be seen */
    bool nomem, over;
    uint32_t max_memory_pages, exits;
    struct javm_v2_blob *blob; /* of this invocation, later of the last one; counted */
    const struct javm_v2_host *host;
    struct v2_program *programs[JAVM_JAR_MAX_CODES];
    struct v2_program_cache *cache;
    struct v2_store store;
    struct v2_window windows[V2_WINDOWS];
    uint32_t window_count, window_max; /* V2_WINDOWS; tests do with one */
    uint64_t clock;
    struct v2_vm *vms;
    uint32_t vm_count, vm_room, active;
    struct v2_cap **pieces; /* that tables are made of; the first piece_used are in use */
    uint32_t piece_count, piece_room, piece_used;
    struct v2_frame *frames;
    uint32_t depth, frame_room;
    struct javm_exec exec; /* the active VM */
    struct javm_v2_result result;
    uint64_t charged; /* gas that nobody has any more */
};

/* What an operation came to. */
enum v2_outcome {
    V2_DONE,
    V2_REFUSED, /* φ[7] := WHAT; nothing changed */
    V2_UNPAID   /* a fault of the active VM: out of gas */
};

/* blob.c; programs.c */
/* What a page of the manifest's caps shows at first: *len bytes, then zeros. */
const uint8_t *v2_blob_page(const struct javm_v2_blob *blob, uint32_t page, size_t *len);
struct v2_program_cache *v2_cache_create(uint64_t limit);
void v2_cache_destroy(struct v2_program_cache *cache);
/* Makes exec run a code of the blob; false: NOMEM. */
bool v2_program_use(struct javm_v2 *v2, uint8_t code);

/* store.c: pages by their number in the store */
bool v2_store_begin(struct v2_store *store, uint32_t total, uint32_t used);
void v2_store_free(struct v2_store *store);
const uint8_t *v2_source(const struct javm_v2 *v2, uint32_t page, size_t *len);
/* The page in the store, with its content; it becomes present. */
uint8_t *v2_present(struct javm_v2 *v2, uint32_t page);

/* table.c */
const struct v2_cap *v2_cap_at(const struct javm_v2 *v2, struct v2_place at);
/* The slot to be written: NULL: NOMEM. */
struct v2_cap *v2_slot(struct javm_v2 *v2, struct v2_place at);
/* Fill a slot; what was there is dropped. */
void v2_put(struct javm_v2 *v2, struct v2_place at, const struct v2_cap *cap);
/* Into an empty slot. */
void v2_move(struct javm_v2 *v2, struct v2_place from, struct v2_place to);
bool v2_resolve(const struct javm_v2 *v2, uint32_t ref, struct v2_place *at);
/* A new VM, IDLE, or V2_NOBODY: NOMEM. There is room (V2_VMS). */
uint32_t v2_new_vm(struct javm_v2 *v2, uint8_t code);
/* Back to no VM at all. */
void v2_no_vms(struct javm_v2 *v2);
void v2_tables_free(struct javm_v2 *v2);

/* data.c: caps of type DATA and what their VM sees of them */
struct v2_shown {
    uint32_t page;  /* of the store */
    uint32_t count; /* as many pages follow each other, this one included */
    bool writable;
};
/* What is at a page of an address space? False: nothing. */
bool v2_find(const struct javm_v2 *v2, uint32_t vm, uint32_t page, struct v2_shown *shown);
void v2_map(struct javm_v2 *v2, uint32_t vm, const struct v2_cap *cap, uint32_t first,
            uint32_t count);
void v2_unmap(struct javm_v2 *v2, uint32_t vm, const struct v2_cap *cap, uint32_t first,
              uint32_t count);
bool v2_is_mapped(const struct javm_v2 *v2, const struct v2_cap *cap); /* any page */
/* It is about to leave its table (JAR v2 1.1): no mapping, no base. The access stays. */
void v2_detach(struct javm_v2 *v2, uint32_t vm, struct v2_cap *cap);
/* Its mapping, to be restored; *saved NULL when it has no base. False: NOMEM. */
bool v2_save(struct javm_v2 *v2, const struct v2_cap *cap, struct v2_saved **saved);
void v2_restore(struct javm_v2 *v2, uint32_t vm, struct v2_cap *cap, const struct v2_saved *saved);
/* The present bytes of a page of a cap, and a way to write to it whatever is mapped. */
const uint8_t *v2_look(const struct javm_v2 *v2, uint32_t vm, const struct v2_cap *cap,
                       uint32_t index, size_t *len);
uint8_t *v2_poke(struct javm_v2 *v2, uint32_t vm, const struct v2_cap *cap, uint32_t index);
enum v2_outcome v2_copy(struct javm_v2 *v2, struct v2_place from, struct v2_place to,
                        uint64_t from_at, uint64_t to_at, uint64_t len);
enum v2_outcome v2_dirty(struct javm_v2 *v2, struct v2_place at);

/* window.c */
/* The VM's window, made its own if need be; NULL: NOMEM. */
struct javm_memory *v2_window(struct javm_v2 *v2, uint32_t vm);
/* Pages of the store that are shown from address page `at` on vanish from the VM's window. */
void v2_close(struct javm_v2 *v2, uint32_t vm, uint32_t at, uint32_t page, uint32_t count);
/* They stay, and the next write to them is seen. */
void v2_unwritten(struct javm_v2 *v2, uint32_t vm, uint32_t at, uint32_t page, uint32_t count);
/* Makes one, so that a machine without room for any is found out at once. */
enum javm_status v2_windows_init(struct javm_v2 *v2, struct javm_error *err);
/* Nobody's, for the next invocation. */
void v2_windows_begin(struct javm_v2 *v2);
void v2_windows_end(struct javm_v2 *v2);
void v2_windows_free(struct javm_v2 *v2);

/* ops.c: the ecalls of the active VM, charges included */
enum v2_outcome v2_ecall(struct javm_v2 *v2);
enum v2_outcome v2_ecalli(struct javm_v2 *v2, uint32_t number);
/* From the gas of the active VM; false: it had less, and has none now. */
bool v2_pay(struct javm_v2 *v2, uint64_t amount);

/* call.c */
enum v2_outcome v2_call(struct javm_v2 *v2, const struct v2_cap *cap);
enum v2_outcome v2_resume(struct javm_v2 *v2, struct v2_place at);
enum v2_ending { V2_REPLY, V2_TRAP, V2_PANIC, V2_HALT, V2_GAS, V2_FAULT, V2_BAD_ECALLI };
/* The active VM's call ends so; exec is as the engine left it. */
void v2_end(struct javm_v2 *v2, enum v2_ending ending);
/* The invocation is over, with the active VM as it is. */
void v2_over(struct javm_v2 *v2, enum javm_v2_end end);
/* This VM is active from now on; what was active is put away. */
void v2_activate(struct javm_v2 *v2, uint32_t vm);

/* begin.c: NOMEM shows in `nomem` */
enum javm_v2_reject v2_begin(struct javm_v2 *v2, struct javm_v2_blob *blob,
                             const struct javm_v2_invocation *invocation);

#endif
