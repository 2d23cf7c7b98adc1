/* Two engines on the same program: they have to agree on every exit, argument, pc, gas, register
 * and byte of memory. Shared by tests/vm/lockstep (random programs at full speed) and
 * tests/fuzz/fuzz_lockstep.c. */
#ifndef TESTS_VM_LOCKSTEP_H
#define TESTS_VM_LOCKSTEP_H

#include <stdio.h>

#include "javm/engine.h"
#include "tests/require.h"

#define LOCK_REGIONS 24u /* of a layout, the code's included */
#define LOCK_CODE    (1u << 20)
#define LOCK_BIG     1000u /* pages of a region that a program should sweep */

static inline bool chance(struct random *random, unsigned percent)
{
    return random_below(random, 100) < percent;
}

/* ---- what is run ------------------------------------------------------------------------ */

/* What guest memory shows. Regions borrow their bytes and caps from something that lives as long as
 * the process, or as the program. */
struct lock_layout {
    struct javm_region regions[LOCK_REGIONS]; /* ascending; the code first, unless it is empty */
    uint32_t count;
    uint32_t scratch; /* as in struct memory_layout; the region itself shows scratch_data too */
    const struct javm_cap *scratch_data;
    uint64_t space, id;
    bool constant; /* what is not writable keeps its content in the space */
};

struct lock_state {
    uint64_t regs[JAVM_NUM_SLOTS], pc, gas;
};

/* The recompiler's variants; each program has a native for each that it was run with. STORED is
 * there only for a while: one that keeps code in files. */
enum { LOCK_FULL, LOCK_PLAIN, LOCK_SMALL, LOCK_STORED, LOCK_JITS };

struct lock_program {
    const char *source; /* where it comes from */
    uint8_t *code;      /* owned, exactly code_len bytes: reading past them shows */
    uint64_t code_len;
    struct javm_program_key key; /* bitmask and jump table are owned, and exact too */
    struct javm_heap heap;
    struct lock_layout layout;
    struct lock_state state;      /* a state to start from; `gas` is for programs that do not end */
    struct javm_program *program; /* of key and code; freed by lock_program_close */
    struct javm_native *natives[LOCK_JITS];
};

/* Gas that the block at a run's pc asks for; 0 when no block starts there. */
uint64_t lock_need(const struct lock_program *program, uint64_t pc);
/* Copies the code. Fills in layout.regions[0] when there is code, and nothing else. */
void lock_program_open(struct lock_program *program, const uint8_t *code, uint64_t code_len,
                       const struct javm_program_key *key);
void lock_program_close(struct lock_program *program);

/* ---- layouts (lockstep_memory.c) -------------------------------------------------------- */

/* The first data region is writable and has at least two pages. */
void lock_layout_make(struct lock_layout *layout, struct random *random);
/* Other contents, scratch region included, for the same regions: the same space, another id. */
void lock_layout_refill(struct lock_layout *layout, struct random *random);
/* Only the scratch region's content; the id stays. */
void lock_layout_rescratch(struct lock_layout *layout, struct random *random);
/* A new space and id, for a layout that was put together by hand. */
void lock_layout_number(struct lock_layout *layout);
/* The layout without one page, or with the page read-only. `which` counts data pages from 0; false
 * when there are not so many. */
bool lock_layout_without(const struct lock_layout *from, uint32_t which, bool read_only,
                         struct lock_layout *to);
/* An address where something begins or ends, and a little before or behind it. */
uint32_t lock_edge(const struct lock_layout *layout, struct random *random);
/* Inside the first data region, with 2 KiB of it on both sides. */
uint32_t lock_calm(const struct lock_layout *layout, struct random *random);
/* A number as programs like them: near powers of two, small, all ones, arbitrary. */
uint64_t lock_value(struct random *random);

/* ---- sources ---------------------------------------------------------------------------- */

/* Each opens `program` with code, key, layout and state. */
void lock_generate(struct lock_program *program, struct random *random); /* lockstep_gen.c */
struct lock_corpus;                                                      /* lockstep_source.c */
/* Guest images and vectors from below `root` (the source tree). */
struct lock_corpus *lock_corpus_open(const char *root);
void lock_corpus_close(struct lock_corpus *corpus);
void lock_source_bytes(struct lock_program *program, struct random *random);
void lock_source_pvm(struct lock_program *program, struct random *random); /* lockstep_pvm.c */
void lock_source_soup(struct lock_program *program, struct random *random);
void lock_source_image(struct lock_program *program, const struct lock_corpus *corpus,
                       struct random *random);
void lock_source_vector(struct lock_program *program, const struct lock_corpus *corpus,
                        struct random *random);

/* ---- running (lockstep_pair.c) ---------------------------------------------------------- */

/* One call of javm_exec_run within a case. */
struct lock_leg {
    uint64_t gas, deadline;
    uint32_t write_at; /* 0: the host writes nothing before */
    uint32_t write_value;
    bool other_engine; /* the second side runs this leg with the first side's engine */
};

/* The full recompiler's, as in struct javm_jit_options; NULL: none. Set before a pair is opened. */
extern const char *lock_machine;

struct lock_pair {
    enum javm_engine engines[2];
    struct javm_jit *jits[LOCK_JITS];
    struct javm_memory *memories[2];
    struct javm_memory *spare[2]; /* for looking at a failure */
    bool borrowed;                /* the recompiler is another pair's */
    uint64_t cases, exits[JAVM_EXIT_HALT + 1];
    /* The case at hand. */
    struct lock_program *program;
    struct lock_layout layout;
    struct lock_state start;
    unsigned jit;
    struct javm_exec exec[2], before; /* before: the first side's at the start of the last leg */
    struct lock_layout attached[2];   /* memories borrow it until the next is attached: turns */
    unsigned turn;
    struct lock_leg *legs;
    size_t leg_count, leg_room;
};

/* The recompiler is set up when one of the engines is it; `share` (may be NULL): the one of that
 * pair, which is closed later. */
void lock_pair_open(struct lock_pair *pair, enum javm_engine first, enum javm_engine second,
                    const struct lock_pair *share);
void lock_pair_close(struct lock_pair *pair);
/* Open what lock_begin would open when it is first needed: before threads share the program. */
void lock_natives_open(const struct lock_pair *pair, struct lock_program *program);
/* Fresh memory of the layout, registers and pc of the state. `how` picks among the ways there are
 * to come by it. */
void lock_begin(struct lock_pair *pair, struct lock_program *program,
                const struct lock_layout *layout, const struct lock_state *state, unsigned jit,
                struct random *how);
/* Run until it stops for a reason of its own, over as many deadlines as it takes. */
void lock_finish(struct javm_exec *exec, uint64_t deadline);
/* One leg on both sides, then the comparison: without memory, of dirty pages, of all pages. False:
 * they differ. */
enum lock_depth { LOCK_REGISTERS, LOCK_DIRTY, LOCK_ALL };
bool lock_run(struct lock_pair *pair, const struct lock_leg *leg, enum lock_depth depth);
/* Say what differs; nothing when `out` is NULL. True when nothing does. */
bool lock_compare(const struct javm_exec *a, const struct javm_exec *b,
                  const struct lock_layout *layout, enum lock_depth depth, FILE *out);
/* Does the comparison see every kind of difference? Aborts when not. */
void lock_self_test(void);

/* ---- failures (lockstep_report.c) ------------------------------------------------------- */

/* After lock_run said false: print the difference, whether the last leg alone shows it, the
 * program cut down to what is needed for it; write the case as a vector unless `keep` is NULL. */
void lock_report(struct lock_pair *pair, const char *keep);

#endif
