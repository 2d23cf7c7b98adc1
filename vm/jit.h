/* The recompiler's shared structures: regions of generated code, the native code of a program, the
 * context that generated code finds at a fixed distance from guest memory.
 *
 * Generated code is position-independent: it reaches the context through GS (base = guest address
 * 0), other regions through slots at its own end, and the common stubs through pointers in the
 * context. So a region can be copied anywhere, kept in a file and loaded again. */
#ifndef JAVM_VM_JIT_H
#define JAVM_VM_JIT_H

#include <pthread.h>
#include <stdatomic.h>

#include "vm/ir.h"
#include "vm/jit_arena.h"
#include "vm/pvm.h"
#include "vm/pvm2_scan.h"

/* ---- regions ---------------------------------------------------------------------------- */

/* Where native code belongs to guest code; ascending by `native`. */
struct jit_site {
    uint32_t native; /* byte offset in the region's code */
    uint32_t pc;     /* byte offset in the guest's code */
};

/* A way out to a target that was not compiled when the region was: `jmp [slot]`. It lies at the end
 * of the region's code; `native` is first the address of the slot's own stub, which asks for the
 * target, later the target's address (one aligned 8-byte store, seen by other threads at some
 * time: both values are right). */
struct jit_slot {
    uint64_t native;
    uint32_t target; /* guest byte offset, modulo 2^32; may be no block start */
    uint32_t pc;     /* of the jump, for the panic when it is none */
};
#define JIT_SLOT_STUB 16u /* bytes of code of a slot's stub */

struct jit_region {
    struct jit_region *next; /* of the same native */
    uint32_t code_at;        /* arena offset; aligned to 64 */
    uint32_t code_len;       /* slots included */
    uint32_t stubs_at;       /* byte offset in the code: slot_count stubs of JIT_SLOT_STUB bytes */
    uint32_t slots_at;       /* byte offset in the code, aligned to 64: slot_count slots */
    uint32_t slot_count;
    uint32_t pc_first, pc_end; /* guest code that was compiled: [pc_first, pc_end) */
    uint32_t block_count, site_count;
    uint32_t entry_count;    /* the last blocks are ways into the middle of others (PVM) */
    struct jit_site *blocks; /* entry of each block; one allocation with the region */
    struct jit_site *sites;  /* loads and stores */
};

/* Bytes to allocate for a region with its two arrays behind it. */
static inline uint64_t jit_region_bytes(uint32_t block_count, uint32_t site_count)
{
    return sizeof(struct jit_region) +
           ((uint64_t)block_count + site_count) * sizeof(struct jit_site);
}

/* ---- programs --------------------------------------------------------------------------- */

typedef _Atomic uint32_t *jit_table;

struct javm_native {
    /* Constant. */
    struct javm_jit *jit;
    struct front front;         /* the code */
    struct javm_owner owner;    /* a reference; object NULL: none */
    struct pvm_targets targets; /* PVM: of its jumps; owned */
    /* PVM: where each entry of the jump table leads; to a place that the table never has if it may
     * not. Owned. */
    uint32_t *jumps;
    /* And the native code there: arena offset, 0 until somebody jumped there. Written with release
     * after the code it leads to, read as the table below. Owned. */
    jit_table ways;
    /* Per place of code where instructions may begin: arena offset of the block that starts there,
     * 0: not compiled or no block. Written under `lock` with release after the code it leads to;
     * generated code reads it plainly, which on x86-64 acquires. */
    jit_table table;
    pthread_mutex_t lock;  /* everything below */
    struct pvm2_walk walk; /* PVM2: of the code, as far as somebody asked; its bitmaps are owned */
    struct jit_region *regions;
    uint64_t region_count, code_bytes, compile_ns, compiled_bytes; /* guest bytes compiled */
    bool too_large;               /* a block cannot be compiled: nothing more is tried */
    struct javm_program *program; /* for the interpreter, when it has to step in; owned */
    /* The store's: see jit_store.c */
    struct jit_entry *entry;            /* NULL: no name */
    uint64_t counted_ns, counted_bytes; /* of compile_ns, compiled_bytes: in jit->counts */
};

/* Link a region that a thread has compiled or loaded, and lead the table to its blocks; entries
 * that are set stay. Takes the region (malloc), counts region_count and code_bytes; compile_ns and
 * compiled_bytes are for the compiler to count, before this call. The lock is held. */
