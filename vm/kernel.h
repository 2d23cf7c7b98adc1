/* The v3 kernel, for its own files: the call stack and what works on it.
 *
 * An invocation is a stack of entries. An InstanceEntry is a frame: an Instance that was called,
 * its registers, its memory, its slots. A ReferenceEntry says that a frame further down runs again,
 * because it caught a yield of what is above it. The frame that runs is the top entry's (or the one
 * it refers to). kernel_run lets it run to an exit, does what the exit asks for, and goes on with
 * whatever frame runs then.
 *
 * A frame holds its Instance as a value (vm/value.h): what it changes are its own slots, so that a
 * fault drops the frame and nothing has happened. Frames of callees hold the Instance that was in
 * the slot they were called from; the slot is RESERVED until they end. */
#ifndef JAVM_VM_KERNEL_H
#define JAVM_VM_KERNEL_H

#include "javm/assist.h"
#include "javm/handle.h"
#include "vm/kernel_assist.h"
#include "vm/prepared.h"
#include "vm/spaces.h"

#define NO_ENTRY      UINT32_MAX
#define DEFAULT_DEPTH 256u

/* φ[8] of a caller after its CALL. */
enum callee_status { CALLEE_OK = 0, CALLEE_PAUSED = 1, CALLEE_FAULTED = 2 };

enum entry_kind { ENTRY_INSTANCE, ENTRY_REFERENCE };

struct entry {
    enum entry_kind kind;
    /* INSTANCE: the InstanceEntry that called it, NO_ENTRY at the bottom. REFERENCE: the
     * InstanceEntry that runs again. */
    uint32_t owner;

    /* REFERENCE: what was caught. */
    struct javm_key key;
    bool by_kernel; /* raised by the kernel: the yielder's slot[0] has no part in it */

    /* INSTANCE. Counts and references are the entry's. */
    struct instance *instance;
    struct cached_program *program; /* that runs; SET_IMAGE changes the instance's only */
    struct layout *layout;          /* that is attached */
    struct space *space;
    struct value slot0;       /* stands for slot[0] of the root cnode, unless the image pins it */
    struct value given;       /* slot[0] at entry: what a fault gives back */
    uint64_t home;            /* path of the slot in the owner that is reserved for it */
    struct javm_cap *catches; /* edge from the owner: its YieldReceiver at the CALL, or NULL */
    uint32_t scope;  /* InstanceEntry whose gas slots pay; NO_ENTRY: the budget of the invocation */
    uint32_t quotas; /* the nearest InstanceEntry on the owner path, from this one on, whose image
                        declares quota slots, or NO_ENTRY */
    uint32_t active; /* index in gas_slots of the one that pays: for frames that are a scope */
    uint64_t replaced;      /* bit k: the run itself replaced the source of persistent[k] */
    uint8_t *replaced_more; /* for k >= 64, NULL: none */
    uint64_t unpaid;        /* gas to pay before it runs: the bottom frame's entry */
    uint64_t seen_before;   /* javm_vm.seen at entry */
    struct javm_exec exec;
};

/* For tests: who looks on while operations are done. */
struct kernel_probe {
    /* Before an operation, paid for and not begun; op is its selector (above 32 bits: UINT32_MAX).
     * True: it faults as `trap` instead. May be NULL. */
    bool (*before)(void *context, struct javm_vm *vm, uint32_t op);
    /* When it is done, whatever it came to, unless the host failed; a fault has not unwound the
     * frame yet. May be NULL. */
    void (*after)(void *context, struct javm_vm *vm, uint32_t op);
    void *context;
};

struct javm_vm {
    struct entry *entries; /* max_depth */
    uint32_t depth, max_depth;
    bool paused;    /* the top frame yielded to the host */
    bool by_kernel; /* paused: as in a ReferenceEntry */
    bool can_pause; /* the host asked for it */
    struct javm_key pause_key;

