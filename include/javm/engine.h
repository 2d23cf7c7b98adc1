/* The engine below the driver: decoded programs, guest memory, one execution.
 *
 * Most users want vm.h. This level is for tools that run bare machine states (vectors, fuzzers,
 * benchmarks, linkers): no caps, no kernel. Registers are in slot order: φ[0..12], x3, x4.
 *
 * Thread rules: a program is immutable and may be shared; a memory and an execution belong to one
 * thread. */
#ifndef JAVM_ENGINE_H
#define JAVM_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "javm/cap.h"
#include "javm/image.h"
#include "javm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- programs --------------------------------------------------------------------------- */

struct javm_program;

/* Instruction sets and their variants. */
enum javm_pvm {
    JAVM_PVM_NONE = 0, /* PVM2 */
    JAVM_PVM_JAR1,     /* PVM: pipeline gas by the block, jumps to any instruction */
    JAVM_PVM_GP        /* PVM as in the Gray Paper: 1 gas an instruction, jumps to blocks */
};

/* Opcodes of PVM that not every program has, whatever its profile. One that a program does not have
 * is an invalid opcode. */
enum {
    JAVM_PVM_UNLIKELY = 1, /* 2 */
    JAVM_PVM_ECALL = 2,    /* 3 */
    JAVM_PVM_SBRK = 4,     /* 101 */
    JAVM_PVM_MEMSET = 8    /* JAVM_PVM_OP_MEMSET */
};
/* Containers may number opcodes differently; loaded code has the numbers of the specification,
 * these two added: memset, which has none there, and one for bytes that are no opcode of the file's
 * own set but would be one here. */
enum { JAVM_PVM_OP_MEMSET = 4, JAVM_PVM_OP_INVALID = 255 };

/* A decoded program is a pure function of its code and these. All zero but the numbers: PVM2. */
struct javm_program_key {
    uint64_t footprint_pages; /* data pages the image declares, PVM: the page budget of the
                                 invocation. It picks the memory tier (PVM2 9.4, PVM 8.3) */
    uint64_t cow_cost;        /* 0: no copy-on-write accounting (PVM2 9.6); PVM has none */
    enum javm_pvm pvm;
    unsigned features; /* PVM: which of the opcodes above it has, or'ed; 0: jar1 UNLIKELY and ECALL,
                          gp SBRK */
    /* PVM only; borrowed as long as the code is. */
    const uint8_t *bitmask;     /* (code_len + 7) / 8 bytes */
    const uint32_t *jump_table; /* NULL when jump_count is 0 */
    uint32_t jump_count;
};

/* The key of an image's code, without copy-on-write accounting; its pointers are the image's. PVM
 * is of the profile jar1. */
struct javm_program_key javm_program_key_of(const struct javm_image *image);

/* The most that an engine takes of PVM: bytes of code, entries of the jump table. */
#define JAVM_PVM_CODE_MAX  (1u << 25)
#define JAVM_PVM_JUMPS_MAX (1u << 24)

/* Decode code of any instruction set: linear walk, block starts, block costs, dispatch table. Never
 * rejects an encoding; LIMIT when code_len > JAVM_CODE_MAX or beyond the two above, NOMEM. `code`
 * is borrowed for the life of the program. */
enum javm_status javm_program_decode(const uint8_t *code, uint64_t code_len,
                                     const struct javm_program_key *key,
                                     struct javm_program **program, struct javm_error *err);
/* The name that PVM2's users know it by. */
static inline enum javm_status javm_program_decode_pvm2(const uint8_t *code, uint64_t code_len,
                                                        const struct javm_program_key *key,
                                                        struct javm_program **program,
                                                        struct javm_error *err)
{
    return javm_program_decode(code, code_len, key, program, err);
}
void javm_program_free(struct javm_program *program);
/* Bytes allocated for it, the borrowed code not counted. */
uint64_t javm_program_bytes(const struct javm_program *program);

/* Read-only facts, for tools and tests. Offsets are byte offsets into the code. */
struct javm_block_info {
    uint64_t start;
    uint64_t cost;   /* 0 for an ecall block, which is charged dynamically */
    uint64_t stores; /* number of store instructions */
    bool ecall;
};
uint64_t javm_program_end(const struct javm_program *program); /* where the walk ended */
uint64_t
javm_program_instructions(const struct javm_program *program); /* how many the walk found */
uint64_t javm_program_blocks(const struct javm_program *program);
void javm_program_block(const struct javm_program *program, uint64_t i,
                        struct javm_block_info *info); /* i < blocks; ascending start */
bool javm_program_is_start(const struct javm_program *program, uint64_t offset);

/* ---- guest memory ----------------------------------------------------------------------- */