void jit_publish(struct javm_native *native, struct jit_region *region);
/* Make the slots of a copied region lead to their stubs again. */
void jit_reset_slots(const struct jit_arena *arena, const struct jit_region *region);

/* Make and free a native without the store. */
enum javm_status jit_native_new(struct javm_jit *jit, const uint8_t *code, uint64_t code_len,
                                const struct javm_program_key *key, const struct javm_owner *owner,
                                struct javm_native **native, struct javm_error *err);
void jit_native_free(struct javm_native *native); /* regions go back to the arena */

static inline _Atomic uint32_t *jit_place(const struct javm_native *native, uint64_t pc)
{
    return &native->table[pc >> native->front.shift];
}

/* Has the table a place for it? PVM: the trap at the code's end has one. */
static inline bool jit_has_place(const struct front *front, uint64_t pc)
{
    return front_is_pvm(front) ? pc <= front->len : pc < front->len && pc % 2 == 0;
}

/* The length of PVM2 code that needs a table as large as this code. */
static inline uint64_t jit_table_span(const struct front *front)
{
    return front_is_pvm(front) ? 2 * (front->len + 2) : front->len;
}

/* Tables, all zeros when they are taken and when they are given back; put takes NULL too. */
uint64_t jit_table_entries(uint64_t code_len);
jit_table jit_table_take(struct javm_jit *jit, uint64_t code_len); /* NULL: out of memory */
void jit_table_put(struct javm_jit *jit, jit_table table, uint64_t code_len);
void jit_free_tables(struct javm_jit *jit); /* the idle ones */
/* Zeros that generated code can read; NULL: out of memory. To free, how many bytes they were. */
void *jit_alloc(struct javm_jit *jit, size_t bytes);
void jit_free(struct javm_jit *jit, void *at, size_t bytes);

/* ---- processor -------------------------------------------------------------------------- */

#define JIT_BMI2   1u /* BMI1, BMI2 */
#define JIT_LZCNT  2u
#define JIT_POPCNT 4u
#define JIT_ADX    8u
uint32_t jit_features(void); /* of this processor */

/* Increase when generated code or a structure that it shares changes: cache files carry it. */
#define JIT_VERSION 6u

/* ---- store ------------------------------------------------------------------------------ */

#define JIT_IDLE_COMPILERS 16u
#define JIT_REASONS        9u
#define JIT_TABLE_SIZES    9u /* powers of two, up to 1 MiB */
#define JIT_IDLE_TABLES    4u /* of each */

/* All natives together; relaxed, they are only read for statistics. */
struct jit_counts {
    _Atomic uint64_t programs, regions, code_bytes; /* now */
    _Atomic uint64_t compiled_bytes, compile_ns;    /* ever */
};

struct javm_jit {
    struct jit_arena *arena;
    uint32_t features;       /* what generated code may use */
    struct jit_store *store; /* named natives, jit_store.c */
    struct jit_counts counts;
    bool perf_map;
    struct machine *machine; /* what generated code runs in; NULL: this process. vm/kvm */
    /* Arena offsets of the stubs; exits by enum jit_reason. */
    uint32_t enter_stub, return_stub, bottom_stub, exit_stubs[JIT_REASONS];
    uint32_t gate; /* where a machine is left */
    /* Buffers and scratch of threads that are not compiling now; taken and put back by exchange. */
    _Atomic(struct jit_compiler *) idle[JIT_IDLE_COMPILERS];
    _Atomic jit_table tables[JIT_TABLE_SIZES][JIT_IDLE_TABLES]; /* the same, see jit_table.c */
};

/* Stubs that all generated code shares, into the arena's first page: offset 0 is where the table
 * leads when it has nothing. */
void jit_write_stubs(struct javm_jit *jit);

/* Does a block start there? Its native's lock is held. */
bool jit_is_start(struct javm_native *native, uint64_t offset);
/* The first block start at or behind an offset, UINT64_MAX: there is none. The lock is held. */
uint64_t jit_next_start(struct javm_native *native, uint64_t from);
/* Gas that has to be there at a block of this cost, and how much of it is only reserved (PVM2 9.6).
 */
uint64_t jit_need(const struct javm_program_key *key, uint64_t cost, uint64_t stores,
                  uint64_t *reserve);
/* Free the idle compilers: javm_jit_destroy, before the arena goes. */
void jit_free_compilers(struct javm_jit *jit);
/* The recompiler's engine: as interp_run, with exec->native. */
void jit_run(struct javm_exec *exec);

#endif