    struct javm_dir_thread *dir; /* borrowed while a call into the Vm lasts */
    uint64_t budget;             /* gas that the invocation has beside its meters */
    uint64_t spent;              /* gas charged by the meters that paid before */
    uint64_t seen;               /* all that was charged when a frame last began or ceased to run */
    /* What pays now, and how much it had when the frame that runs got it. */
    enum payer { PAYER_BUDGET, PAYER_METER, PAYER_NONE } payer;
    struct javm_key payer_key;
    uint64_t loaded;
    struct value payload; /* paused: what the yield carries to the host */
    uint32_t operations;  /* since the clock was last looked at */

    /* How it came to an end: for STEP_FAULT and STEP_END. */
    enum javm_fault fault;
    enum javm_end end;
    enum javm_status failure; /* for STEP_FAILED */
    struct javm_error *err;   /* borrowed while a call lasts */

    struct spaces spaces;
    enum javm_engine engine;
    struct javm_jit *own_jit; /* NULL: the interpreter, or somebody else's */
    struct prepared_cache cache;
    struct javm_vm_stats stats;
    struct assist assist;
    const struct kernel_probe *probe; /* borrowed; NULL: nobody looks on */
};

/* What comes after an exit was dealt with. */
enum step {
    STEP_GO_ON, /* with the frame that runs now */
    STEP_FAULT, /* the frame that runs faults: vm->fault; nothing else has happened */
    STEP_END,   /* the invocation is at its end: vm->end */
    STEP_FAILED /* the host cannot go on: vm->failure, vm->err is filled */
};

/* ---- kernel_stack.c: entries ------------------------------------------------------------ */

static inline uint32_t running_index(const struct javm_vm *vm)
{
    const struct entry *top = &vm->entries[vm->depth - 1];
    return top->kind == ENTRY_INSTANCE ? vm->depth - 1 : top->owner;
}
static inline struct entry *running(struct javm_vm *vm)
{
    return &vm->entries[running_index(vm)];
}
static inline const struct javm_image *running_image(const struct entry *entry)
{
    return javm_image_of(entry->program->image);
}

/* What a new frame starts from. */
struct start {
    struct instance *instance;
    struct cached_program *program;       /* that runs */
    struct layout *layout;                /* of the program */
    const struct javm_endpoint *endpoint; /* NULL: the frame goes on, its state comes later */
    const uint64_t *args;                 /* 4 */
    uint32_t owner;
    uint64_t home;
};

/* Push a frame; the start's instance count and *slot0 are taken on success. The caller has checked
 * the depth. NOMEM, RANGE (slot[0] does not fit its mapping; not when it goes on): nothing
 * changed. */
enum javm_status stack_push(struct javm_vm *vm, const struct start *start, struct value *slot0);
/* A ReferenceEntry to `target`; the depth was checked. */
void stack_push_reference(struct javm_vm *vm, uint32_t target, const struct javm_key *key,
                          bool by_kernel);
/* Drop all entries from `index` up: what their frames did is lost; slots that are reserved for them
 * in frames below are empty then. The gas of the frame that runs has been stored. */
void stack_unwind(struct javm_vm *vm, uint32_t index);
/* The same when the slots that entries from `index` up reserve in each other are not reserved any
 * more: pause_freeze. */
void stack_release(struct javm_vm *vm, uint32_t index);
/* Drop the frame on top, which has no slot reserved for it. */
void stack_forget(struct javm_vm *vm);
/* (kernel_frame.c) Pages of mappings that changed become Data in the slots of the frame. NOMEM:
 * some may have. */
enum javm_status frame_write_back(struct javm_vm *vm, struct entry *entry);
/* kernel_frame.c. Give slot[0] of a frame a new value (taken), and show it where it is mapped. */
void frame_put_slot0(struct javm_vm *vm, struct entry *entry, struct value *value);
/* Make slot[0] what its mapping shows. NOMEM. */
enum javm_status frame_flush_slot0(struct entry *entry);
void frame_show_slot0(struct javm_vm *vm, struct entry *entry);
/* A frame that waits may have given its slot[0] away. Its mapping shows that still, and borrows
 * what may be gone: before anybody looks at it. */
