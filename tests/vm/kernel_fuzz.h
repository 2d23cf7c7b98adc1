/* Random graphs of instances whose guests do random operations, on both engines at once. Shared by
 * tests/vm/kernel_lockstep (as many as there is time for) and tests/fuzz/fuzz_kernel.c.
 *
 * A round makes one graph in three worlds: one for each engine, and one in which an invocation that
 * pauses goes on with the other engine. Its cases are invocations, the same in each world. The
 * first world writes down what is seen before and after every operation, the others have to see the
 * same; the invariants of the kernel are checked each time. */
#ifndef TESTS_VM_KERNEL_FUZZ_H
#define TESTS_VM_KERNEL_FUZZ_H

#include "tests/vm/kernel_choice.h"
#include "tests/vm/kernel_numbers.h"
#include "tests/vm/support.h"
#include "vm/kernel.h"

/* ---- conventions between images, instances and guests ----------------------------------- */

#define PAGE JAVM_PAGE_SIZE

/* Keys of root slots that have a purpose. The others, up to KEY_LIMIT, hold anything. */
enum {
    KEY_PINNED = 2, /* Data */
    KEY_STATE = 3,  /* mapped Data */
    KEY_NODE = 4,   /* CNode; under 1 of it another mapped Data */
    KEY_PINNED_IMAGE = 6,
    KEY_GAS = 8, /* and 9 */
    KEY_QUOTA = 10,
    KEY_QUOTA2 = 11,
    KEY_RECEIVER = 12,
    KEY_SENDERS = 20, /* to 23 */
    KEY_ENCODINGS = 24,
    KEY_FILE = 26,
    KEY_LIMIT = 32
};

#define AT_WINDOW RW_BASE               /* slot[0] */
#define AT_STATE  (RW_BASE + 0x10000u)  /* KEY_STATE, two pages */
#define AT_NODE   (RW_BASE + 0x20000u)  /* below KEY_NODE */
#define AT_SCRAP  (RW_BASE + 0x30000u)  /* ephemeral, two pages */
#define AT_PINNED (RW_BASE + 0x40000u)  /* KEY_PINNED */
#define AT_WIDE   (RW_BASE + 0x100000u) /* ephemeral, many pages */
#define WIDE      40u

/* A guest asks what to do next: selectors for the host. */
enum { ASK_OP = 64, ASK_ANY = 100 }; /* ASK_OP + n: operands for operation n */

const char *fuzz_operation_name(uint32_t op);

/* Keys of meters, quotas and of yields that are no kernel's. */
#define FUZZ_KEYS 4u
struct javm_key fuzz_meter_key(uint64_t i);
struct javm_key fuzz_yield_key(uint64_t i);

/* ---- values, however they are held (kernel_view.c) --------------------------------------- */

enum what {
    W_EMPTY,
    W_DATA,
    W_CNODE,
    W_IMAGE,
    W_TYPE,
    W_IDLE,
    W_PAUSED,
    W_SENDER,
    W_RECEIVER,
    W_GAS,
    W_QUOTA,
    W_FILE,
    W_OTHER,
    W_RESERVED,
    W_COUNT
};
#define W_BIT(what) (1u << (what))

/* The slots of a CNode, whether it is an object or a cap. */
struct slots {
    struct node *node;
    struct javm_cap *cnode; /* a reference */
    uint32_t count;
    uint32_t at; /* of an object: the slot that comes behind `last` */
    struct node_key last;
};
/* What stands in a value; nothing is changed by looking. */
enum what view_what(struct javm_dir_thread *dir, const struct value *value);
/* The cap of a value that is one, or the hash of one: a reference, or NULL. */
struct javm_cap *view_cap(struct javm_dir_thread *dir, const struct value *value);
/* False: it is no CNode. */
bool view_slots(struct javm_dir_thread *dir, const struct value *value, struct slots *slots);
/* The slots of an object. */
struct slots view_node(struct node *node);
/* Slot number i in order; *value is borrowed. Quick for one after the other. */
void view_slot(struct slots *slots, uint32_t i, struct javm_key *key, struct value *value);
void view_end(struct slots *slots);
/* What a path of the frame names, borrowed; false: a step is no CNode. */
bool view_at(const struct javm_vm *vm, const struct entry *e, uint64_t packed, struct value *value);

/* What was seen of a value, by the value alone: not by how it is held. */
struct digests;
struct digests *digests_new(void);
void digests_free(struct digests *digests);
uint64_t digest_value(struct digests *digests, struct javm_dir_thread *dir,
                      const struct value *value);
