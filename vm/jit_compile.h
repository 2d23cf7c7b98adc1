/* Inside the recompiler: what a thread needs to compile a region, and the generator of single
 * operations (jit_ops.c) that jit_compile.c drives. */
#ifndef JAVM_VM_JIT_COMPILE_H
#define JAVM_VM_JIT_COMPILE_H

#include "vm/front.h"
#include "vm/jit.h"
#include "vm/jit_context.h"
#include "vm/jit_memo.h"
#include "vm/x64.h"

/* Bytes that the code of one instruction may take, of a fused pair, with the block's ends. */
#define JIT_INSN_ROOM 320u

/* A place whose last four bytes lead to something that is not there yet. */
struct jit_fixup {
    uint32_t after;  /* offset in the region behind the displacement */
    uint32_t target; /* guest byte offset; or index of a slot */
    uint32_t pc;     /* of the jump */
};

struct jit_list {
    void *items; /* owned */
    uint32_t count, room;
};

struct jit_compiler {
    struct jit_buffer buffer;
    struct x64 e;
    uint8_t *begin, *limit; /* of the region, in the writable view */
    struct javm_native *native;
    uint32_t features;
    bool cow, pvm;
    bool failed;            /* no room in the buffer, or no memory */
    bool starved;           /* it was memory: more room would not help */
    uint32_t pc;            /* of the instruction that is being compiled */
    uint32_t entry, reach;  /* guest offsets: where the region begins; up to where it goes on */
    struct jit_list blocks; /* struct jit_site */
    struct jit_list sites;  /* struct jit_site */
    struct jit_list gates;  /* uint32_t: behind each block's jump to its out-of-gas exit, 0: none */
    struct jit_list forward; /* struct jit_fixup: rel32 to a block of this region, perhaps */
    struct jit_list slots;   /* struct jit_fixup: rel32 to slot number (index), target of it */
    struct jit_list returns; /* uint32_t: rel32 to the return stub */
    struct jit_list jumps;   /* uint32_t: rel32 to the exit JIT_JUMP */
    struct jit_list touches; /* struct jit_fixup: rel32 to a cold exit; target: where it resumes */
    struct jit_list entries; /* struct pvm_entry: PVM jumps may lead there, in the middle of a
                                block; place: native offset */
    uint64_t count;          /* PVM: instructions of this block */
    struct gas_pipeline gas; /* goes on from block to block, see gas.h */
    struct jit_memo *memo;   /* 1 << JIT_MEMO_BITS places; owned */
    uint8_t memo_kind;
    uint32_t *labels; /* per place from `entry` on where instructions may begin: native offset + 1
                         of a block; owned */
    uint32_t label_count, label_room; /* from label_count on all are 0 */
};

struct jit_compiler *jit_compiler_take(struct javm_jit *jit); /* NULL: out of memory */
void jit_compiler_put(struct javm_jit *jit, struct jit_compiler *compiler);

/* Compile the region that begins at block start `entry`. The native's lock is held. NULL: it cannot
 * be compiled (the arena or memory is exhausted, or a block is too large). */
struct jit_region *jit_compile(struct jit_compiler *compiler, struct javm_native *native,
                               uint32_t entry);

/* ---- PVM (jit_pvm.c) -------------------------------------------------------------------- */

/* Some jump may lead to the instruction at c->pc, in the middle of a block: control may arrive
 * here. */
void jit_note_entry(struct jit_compiler *c);
/* Behind the region's code: for each of these places a check for the gas of the rest of its block,
 * and a jump there. */
void jit_place_entries(struct jit_compiler *c);
#define JIT_ENTRY_ROOM 32u /* bytes of each */
/* A jump through the jump table. */
void jit_table_jump(struct jit_compiler *c, const struct ir_insn *insn);

/* ---- operations (jit_ops.c) ------------------------------------------------------------- */

static inline uint32_t jit_here(const struct jit_compiler *c)
{
    return (uint32_t)(c->e.at - c->begin);
}

/* Room for one more item of `size` bytes; a failure shows in c->failed and gives NULL. */
void *jit_append_slowly(struct jit_compiler *c, struct jit_list *list, size_t size);

static inline void *jit_append(struct jit_compiler *c, struct jit_list *list, size_t size)
{
    if (__builtin_expect(list->count == list->room, 0))
        return jit_append_slowly(c, list, size);
    return (char *)list->items + (size_t)list->count++ * size;
}

/* The machine code here belongs to the instruction at pc. */
static inline void jit_note_pair(struct jit_compiler *c, struct jit_list *list, uint32_t pc)
{
    struct jit_site *site = jit_append(c, list, sizeof *site);
    if (site != NULL)
        *site = (struct jit_site){.native = jit_here(c), .pc = pc};
}

/* Append to a list of jumps. */
uint32_t *jit_note(struct jit_compiler *c, struct jit_list *list);
struct jit_fixup *jit_note_fixup(struct jit_compiler *c, struct jit_list *list);

/* Kinds of pairs; and of an operation, those that it may be the first and the second one of. If two
 * neighbours have none in common, there is no need to look closely. */
enum {
    JIT_PAIR_CONSTANT = 1,
    JIT_PAIR_ADDRESS = 2,
    JIT_PAIR_SHIFT = 4,
    JIT_PAIR_LOW_HIGH = 8,
    JIT_PAIR_HIGH_LOW = 16,
    JIT_PAIR_CARRY = 32,
    JIT_PAIR_FAR_JUMP = 64,
    JIT_PAIR_BRANCH = 128
};
extern const uint8_t jit_pairs_first[IR_OP_COUNT], jit_pairs_second[IR_OP_COUNT];

/* Anything but control flow. `next`: the instruction behind it in its block if the two may pair, or
 * NULL. Returns how many instructions were taken: 1 or 2. */
unsigned jit_emit(struct jit_compiler *c, const struct ir_insn *insn, const struct ir_insn *next);

/* PVM's operations (jit_ops_imm.c). */
void jit_emit_imm(struct jit_compiler *c, const struct ir_insn *insn, unsigned d, unsigned a,
                  unsigned b);
void jit_set_flag(struct x64 *e, enum x64_cond cond, unsigned d);
void jit_compare_imm(struct x64 *e, unsigned a, int64_t imm);
/* Leave generated code for one instruction, which C runs. */
void jit_step(struct jit_compiler *c);

/* slt, sltu, slti, sltiu of hot registers, leaving the flags: the condition under which it is 1. */
enum x64_cond jit_set(struct jit_compiler *c, const struct ir_insn *insn);

/* Compare as a branch does; the condition under which it is taken. */
enum x64_cond jit_compare(struct jit_compiler *c, const struct ir_insn *branch);

/* Machine registers that stand in for operands without one, in order: spill[i] keeps what host[i]
 * held. The same plan serves the generator and, after a fault, the reader of registers. */
struct jit_plan {
    unsigned count;
    uint8_t slot[3], host[3];
};
void jit_plan_of(const struct ir_insn *insn, struct jit_plan *plan);

/* Does it have an operand without a machine register? */
static inline bool jit_plan_needed(const struct ir_insn *insn)
{
    const unsigned cold = (insn->rd >= HOT_REGS ? IR_HAS_D : 0) |
                          (insn->ra >= HOT_REGS ? IR_HAS_A : 0) |
                          (insn->rb >= HOT_REGS ? IR_HAS_B : 0);
    return (cold & ir_operands[insn->op]) != 0;
}

/* slli by 1 to 3 and an add whose result takes its place: shNadd, which PVM does not have. */
bool jit_scaled_sum(const struct ir_insn *insn, const struct ir_insn *next, struct ir_insn *sum);

#endif