void frame_forget_shown(struct entry *entry);
/* May the guest read or write all these bytes? */
bool frame_allows(const struct entry *entry, uint64_t address, uint64_t len, bool write);
/* (kernel_slot.c) Does what the guest stores into mapping persistent[k] go back to its source when
 * the frame ends? Not where it cannot store, into slot[0], and where the run itself replaced the
 * source. */
bool frame_keeps(const struct entry *entry, uint32_t k);
/* What a mapped slot[0] shows of this value: a Data that fits, borrowed, or NULL for zeros. */
const struct javm_cap *frame_shown(struct javm_vm *vm, const struct cached_program *program,
                                   struct value *slot0);
/* HALT, the frame's part: its Instance is then what it left, without slot[0], which is in the
 * entry. NOMEM. */
enum javm_status frame_halt(struct javm_vm *vm, struct entry *entry);

/* The callee on top (an InstanceEntry) ends with HALT or a fault, its owner goes on. */
enum step end_callee(struct javm_vm *vm, uint32_t index, enum callee_status status, uint64_t value);

/* ---- kernel_slot.c: slots by path -------------------------------------------------------- */

#define PATH_MAX_KEYS 9 /* eight of a path, and a wide one */
struct path {
    uint32_t count;
    struct javm_key keys[PATH_MAX_KEYS];
};

void path_parse(uint64_t packed, struct path *path);
bool path_is_slot0(const struct path *path);
/* Does `a` name the slot `b`, or one that `b` lies in? */
bool path_covers(const struct path *a, const struct path *b);

/* A value where a path leads. Found: `value` points to it (NULL: empty), valid until the frame's
 * slots change; `pinned`: it is the image's, and *own keeps it until operand_release. BAD_OPERAND
 * (false): a step is no CNode, or the slot is reserved. */
struct found {
    struct value *value;
    bool pinned;
    struct value own;
};
enum find_result { FIND_OK, FIND_BAD, FIND_NOMEM };
enum find_result slot_find(struct javm_vm *vm, struct entry *entry, const struct path *path,
                           struct found *found);
/* Change a slot that slot_find has found and that is not pinned; what was there is dropped, *value
 * is taken. Notes it for the mappings. NOMEM: nothing changed. */
enum javm_status slot_put(struct javm_vm *vm, struct entry *entry, const struct path *path,
                          struct value *value);
/* Take what is in a slot. NOMEM: nothing changed, *value is EMPTY. */
enum javm_status slot_take(struct javm_vm *vm, struct entry *entry, const struct path *path,
                           struct value *value);
/* The kernel's own change, which the mappings have seen: HALT. Not for slot[0]; else the same. */
enum javm_status slot_store(struct entry *entry, const struct path *path, struct value *value);
/* CALL: take the instance out and reserve the slot, which is not slot[0]. NOMEM: nothing changed.
 */
enum javm_status slot_reserve(struct entry *entry, const struct path *path, struct value *value);
/* The same for a slot that is empty: a frame that was called from there is on the stack again. */
enum javm_status slot_reserve_empty(struct entry *entry, const struct path *path);
/* The callee has ended: *value (taken; may be EMPTY) comes where its slot is reserved. */
void slot_restore(struct entry *entry, uint64_t home, struct value *value);
/* A slot of the root by its key, resolved; NULL: empty. Not for pinned ones. */
struct value *root_slot(struct javm_vm *vm, struct entry *entry, const struct javm_key *key);

/* ---- kernel_ops.c ------------------------------------------------------------------------ */

/* An operand that names a slot, after resolution. */
struct operand {
    struct path path; /* count 0: an optional one that is not there */
    struct found found;
};
#define OPERANDS 6 /* φ7..φ12 */
struct operands {
    struct entry *entry;         /* the frame that runs */
    struct operand at[OPERANDS]; /* only those that the operation's rules call slots */
};
/* The register of an operand: its number, or the path of its slot. */
static inline uint64_t operand_number(const struct operands *o, unsigned i)
{
    return o->entry->exec.regs[7 + i];
}