/* One 4 GiB guest address space with guard regions around it. Pages become real on first touch
 * and show their first content again after a reset, at a cost that follows the pages touched. */
struct javm_memory;

enum javm_region_kind {
    JAVM_REGION_ZERO, /* zero pages */
    JAVM_REGION_DATA, /* pages of a Data cap, copied on first touch; zero past its end */
    JAVM_REGION_BYTES /* a plain byte range, zero past its end; this is how code is mapped */
};

struct javm_region {
    uint32_t first_page, pages; /* guest page numbers; regions ascend and do not overlap */
    enum javm_region_kind kind;
    bool writable;
    uint32_t first_write; /* gas of the first write to a page, at most cow_cost; 0: cow_cost */
    const struct javm_cap *data; /* DATA: borrowed until the next attach */
    const uint8_t *bytes;        /* BYTES: borrowed until the next attach */
    uint64_t len;                /* BYTES: how many */
};

/* NOMEM when the reservation fails. */
enum javm_status javm_memory_create(struct javm_memory **memory, struct javm_error *err);
void javm_memory_destroy(struct javm_memory *memory);
/* Forget the present layout (reset) and take a new one. The array is copied. NOMEM. */
enum javm_status javm_memory_attach(struct javm_memory *memory, const struct javm_region *regions,
                                    size_t count);
/* Back to what the attached layout shows at first. */
void javm_memory_reset(struct javm_memory *memory);
/* Host access with guest permissions, all or nothing; false: some page does not allow it, or the
 * system has none left. Addresses do not wrap. */
bool javm_memory_read(struct javm_memory *memory, uint32_t address, void *to, size_t len);
bool javm_memory_write(struct javm_memory *memory, uint32_t address, const void *from, size_t len);
/* Pages whose content is not what the layout shows at first, ascending; valid until the next
 * call. */
size_t javm_memory_dirty(struct javm_memory *memory, const uint32_t **pages);
/* The present content of a page of the layout, or NULL when it is not in memory and therefore as
 * the layout shows it at first. Pages that no access went to can be there too. */
const uint8_t *javm_memory_page(const struct javm_memory *memory, uint32_t page);

/* ---- native code ------------------------------------------------------------------------ */

/* The recompiler's store of native code, shared by the workers of a NUMA node. Its calls may be
 * made from any thread. */
struct javm_jit;

struct javm_jit_options {
    uint64_t code_bytes;   /* native code kept, at most; 0: 1 GiB. Beyond it, programs that nobody
                              has open are forgotten, oldest first */
    const char *cache_dir; /* keep compiled code there between runs; NULL: nowhere */
    bool plain;            /* use no processor extension beyond x86-64's base: for tests */
    bool perf_map;         /* write /tmp/perf-<pid>.map for perf */
    const char *machine;   /* "/dev/kvm": compiled code runs in ring 3 of a virtual machine of this
                              process, which then is for one thread; NULL: in the process */
};

/* options may be NULL for the defaults. UNSUPPORTED on a machine that the recompiler is not for
 * or where `machine` cannot be opened,
 * NOMEM; RANGE when code_bytes is above 2 GiB; IO when the system refuses executable memory or
 * cache_dir cannot be used: native code is trusted, so it has to be a directory of ours that nobody
 * else can write to. It is created if it is missing. */
enum javm_status javm_jit_create(const struct javm_jit_options *options, struct javm_jit **jit,
                                 struct javm_error *err);
/* The descriptors of the virtual machine, which system calls are made with as long as it runs:
 * ioctl of KVM_RUN at `vcpu`, of KVM_SET_USER_MEMORY_REGION at `vm`. False: there is none. */
bool javm_jit_machine(const struct javm_jit *jit, int *vm, int *vcpu);
/* Write what was compiled to cache_dir, of programs that nobody has open; opening waits for it. The
 * first error that any write had since the last call, also one of a program that was forgotten.
 * Programs are tried once: after a call javm_jit_destroy has nothing left to write. */
enum javm_status javm_jit_save(struct javm_jit *jit, struct javm_error *err);
/* Forget every program that nobody has open; cache_dir gets it first. */
void javm_jit_forget(struct javm_jit *jit);
/* Every native has to be closed before. Saves first; to hear about errors, call javm_jit_save. */
void javm_jit_destroy(struct javm_jit *jit);

struct javm_jit_stats {
    uint64_t programs, regions, code_bytes; /* that are there now */
    uint64_t compiled_bytes, compile_ns;    /* guest code and time, all told */
    uint64_t files_loaded, files_saved;
    uint64_t files_refused; /* in cache_dir, but damaged, foreign or of another version */
    uint64_t files_failed;  /* could not be written */
};
void javm_jit_stats(struct javm_jit *jit, struct javm_jit_stats *stats);