/* Everything of an invocation that runs. / Registers, pc, gas and memory of the frame that runs. */
uint64_t digest_stack(struct digests *digests, struct javm_vm *vm);
uint64_t digest_running(struct javm_vm *vm);
/* RESERVED slots that the last digest met; false: an object counts them wrongly. */
bool digests_reserved(const struct digests *digests, uint32_t *count);
static inline uint64_t digest_mix(uint64_t digest, uint64_t word)
{
    digest = (digest ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return digest ^ digest >> 29;
}

/* ---- a world ----------------------------------------------------------------------------- */

#define FUZZ_DEPTH  24u /* entries that a stack has room for */
#define FUZZ_FILES  64u
#define FUZZ_METERS 64u
#define FUZZ_VALUES 512u

/* What was published, the same in each world. */
struct pool {
    struct pooled {
        struct javm_hash hash;
        enum what what;
        uint32_t endpoints; /* of Instances and Images */
    } at[FUZZ_VALUES];
    uint32_t count;
    uint32_t encodings; /* where Data begin that hold images */
};

/* How often what came of what. */
struct coverage { /* of the first world; uint64_t only */
    uint64_t cases, runs, checks;
    uint64_t done[OPERATIONS], faulted[OPERATIONS][JAVM_FAULT_STORAGE + 1];
    uint64_t refused; /* CALLs of what cannot be entered */
    uint64_t images;  /* that MAKE_IMAGE made */
    uint64_t ends[JAVM_END_TIMEOUT + 1], end_faults[JAVM_FAULT_STORAGE + 1];
    uint64_t other_faults[JAVM_FAULT_STORAGE + 1]; /* of callees, between operations */
    uint64_t caught, kernel_caught, served[64];    /* yields; by the second byte of their key */
    uint64_t resumes, detached, dropped, kept, attached, errors;
    uint64_t depths[FUZZ_DEPTH + 1];
};

/* One look at an invocation. */
struct record {     /* no padding: compared as bytes */
    uint32_t phase; /* enum phase */
    uint32_t op, depth, running;
    uint64_t pc, gas, regs[6], used; /* φ7.. */
    uint64_t state, memory;          /* digests */
};
enum phase { PHASE_BEFORE, PHASE_AFTER, PHASE_RESULT };

struct trace {
    struct record *records;
    size_t count, room;
};

#define MODELS 2u /* of gas */

struct fuzz_world {
    struct world base;              /* its vm is not used */
    struct javm_vm *vms[MODELS][2]; /* an invocation goes from one to the other */
    struct pool pool;
    struct digests *digests;
    struct trace trace;
    struct kernel_probe probe;
    bool moves; /* whatever pauses goes on with the other Vm */
    /* The run at hand. */
    const struct fuzz_case *now;
    struct javm_vm *vm;
    struct choices choices; /* of its guests and its host */
    struct javm_cap *files[FUZZ_FILES];
    uint32_t file_count;
    struct fuzz_meter {
        struct javm_key key;
        uint64_t value;
    } meters[2][FUZZ_METERS]; /* gas and quota, when the host keeps them */
    uint32_t meter_count[2];
    const struct trace *against; /* NULL: nothing to compare with */
    struct coverage *coverage;   /* of this run */
    uint64_t given;              /* gas, over all meters */
    struct fuzz_frame {
        bool callee;
        uint32_t owner;
        uint64_t home, given, pc, regs[JAVM_NUM_SLOTS];
    } frames[FUZZ_DEPTH]; /* after the last operation */
    uint32_t frame_count;
    uint32_t after_depth; /* entries after the last operation */
    bool published;       /* it was detached */
    bool counted;         /* the fault of the last operation */
    struct {
        uint32_t index, depth;
        const struct javm_cap *pinning;
        uint64_t hidden, slots, pc, gas, regs[JAVM_NUM_SLOTS], quota;
        bool sets_gas;
        uint32_t catcher; /* of a yield */
        uint64_t previous, value;
        uint32_t served; /* second byte of a kernel's key that nobody catches, or 0 */
    } before;            /* the operation at hand */
    /* What it left. */
    char wrong[300];       /* "": all is well */
    size_t differs;        /* the record at which it did, or SIZE_MAX */
    size_t show;           /* record at which the state is printed; SIZE_MAX: none */
    bool silent;           /* nothing is printed */
    struct javm_hash kept; /* a post instance or a continuation */
    bool keeps;
    uint64_t used;
};

struct fuzz_case {
    uint32_t root; /* in the pool */
    uint32_t endpoint, max_depth;
    uint64_t args[4], gas;
    unsigned model;
    int scratchpad; /* in the pool; -1: none */
    const char *name;
    unsigned number;
    bool can_pause, want_post, want_slot0, unpublished;
    bool host_files, host_meters, no_host;
    struct choices choices; /* for the run */
};

/* ---- its parts --------------------------------------------------------------------------- */

/* kernel_graph.c: publish a graph, and what it grows by from case to case. */
void graph_make(struct fuzz_world *world, struct choices *choices);
void graph_add(struct fuzz_world *world, const struct javm_hash *hash);
/* A new root instance, number in the pool. */
uint32_t graph_root(struct fuzz_world *world, struct choices *choices, bool silent);
/* Any of these kinds from the pool, or -1. */
int pool_any(const struct pool *pool, struct choices *choices, unsigned kinds);

/* kernel_code.c: the code of an image. */
struct guest_code {
    uint32_t words[2048];
    uint32_t count;
    struct javm_endpoint endpoints[4];
    uint32_t endpoint_count;
    bool silent;       /* it asks nobody */
    unsigned mappings; /* bits of enum mapped */
};
enum mapped { M_WINDOW = 1, M_STATE = 2, M_NODE = 4, M_SCRAP = 8, M_PINNED = 16, M_WIDE = 32 };
void code_make(struct guest_code *code, struct choices *choices);

/* kernel_oracle.c: what a guest that asks does next. The host function of all worlds. */
enum javm_status oracle_host_call(void *world, struct javm_host_call *call);

/* kernel_check.c: before and after every operation. */
bool check_before(void *world, struct javm_vm *vm, uint32_t op);
void check_after(void *world, struct javm_vm *vm, uint32_t op);
/* Gas or storage was not enough: the operation is to be done again. */
bool check_undone(const struct fuzz_world *world, const struct javm_vm *vm);
/* The key of the sender that φ7 of the frame that runs names; false: it names none. */
bool check_sender(struct javm_vm *vm, struct javm_key *key);
/* The nearest owner of the frame that runs which catches it, or NO_ENTRY. */
uint32_t check_catcher(const struct javm_vm *vm, const struct javm_key *key);
void check_fail(struct fuzz_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* kernel_meters.c. Gas that an invocation has beside its meters; fresh: the Vm's own meters are not
 * read yet. */
void check_begin(struct fuzz_world *world, uint64_t gas, bool fresh);
/* When an invocation has ended or paused. */
void check_end(struct fuzz_world *world, const struct javm_call_result *result);
/* While it runs: gas that was used; what a gas meter says to whoever asks now. */
void check_gas(struct fuzz_world *world, const struct javm_vm *vm);
uint64_t check_used(const struct javm_vm *vm);
uint64_t check_meter(const struct fuzz_world *world, const struct javm_vm *vm,
                     const struct javm_key *key);
/* All quotas, before an operation. / What it took of them, after it. */
uint64_t check_quota_left(const struct fuzz_world *world, const struct javm_vm *vm);
void check_quota(struct fuzz_world *world, struct javm_vm *vm, uint32_t op);

/* kernel_trace.c: what was seen, and how it is shown. */
void trace_add(struct fuzz_world *world, const struct record *record);
void trace_print(const struct trace *trace, size_t around, FILE *out);
void state_print(struct fuzz_world *world, FILE *out);
void coverage_add(struct coverage *to, const struct coverage *from);
void coverage_print(const struct coverage *coverage, FILE *out);

/* kernel_host.c: a case in one world, from its invocation to its end. */
void world_make(struct fuzz_world *world, const enum javm_engine engines[2], struct javm_jit *jit);
void world_unmake(struct fuzz_world *world);
void run_case(struct fuzz_world *world, const struct fuzz_case *c);

/* kernel_round.c */
struct fuzz_session {
    struct fuzz_world worlds[3];
    struct coverage coverage, ignored; /* of the first world; of the others, of repetitions */
    struct javm_jit *jit;              /* borrowed; NULL: the interpreter all over */
};
/* A graph and its cases; `name` says in messages how to repeat it. False: something was wrong, and
 * has been printed. */
bool fuzz_round(struct fuzz_session *session, struct choices *choices, unsigned cases,
                const char *name);
/* Does a difference, or gas that is lost, show? Aborts when not. */
void fuzz_self_test(struct fuzz_session *session);

#endif