enum operand_role {
    ROLE_NUMBER = 0, /* not a slot */
    ROLE_READ,       /* a cap that stays where it is; may be pinned */
    ROLE_TAKE,       /* a cap that leaves its slot */
    ROLE_PUT,        /* a slot for a result: empty */
    ROLE_SWAP        /* a slot that may be empty */
};

#define KIND_BIT(kind) (1u << (kind))
#define ANY_KIND       0xFFu

/* Which Instances. */
enum operand_class {
    CLASS_ANY = 0,
    CLASS_IDLE,
    CLASS_PAUSED,
    CLASS_HANDLE /* + enum javm_handle */
};

struct operand_rule {
    uint8_t role;     /* enum operand_role */
    uint8_t kinds;    /* KIND_BITs */
    uint8_t class;    /* enum operand_class, for Instances */
    uint8_t optional; /* 0 in the register is no operand */
};

struct operation {
    const char *name;
    enum step (*run)(struct javm_vm *vm, struct operands *operands);
    uint32_t slots; /* rules behind these are all ROLE_NUMBER */
    struct operand_rule rules[OPERANDS];
};

/* Serve the exit of the running frame at an ecall: selector, charged already. */
enum step kernel_operate(struct javm_vm *vm, uint64_t selector);
/* The same for a yield that the kernel serves: operands by these rules. */
enum step operate_with(struct javm_vm *vm, const struct operation *operation);
/* Finish an operation. */
enum step fault_with(struct javm_vm *vm, enum javm_fault fault);
enum step fail_with(struct javm_vm *vm, enum javm_status status, const char *what);
/* STEP_GO_ON when all is well, else as fail_with. */
enum step step_of(struct javm_vm *vm, enum javm_status status, const char *what);

/* Their functions, by file: the numbers are in the table. */
enum step op_copy(struct javm_vm *vm, struct operands *o); /* kernel_mgmt.c */
enum step op_move(struct javm_vm *vm, struct operands *o);
enum step op_drop(struct javm_vm *vm, struct operands *o);
enum step op_swap(struct javm_vm *vm, struct operands *o);
enum step op_mint_cnode(struct javm_vm *vm, struct operands *o);
enum step op_get_wide(struct javm_vm *vm, struct operands *o);
enum step op_set_wide(struct javm_vm *vm, struct operands *o);
enum step op_same_type(struct javm_vm *vm, struct operands *o); /* kernel_data.c */
enum step op_type_of(struct javm_vm *vm, struct operands *o);
enum step op_chain(struct javm_vm *vm, struct operands *o);
enum step op_read_data(struct javm_vm *vm, struct operands *o);
enum step op_mint_data(struct javm_vm *vm, struct operands *o);
enum step op_file_open(struct javm_vm *vm, struct operands *o);
enum step op_file_save(struct javm_vm *vm, struct operands *o);
enum step op_set_image(struct javm_vm *vm, struct operands *o); /* kernel_image.c */
enum step op_derive_spawn(struct javm_vm *vm, struct operands *o);
enum step op_make_image(struct javm_vm *vm, struct operands *o);
enum step op_reply(struct javm_vm *vm, struct operands *o); /* kernel_call.c */
enum step op_call(struct javm_vm *vm, struct operands *o);
enum step op_yield(struct javm_vm *vm, struct operands *o); /* kernel_yield.c */
enum step op_call_resume(struct javm_vm *vm, struct operands *o);
enum step op_drop_resume(struct javm_vm *vm, struct operands *o);
enum step op_call_paused(struct javm_vm *vm, struct operands *o); /* kernel_pause.c */

/* The YieldReceiver that a frame has in its slot for it, with a reference, or NULL. */
struct javm_cap *yield_receiver(struct javm_vm *vm, struct entry *entry);

/* ---- kernel_yield.c ---------------------------------------------------------------------- */

/* A yield of the frame that runs, raised by itself or by the kernel: to the nearest owner that
 * catches the key, else to the kernel (serve: NULL, or what it does), else to the host, else the
 * frame faults with `fault`. *payload is taken in any case. */