/* The native code of one program: compiled region by region when a run first reaches one, by
 * whoever comes first, for all. */
struct javm_native;

/* What code belongs to: retained as long as a native may read the code, from any thread. `bytes`
 * are what it keeps in memory, which count for code_bytes while nobody has the native open. */
struct javm_owner {
    void *object;
    uint64_t bytes;
    void (*retain)(void *object);
    void (*release)(void *object);
};

/* The native of a program under its name, opened once more or made; a name stands for one code and
 * key. Without a name (NULL) it is shared with nobody. `owner` is copied; NULL: the code is
 * borrowed until the native is closed and, if named, the store destroyed. LIMIT, NOMEM. */
enum javm_status javm_native_open(struct javm_jit *jit, const struct javm_hash *name,
                                  const uint8_t *code, uint64_t code_len,
                                  const struct javm_program_key *key,
                                  const struct javm_owner *owner, struct javm_native **native,
                                  struct javm_error *err);
void javm_native_close(struct javm_native *native);

/* Compile every block that is not compiled yet, for tools: runs compile what they reach. LIMIT when
 * the store is full, NOMEM. */
enum javm_status javm_native_compile(struct javm_native *native, struct javm_error *err);
/* What was compiled, block by block in the order of the native code. `len` of guest and native code
 * reach to the next block or the region's end. */
struct javm_native_block {
    uint64_t pc, pc_len; /* guest code: offset, bytes */
    const uint8_t *code; /* native code, readable until the native is closed */
    uint64_t code_len;
};
void javm_native_each(struct javm_native *native,
                      void (*visit)(void *context, const struct javm_native_block *block),
                      void *context);

/* ---- executions ------------------------------------------------------------------------- */

enum javm_exit {
    JAVM_EXIT_NONE = 0,
    JAVM_EXIT_HOST_CALL,  /* arg: selector, signed; PVM: unsigned 32 bits */
    JAVM_EXIT_ECALL_JAR,  /* arg 0; operation in φ[11] */
    JAVM_EXIT_OUT_OF_GAS, /* resumable at pc */
    JAVM_EXIT_TRAP,
    JAVM_EXIT_PANIC,
    JAVM_EXIT_PAGE_FAULT, /* arg: page of the first byte, PVM: the lowest one that refused;
                             fault_addr, fault_write have it whole */
    JAVM_EXIT_HALT        /* PVM: jump to the halt address */
};
const char *javm_exit_name(enum javm_exit exit); /* as in vectors: "host_call", ... */

enum javm_engine { JAVM_ENGINE_INTERP = 0, JAVM_ENGINE_JIT = 1 };
/* False when the engine is not part of this build. */
bool javm_engine_available(enum javm_engine engine);

#define JAVM_HOST_CALL_FLOOR  100u
#define JAVM_MANAGEMENT_FLOOR 100u

/* What sbrk grows: guest addresses at most 2^32. */
struct javm_heap {
    uint64_t top;   /* in, out */
    uint64_t limit; /* of top */
    uint32_t page; /* it grows by multiples of so many bytes, a multiple of 4096, and has whole ones
                      at first; 0: 4096 */
};

struct javm_exec {
    const struct javm_program *program; /* INTERP: borrowed */
    struct javm_native *native;         /* JIT: borrowed, open */
    struct javm_memory *memory;         /* borrowed, attached */
    enum javm_engine engine;
    uint64_t regs[JAVM_NUM_SLOTS];
    uint64_t pc; /* in: where to enter; out: see PVM2 section 7, PVM section 7 */
    uint64_t gas;
    bool keeps_gas; /* jar1: JAVM_EXIT_OUT_OF_GAS leaves what there was, as in PVM2; else 0 is
                       left (PVM section 8) */
    struct javm_heap heap; /* of sbrk; its pages are added to what the memory shows until it is
                              attached anew */
    /* out */
    enum javm_exit exit;
    int64_t exit_arg;
    uint64_t exit_pc; /* PVM, HOST_CALL and ECALL_JAR: the ecall itself, which pc is behind */
    uint64_t fault_addr;
    bool fault_write;
    bool failed; /* the run stopped because memory ran out (the host's): nothing else says anything
                  */
};

/* Run to the next exit and fill in the out fields. An ecall's floor is charged here (PVM2 9.5).
 * deadline_ns: CLOCK_MONOTONIC time after which the run stops at a block start with JAVM_EXIT_NONE,
 * resumable; 0 for none. */
void javm_exec_run(struct javm_exec *exec, uint64_t deadline_ns);

#ifdef __cplusplus
}
#endif
#endif