struct yield {
    const struct javm_key *key;
    bool by_kernel;
    const struct operation *serve;
    enum javm_fault fault;
};
enum step kernel_raise(struct javm_vm *vm, const struct yield *yield, struct value *payload);
/* The frame that yielded, which is on top, goes on; gas was stored. *slot0 (taken) becomes its
 * slot[0]; NULL: that stays what it is. */
enum step resume_yielder(struct javm_vm *vm, const struct javm_key *key, bool by_kernel,
                         struct value *slot0);

/* ---- kernel_gas.c ------------------------------------------------------------------------ */

/* Decide what pays for a new frame, whose owner's scope is known. KIND: a gas or quota slot holds
 * something else than its handle. */
enum javm_status gas_scope(struct javm_vm *vm, uint32_t index);
/* The frame is about to run: exec.gas is what its payer has. / It stops: the payer gets it back.
 * Storing again without running stores nothing more. */
enum javm_status gas_load(struct javm_vm *vm, uint32_t index);
enum javm_status gas_store(struct javm_vm *vm, uint32_t index);
/* Both, when another frame goes on. */
enum javm_status gas_switch(struct javm_vm *vm, uint32_t from, uint32_t to);
/* The frame that runs cannot pay for the next block: another meter, or a yield. */
enum step gas_exhausted(struct javm_vm *vm);
/* The cost of an operation, beside the ecall's own, in the gas model full. False: the frame cannot
 * pay, *step says how it goes on, and the operation is done again when it can. */
bool gas_charge(struct javm_vm *vm, uint64_t cost, enum step *step);
/* After a resume: from the primary meter again. */
void gas_primary(struct javm_vm *vm, uint32_t index);
/* Take `pages` from the quota of a handle; false in *paid: it has not so much. */
enum javm_status quota_pay(struct javm_vm *vm, const struct javm_cap *handle, uint64_t pages,
                           bool *paid);
/* The same from the quota slots that the frame or its owners declare; nobody declares any: nothing
 * limits it. *primary (borrowed) is the first handle when none can pay. */
enum javm_status quota_pay_scope(struct javm_vm *vm, uint64_t pages, bool *paid,
                                 const struct javm_cap **primary);
/* The quota of `handle` is used up: yields kernel:storage_exhausted, then the operation again. */
enum step quota_exhausted(struct javm_vm *vm, const struct javm_cap *handle);

/* ---- kernel_pause.c ---------------------------------------------------------------------- */

/* The entries from `index` up, whose top frame yielded, as one Paused Instance (a count for the
 * caller); they are dropped, also when it fails: NOMEM. `outermost`: the whole invocation leaves,
 * with its meters. */
enum javm_status pause_freeze(struct javm_vm *vm, uint32_t index, const struct javm_key *key,
                              bool by_kernel, bool outermost, struct instance **paused);
/* What is said of a Paused Instance beside its frames. */
struct pause_header {
    uint32_t count; /* of entries */
    bool by_kernel;
    uint64_t spent;
};
/* (kernel_thaw.c) Read it; meters that came along are set if `outermost`. FORMAT: it is not one
 * that pause_freeze made. NOMEM. */
enum javm_status pause_read(struct javm_vm *vm, const struct instance *paused, bool outermost,
                            struct pause_header *header);
/* Push the entries again. The bottom one is called by `owner` from the slot `home`, or is the root:
 * NO_ENTRY. The depth was checked. FORMAT, KIND, NOMEM, and what preparing an instance gives;
 * nothing is pushed then. */
enum javm_status pause_thaw(struct javm_vm *vm, struct instance *paused, uint32_t owner,
                            uint64_t home);

/* ---- kernel_run.c ------------------------------------------------------------------------ */

/* The frame that a pause left running faults; who called it is ready, or the invocation is at its
 * end. */
enum step kernel_refuse(struct javm_vm *vm);

/* Run until the invocation ends or pauses: vm->end, vm->fault. */
enum javm_status kernel_run(struct javm_vm *vm, uint64_t deadline_ns);

#endif
