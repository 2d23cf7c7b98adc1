/* Compiling a region: one pass from guest bytes to machine code, block by block.
 *
 * A region begins at a block start and goes on over the blocks behind it as long as control may run
 * or jump forward to them: in practice it is a function. Jumps within it are direct. Every other
 * way out is a slot, which leads to the target once that is compiled (jit.h).
 *
 * A block begins with the gas check: `sub gas, need` and a jump that is never taken, to a stub at
 * the region's end. A call pushes its native return address as well as writing the link; a return
 * pops it, and the code it comes to compares the link register with its own link: one compare and a
 * well-predicted branch instead of a lookup. When the two differ, the table decides. */
#include "vm/jit_block.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vm/pvm2_scan.h"

#define FIRST_ROOM  UINT32_C(8192)       /* native bytes asked for first */
#define BLOCK_ROOM  UINT32_C(4096)       /* a region ends where less is left for its next block */
#define MOST_ROOM   (UINT32_C(64) << 20) /* a region that needs more is not compiled */
#define FORWARD_MAX 4096u                /* guest bytes: farther jumps do not extend a region */
#define REGION_MAX  32768u               /* guest bytes; a region ends at the next block */
#define SCAN_AHEAD  8192u                /* guest bytes in which backward jumps are looked for */
#define SCAN_STEP   1024u                /* how many more at a time */

/* ---- compilers -------------------------------------------------------------------------- */

struct jit_compiler *jit_compiler_take(struct javm_jit *jit)
{
    for (unsigned i = 0; i < JIT_IDLE_COMPILERS; i++) {
        /* Acquire: pairs with the exchange that put it there. */
        struct jit_compiler *c =
            atomic_exchange_explicit(&jit->idle[i], NULL, memory_order_acquire);
        if (c != NULL)
            return c;
    }
    struct jit_compiler *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->buffer.arena = jit->arena;
    c->memo = calloc(UINT32_C(1) << JIT_MEMO_BITS, sizeof *c->memo);
    if (c->memo == NULL) {
        free(c);
        return NULL;
    }
    return c;
}

static void free_compiler(struct jit_compiler *c)
{
    jit_buffer_close(&c->buffer);
    struct jit_list *const lists[] = {&c->blocks,  &c->sites, &c->gates,   &c->forward, &c->slots,
                                      &c->returns, &c->jumps, &c->touches, &c->entries};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        free(lists[i]->items);
    free(c->labels);
    free(c->memo);
    free(c);
}

void jit_compiler_put(struct javm_jit *jit, struct jit_compiler *c)
{
    for (unsigned i = 0; i < JIT_IDLE_COMPILERS; i++) {
        struct jit_compiler *none = NULL;
        /* Release: its next user acquires. */
        if (atomic_compare_exchange_strong_explicit(&jit->idle[i], &none, c, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    free_compiler(c);
}

void jit_free_compilers(struct javm_jit *jit)
{
    for (unsigned i = 0; i < JIT_IDLE_COMPILERS; i++) {
        struct jit_compiler *c =
            atomic_exchange_explicit(&jit->idle[i], NULL, memory_order_acquire);
        if (c != NULL)
            free_compiler(c);
    }
}

/* ---- lists ------------------------------------------------------------------------------ */

void *jit_append_slowly(struct jit_compiler *c, struct jit_list *list, size_t size)
{
    const uint32_t room = list->room * 2 + 64;
    void *bigger = realloc(list->items, (size_t)room * size);
    if (bigger == NULL) {
        c->failed = c->starved = true;
        return NULL;
    }
    list->items = bigger;
    list->room = room;
    return (char *)bigger + (size_t)list->count++ * size;
}

uint32_t *jit_note(struct jit_compiler *c, struct jit_list *list)
{
    uint32_t *item = jit_append(c, list, sizeof *item);
    if (item != NULL)
        *item = jit_here(c);
    return item;
}

struct jit_fixup *jit_note_fixup(struct jit_compiler *c, struct jit_list *list)
{
    return jit_append(c, list, sizeof(struct jit_fixup));
}

static void note_jump(struct jit_compiler *c, struct jit_list *list, uint32_t target)
{
    struct jit_fixup *f = jit_note_fixup(c, list);
    if (f != NULL)
        *f = (struct jit_fixup){.after = jit_here(c), .target = target, .pc = c->pc};
}

/* ---- blocks and labels ------------------------------------------------------------------ */

static bool bit_at(const uint64_t *bits, uint64_t offset)
{
    return bits[offset / 128] >> (offset / 2 % 64) & 1;
}

bool jit_is_start(struct javm_native *n, uint64_t offset)
{
    if (front_is_pvm(&n->front)) /* a block begins wherever somebody enters */
        return offset <= n->front.len;
    if (offset >= n->front.len)
        return false;
    pvm2_walk_to(&n->walk, offset + 1);
    return pvm2_starts_block(&n->walk, offset);
}

uint64_t jit_next_start(struct javm_native *n, uint64_t from)
{
    const struct front *f = &n->front;
    const bool pvm = front_is_pvm(f);
    for (from += pvm ? 0 : from & 1; from < f->len; from += UINT64_C(1) << f->shift)
        if (pvm ? pvm_begins(f, from) && pvm_starts_block(f, from) : jit_is_start(n, from))
            return from;
    return UINT64_MAX;
}

static inline bool is_there(const struct javm_native *n, uint64_t offset)
{
    return front_is_pvm(&n->front) || pvm2_is_whole(n->front.code, n->front.len, offset);
}

/* Room for one more site. */
static inline bool room_for_site(struct jit_compiler *c)
{
    if (__builtin_expect(c->sites.count == c->sites.room, 0)) {
        if (jit_append_slowly(c, &c->sites, sizeof(struct jit_site)) == NULL)
            return false; /* c->failed */
        c->sites.count--;
    }
    return true;
}

bool jit_more_labels(struct jit_compiler *c, uint32_t index)
{
    const uint32_t room = index * 2 + 1024;
    uint32_t *bigger = realloc(c->labels, room * sizeof *bigger);
    if (bigger == NULL) {
        c->failed = c->starved = true;
        return false;
    }
    memset(bigger + c->label_room, 0, (room - c->label_room) * sizeof *bigger);
    c->labels = bigger;
    c->label_room = room;
    return true;
}

/* ---- ways out --------------------------------------------------------------------------- */

/* `mov ecx, pc` and the exit for `reason`. */
static void leave(struct jit_compiler *c, enum jit_reason reason, uint32_t pc)
{
    x64_put(&c->e, 0xB9u | (uint64_t)pc << 8, 5);
    x64_jmp_context(&c->e, CONTEXT_AT(exits[0]) + 8 * (int32_t)reason);
}

/* jmp or call [rip + slot]; the slot is placed at the end. */
static void through_slot(struct jit_compiler *c, bool call, uint32_t target)
{
    x64_put(&c->e, 0xFFu | (call ? 0x15u : 0x25u) << 8, 6);
    note_jump(c, &c->slots, target);
}

/* Go to a guest offset, which may be no block start. */
static void jump_to(struct jit_compiler *c, uint32_t target)
{
    struct x64 *e = &c->e;
    const uint32_t label = jit_label_of(c, target);
    if (label != 0) {
        x64_jmp(e);
        x64_patch(e->at, c->begin + label - 1);
    } else if (target > c->pc && target - c->pc <= FORWARD_MAX) {
        x64_jmp(e);
        note_jump(c, &c->forward, target);
        if (target > c->reach)
            c->reach = target;
    } else {
        through_slot(c, false, target);
    }
}

static void branch_to(struct jit_compiler *c, enum x64_cond cond, uint32_t target)
{
    struct x64 *e = &c->e;
    const uint32_t label = jit_label_of(c, target);
    if (label != 0) {
        const int64_t distance = c->begin + label - 1 - (e->at + 2);
        if (distance >= -128) {
            x64_put(e, 0x70u | (unsigned)cond | (uint64_t)(uint8_t)distance << 8, 2);
        } else {
            x64_jcc(e, cond);
            x64_patch(e->at, c->begin + label - 1);
        }
        return;
    }
    x64_jcc(e, cond);
    note_jump(c, &c->forward, target);
    if (target > c->pc && target - c->pc <= FORWARD_MAX && target > c->reach)
        c->reach = target;
}

/* What a call comes back to: is this the return that the link says? When nothing is behind the
 * call, no return may come here: the table refuses it. */
static void return_site(struct jit_compiler *c, uint32_t link)
{
    if (!is_there(c->native, link - JAVM_CODE_BASE)) {
        x64_jmp(&c->e);
        jit_note(c, &c->returns);
        return;
    }
    x64_rr(&c->e, false, 0x81, X64_CMP, HOST_LINK);
    x64_put32(&c->e, link);
    x64_jcc(&c->e, X64_NE);
    jit_note(c, &c->returns);
}

static void set_link(struct jit_compiler *c, uint8_t rd, uint32_t link)
{
    if (rd < HOT_REGS)
        x64_mov_imm(&c->e, jit_host_reg[rd], link);
    else if (rd == 13 || rd == 14)
        x64_store_context_imm(&c->e, true, CONTEXT_AT(cold) + 8 * (rd - (int32_t)HOT_REGS),
                              (int32_t)link);
}

/* A jump with a known target that also links. */
static void direct_call(struct jit_compiler *c, uint8_t rd, uint32_t link, uint32_t target)
{
    set_link(c, rd, link);
    if (rd != 0) {
        jump_to(c, target);
        return;
    }
    const uint32_t label = jit_label_of(c, target);
    if (label != 0) {
        x64_call(&c->e);
        x64_patch(c->e.at, c->begin + label - 1);
    } else {
        through_slot(c, true, target);
    }
    return_site(c, link);
}

static void indirect_jump(struct jit_compiler *c, const struct ir_insn *insn)
{
    struct x64 *e = &c->e;
    const int32_t distance = (int32_t)((uint32_t)insn->lo - JAVM_CODE_BASE);
    const uint32_t link = (uint32_t)insn->hi;
    x64_store_context_imm(e, false, CONTEXT_AT(jump_pc), (int32_t)c->pc);
    if (insn->ra == 0 && insn->lo == 0 && insn->rd >= IR_ZERO) {
        x64_put(e, 0xC3, 1);
        return;
    }
    if (insn->ra < HOT_REGS) {
        x64_lea(e, false, HOST_TEMP, jit_host_reg[insn->ra], distance);
    } else {
        x64_load_context(e, HOST_TEMP, CONTEXT_AT(cold) + 8 * (insn->ra - (int32_t)HOT_REGS));
        x64_lea(e, false, HOST_TEMP, HOST_TEMP, distance);
    }
    set_link(c, insn->rd, link);
    x64_gs(e, false, 0x89, HOST_TEMP, CONTEXT_AT(jump_target));
    x64_gs(e, false, 0x3B, HOST_TEMP, CONTEXT_AT(limit));
    x64_jcc(e, X64_AE);
    jit_note(c, &c->jumps);
    x64_alu_imm(e, false, X64_AND, HOST_TEMP, -2);
    x64_alu(e, false, X64_ADD, HOST_TEMP, HOST_TEMP);
    x64_gs(e, true, 0x03, HOST_TEMP, CONTEXT_AT(table));
    x64_put(e, 0x098B, 2); /* mov ecx, [rcx] */
    x64_gs(e, true, 0x03, HOST_TEMP, CONTEXT_AT(code_base));
    x64_put(e, insn->rd == 0 ? 0xD1FFu : 0xE1FFu, 2); /* call or jmp rcx */
    if (insn->rd == 0)
        return_site(c, link);
}

/* ---- one block -------------------------------------------------------------------------- */

static void align_head(struct jit_compiler *c)
{
    static const uint8_t nops[16][9] = {
        {0},
        {0x90},
        {0x66, 0x90},
        {0x0F, 0x1F, 0x00},
        {0x0F, 0x1F, 0x40, 0x00},
        {0x0F, 0x1F, 0x44, 0x00, 0x00},
        {0x66, 0x0F, 0x1F, 0x44, 0x00, 0x00},
        {0x0F, 0x1F, 0x80, 0x00, 0x00, 0x00, 0x00},
        {0x0F, 0x1F, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
    };
    for (unsigned pad = -jit_here(c) & 31; pad != 0;) {
        const unsigned n = pad > 8 ? 8 : pad;
        memcpy(c->e.at, nops[n], 8);
        c->e.at += n;
        pad -= n;
    }
}

uint64_t jit_need(const struct javm_program_key *key, uint64_t cost, uint64_t stores,
                  uint64_t *reserve)
{
    uint64_t need;
    *reserve = 0;
    if (key->cow_cost != 0 && __builtin_mul_overflow(key->cow_cost, 2 * stores, reserve))
        *reserve = UINT64_MAX - cost;
    if (__builtin_add_overflow(cost, *reserve, &need)) {
        need = UINT64_MAX;
        *reserve = need - cost;
    }
    return need;
}

/* The functions with `set` exist for each instruction set, so that PVM2 does not pay for asking
 * which one it is, several times for each instruction. */
#define FOR_EACH_SET static inline __attribute__((always_inline))
enum set { PVM2, PVM };

FOR_EACH_SET bool decode(const struct jit_compiler *c, enum set set, uint64_t offset,
                         struct ir_step *step)
{
    const struct front *f = &c->native->front;
    return set == PVM ? pvm_next(f, offset, step)
                      : pvm2_next(f->code, f->len, offset, f->memory_cycles, step);
}

static bool is_set(uint16_t op)
{
    return op == IR_SLT || op == IR_SLTU || op == IR_SLTI || op == IR_SLTIU;
}

/* slt and the branch on its result share one comparison. */
static bool fuse_set_branch(struct jit_compiler *c, const struct ir_step *step,
                            const struct ir_step *next)
{
    const struct ir_insn *insn = &step->insn, *branch = &next->insn;
    const bool with_imm = branch->op == IR_BEQI || branch->op == IR_BNEI;
    if ((branch->op != IR_BEQ && branch->op != IR_BNE && !with_imm) || branch->hi == IR_NO_TARGET ||
        (with_imm && branch->lo != 0))
        return false;
    if (!(branch->ra == insn->rd && branch->rb == IR_ZERO) &&
        !(branch->rb == insn->rd && branch->ra == IR_ZERO))
        return false;
    if (!is_set(insn->op) || jit_plan_needed(insn))
        return false;
    const enum x64_cond cond = jit_set(c, insn);
    c->pc += step->len;
    branch_to(c,
              branch->op == IR_BNE || branch->op == IR_BNEI ? cond
                                                            : (enum x64_cond)((unsigned)cond ^ 1),
              (uint32_t)branch->hi);
    return true;
}

static void branch(struct jit_compiler *c, const struct ir_insn *insn)
{
    const enum x64_cond cond = jit_compare(c, insn);
    if (insn->hi != IR_NO_TARGET) {
        branch_to(c, cond, (uint32_t)insn->hi);
        return;
    }
    uint8_t *const over = x64_jcc_short(&c->e, (enum x64_cond)((unsigned)cond ^ 1));
    leave(c, JIT_BAD_JUMP, c->pc);
    x64_land(&c->e, over);
}

/* A jump to the block behind it needs no code. */
static bool jumps_to_next(const struct jit_compiler *c, const struct ir_insn *insn)
{
    return insn->op == IR_JUMP && (uint32_t)insn->hi == c->pc + insn->len &&
           is_there(c->native, (uint32_t)insn->hi);
}

/* Instructions that end a block. */
static void control(struct jit_compiler *c, const struct ir_insn *insn)
{
    switch (insn->op) {
    case IR_JUMP:
    case IR_JAL:
        if (insn->hi == IR_NO_TARGET) {
            set_link(c, insn->op == IR_JAL ? insn->rd : IR_SINK, (uint32_t)insn->lo);
            leave(c, JIT_BAD_JUMP, c->pc);
        } else if (insn->op == IR_JAL) {
            direct_call(c, insn->rd, (uint32_t)insn->lo, (uint32_t)insn->hi);
        } else if (!jumps_to_next(c, insn)) {
            jump_to(c, (uint32_t)insn->hi);
        }
        break;
    case IR_LI_JUMP:
        x64_mov_imm(&c->e, jit_host_reg[insn->rd], (uint64_t)(int64_t)insn->lo);
        if (insn->hi == IR_NO_TARGET)
            leave(c, JIT_BAD_JUMP, c->pc);
        else
            jump_to(c, (uint32_t)insn->hi);
        break;
    case IR_JALR:
        indirect_jump(c, insn);
        break;
    case IR_DJUMP:
    case IR_LI_DJUMP:
        jit_table_jump(c, insn);
        break;
    case IR_SBRK:
    case IR_MEMSET:
        jit_step(c);
        break;
    default: /* trap, reserved, ecalls */
        leave(c, JIT_STOP, c->pc);
        break;
    }
}

/* auipc+jalr: the target is known. */
static bool fuse_far_jump(struct jit_compiler *c, const struct ir_step *step,
                          const struct ir_step *next)
{
    const struct ir_insn *insn = &step->insn, *jump = &next->insn;
    if (insn->op != IR_LI || jump->op != IR_JALR || jump->ra != insn->rd || jit_plan_needed(insn))
        return false;
    const uint32_t target =
        ((uint32_t)((uint64_t)insn->imm + (uint64_t)(int64_t)jump->lo) & ~1u) - JAVM_CODE_BASE;
    if (jump->rd != insn->rd)
        x64_mov_imm(&c->e, jit_host_reg[insn->rd], (uint64_t)insn->imm);
    c->pc += step->len;
    if (target >= c->native->front.len) {
        set_link(c, jump->rd, (uint32_t)jump->hi);
        leave(c, JIT_BAD_JUMP, c->pc);
    } else if (jump->rd >= IR_ZERO) {
        jump_to(c, target);
    } else {
        direct_call(c, jump->rd, (uint32_t)jump->hi, target);
    }
    return true;
}

/* ---- what is remembered ----------------------------------------------------------------- */

/* What is remembered of an instruction word (the low half of a longer one), or NULL. */
static inline const struct jit_memo *remembered(const struct jit_compiler *c, uint32_t word)
{
    return jit_memo_find(c->memo, word, c->memo_kind);
}

/* As jit_pairs_second, of a word of which nothing is remembered: those that end a block never are.
 */
static inline unsigned second_of(uint32_t word)
{
    if ((word & 3) != 3) /* c.j, c.beqz and c.bnez */
        return (word & 3) != 1 || word >> 13 < 5 ? UINT8_MAX
               : word >> 13 == 5                 ? 0
                                                 : JIT_PAIR_BRANCH;
    switch (word & 0x7F) {
    case 0x63:
        return JIT_PAIR_BRANCH;
    case 0x67:
        return JIT_PAIR_FAR_JUMP;
    case 0x0B: /* fallthrough and the like */
    case 0x17:
    case 0x6F:
        return 0;
    default:
        return UINT8_MAX;
    }
}

/* May the two instructions be compiled as one? */
static inline bool may_pair(const struct jit_memo *first, const struct jit_memo *second)
{
    const struct gas_row *a = &first->row, *b = &second->row;
    const unsigned kinds = first->first & second->second;
    if ((kinds & (JIT_PAIR_LOW_HIGH | JIT_PAIR_HIGH_LOW)) != 0)
        return a->src1 + a->src2 == b->src1 + b->src2;
    return kinds != 0 && a->dst == b->src1;
}

/* The instruction word at an offset that at least 4 bytes of code follow. */
static inline uint32_t word_at(const struct javm_native *n, uint32_t at)
{
    uint32_t word;
    memcpy(&word, n->front.code + at, sizeof word);
    return word & ((word & 3) == 3 ? UINT32_MAX : 0xFFFF);
}

/* Is the word of custom-0, as ecalls are? */
static inline bool may_be_ecall(uint32_t word)
{
    return (word & 0x7F) == 0x0B;
}

/* Compile what is remembered of the instructions from c->pc on, up to one that is not, or that may
 * pair with the one behind it: those have to be looked at closely. All that changes is in local
 * variables, so that an instruction does not wait for the one before it. */
static void paste(struct jit_compiler *c, uint64_t *stores)
{
    const struct javm_native *n = c->native;
    struct gas_clock clock = c->gas.clock;
    uint8_t *at = c->e.at;
    struct jit_site *site = (struct jit_site *)c->sites.items + c->sites.count;
    const struct jit_site *const full = (struct jit_site *)c->sites.items + c->sites.room;
    uint8_t *const limit = c->limit - JIT_INSN_ROOM;
    uint32_t pc = c->pc;
    uint64_t count = 0;
    /* The word behind the one that is looked at has to be there too. */
    while (n->front.len - pc >= 8 && at <= limit && site != full) {
        const uint32_t word = word_at(n, pc), len = (word & 3) == 3 ? 4 : 2;
        const struct jit_memo *const memo = remembered(c, word);
        if (memo == NULL)
            break;
        if (memo->first != 0) {
            const uint32_t behind = word_at(n, pc + len);
            const struct jit_memo *next = remembered(c, behind);
            if (next != NULL ? may_pair(memo, next) : (memo->first & second_of(behind)) != 0)
                break;
        }
        *site = (struct jit_site){.native = (uint32_t)(at - c->begin), .pc = pc};
        site += memo->is_site;
        memcpy(at, memo->code, JIT_MEMO_CODE);
        at += memo->code_len;
        gas_step(c->gas.ready, &clock, &memo->row);
        count += memo->is_store;
        pc += len;
    }
    c->gas.clock = clock;
    c->e.at = at;
    c->sites.count = (uint32_t)(site - (struct jit_site *)c->sites.items);
    c->pc = pc;
    *stores += count;
}

/* Remember the instruction at c->pc, whose code begins at `native`, behind so many sites. */
static void remember(struct jit_compiler *c, const struct ir_step *step, uint32_t native,
                     uint32_t sites)
{
    const uint32_t len = jit_here(c) - native, more = c->sites.count - sites;
    const struct jit_site *site = (const struct jit_site *)c->sites.items + sites;
    /* What leaves generated code in the middle names its pc; it is longer. */
    if (len > JIT_MEMO_CODE || more > 1 || (more == 1 && site->native != native) ||
        (step->store && c->cow) || c->failed || c->native->front.len - c->pc < 4)
        return;
    uint32_t word;
    memcpy(&word, c->native->front.code + c->pc, sizeof word);
    word &= step->len == 4 ? UINT32_MAX : 0xFFFF;
    struct jit_memo *memo = jit_memo_place(c->memo, word);
    *memo = (struct jit_memo){.word = word,
                              .kind = c->memo_kind,
                              .first = step->executes ? jit_pairs_first[step->insn.op] : 0,
                              .second = step->executes ? jit_pairs_second[step->insn.op] : 0,
                              .code_len = (uint8_t)len,
                              .row = step->row,
                              .is_site = (uint8_t)more,
                              .is_store = step->store};
    memcpy(memo->code, c->begin + native, JIT_MEMO_CODE);
}

/* ---- a block ---------------------------------------------------------------------------- */

/* How control leaves a block. */
enum ending { FALLS, LEAVES };

/* The block's last instruction was compiled; c->pc is its own. */
static enum ending ending_of(const struct jit_compiler *c, const struct ir_insn *insn)
{
    if (ir_shape_of(insn->op) != IR_CTL)
        return FALLS;
    const bool returns = (insn->op == IR_JAL || insn->op == IR_JALR) && insn->rd == 0;
    return returns || insn->op == IR_MEMSET || jumps_to_next(c, insn) ? FALLS : LEAVES;
}

/* May the instruction at `pc` be taken together with the one before it? */
FOR_EACH_SET bool may_follow(const struct jit_compiler *c, enum set set, uint64_t pc)
{
    return set != PVM || pc >= c->native->front.len || !pvm_bit(c->native->targets.middle, pc);
}

FOR_EACH_SET void count_gas(struct jit_compiler *c, enum set set, const struct ir_step *step)
{
    if (set == PVM) {
        c->count++;
        front_add(&c->gas, step);
    } else {
        gas_add(&c->gas, &step->row);
    }
}

/* The instruction behind `step`, if the two may become a pair. */
FOR_EACH_SET const struct ir_step *pair_of(const struct jit_compiler *c, enum set set,
                                           const struct ir_step *step, struct ir_step *next)
{
    const uint8_t first = step->executes ? jit_pairs_first[step->insn.op] : 0;
    return first != 0 && may_follow(c, set, (uint64_t)c->pc + step->len) &&
                   decode(c, set, c->pc + step->len, next) && next->executes &&
                   (first & jit_pairs_second[next->insn.op]) != 0
               ? next
               : NULL;
}

/* Compile the instruction at c->pc and move c->pc behind it, or behind the pair that it begins.
 * True: it is the block's last one. */
FOR_EACH_SET bool compile_insn(struct jit_compiler *c, enum set set, const struct ir_step *step,
                               uint64_t *stores, enum ending *ending)
{
    const uint32_t native = jit_here(c), sites = c->sites.count;
    struct ir_step behind, sum;
    const struct ir_step *next = pair_of(c, set, step, &behind);
    unsigned taken = 1;
    count_gas(c, set, step);
    if (next != NULL && jit_scaled_sum(&step->insn, &next->insn, &sum.insn)) {
        count_gas(c, set, next);
        sum = (struct ir_step){
            .insn = sum.insn, .len = (uint8_t)(step->len + next->len), .executes = true};
        step = &sum;
        next = pair_of(c, set, step, &behind);
    }
    const struct ir_insn *insn = &step->insn;
    *stores += step->store;
    *ending = FALLS;
    if (next != NULL && (fuse_far_jump(c, step, next) || fuse_set_branch(c, step, next))) {
        count_gas(c, set, next);
        c->pc += next->len;
        *ending = next->insn.op == IR_JALR && next->insn.rd != 0 ? LEAVES : FALLS;
        return true;
    }
    if (!step->executes) {
        ;
    } else if (ir_shape_of(insn->op) == IR_BRANCH || ir_shape_of(insn->op) == IR_BRANCH_IMM) {
        branch(c, insn);
    } else if (ir_shape_of(insn->op) == IR_CTL) {
        control(c, insn);
        *ending = ending_of(c, insn);
    } else {
        taken = jit_emit(c, insn, next != NULL ? &next->insn : NULL);
    }
    if (next != NULL && taken == 2) {
        count_gas(c, set, next);
        *stores += next->store;
        c->pc += next->len;
    } else if (step->anywhere && !step->terminator) {
        remember(c, step, native, sites);
    }
    c->pc += step->len;
    return step->terminator;
}

/* Compile the block at c->pc, where an instruction is, and move c->pc behind it. */
FOR_EACH_SET enum ending compile_block(struct jit_compiler *c, enum set set)
{
    const struct javm_native *n = c->native;
    const uint32_t start = c->pc;
    struct ir_step step;
    uint64_t stores = 0;
    uint8_t *number = NULL;
    enum ending ending = FALLS;
    const bool ecall = set != PVM && n->front.len - start >= 4 && may_be_ecall(word_at(n, start)) &&
                       decode(c, set, start, &step) && step.ecall;
    if (!ecall) {
        number = jit_open_gate(c);
    } else { /* keeps the list in step with the blocks */
        uint32_t *none = jit_note(c, &c->gates);
        if (none != NULL)
            *none = 0;
    }
    gas_begin(&c->gas);
    c->count = 0;
    for (bool last = false; !last;) {
        if (set != PVM && room_for_site(c))
            paste(c, &stores);
        if (c->e.at + JIT_INSN_ROOM > c->limit)
            c->failed = true;
        if (c->failed)
            return LEAVES;
        if (!decode(c, set, c->pc, &step) || (step.ecall && c->pc != start))
            break;
        if (c->pc != start && !may_follow(c, set, c->pc))
            jit_note_entry(c);
        last = compile_insn(c, set, &step, &stores, &ending);
    }
    if (number != NULL)
        jit_close_gate(c, number, n->front.flat ? c->count : gas_cost(&c->gas), stores);
    return ending;
}

/* ---- the region ------------------------------------------------------------------------- */

/* Upper bound of what finish_region appends. */
static uint64_t tail_room(const struct jit_compiler *c)
{
    return 256 + (uint64_t)c->gates.count * 10 + (uint64_t)c->touches.count * 15 +
           (uint64_t)c->forward.count * (6 + 32) + (uint64_t)c->slots.count * 32 +
           (uint64_t)c->entries.count * (JIT_ENTRY_ROOM + 10);
}

FOR_EACH_SET void compile_blocks(struct jit_compiler *c, enum set set)
{
    struct javm_native *n = c->native;
    uint64_t noted = c->pc; /* up to where backward jumps were looked for */
    for (;;) {
        const uint32_t pc = c->pc;
        if (c->e.at + JIT_INSN_ROOM > c->limit) {
            c->failed = true;
            return;
        }
        if (set != PVM && !pvm2_is_whole(n->front.code, n->front.len,
                                         pc)) { /* behind the last instruction: it panics there */
            leave(c, JIT_STOP, pc);
            return;
        }
        if (pc != c->entry && (pc - c->entry > REGION_MAX ||
                               (uint64_t)(c->limit - c->e.at) < tail_room(c) + BLOCK_ROOM ||
                               atomic_load_explicit(jit_place(n, pc), memory_order_relaxed) != 0)) {
            through_slot(c, false, pc);
            return;
        }
        if (set != PVM && noted < (uint64_t)pc + SCAN_AHEAD) {
            pvm2_note_heads(&n->walk, noted, (uint64_t)pc + SCAN_AHEAD + SCAN_STEP);
            noted = (uint64_t)pc + SCAN_AHEAD + SCAN_STEP;
        }
        if (set == PVM ? pvm_bit(n->targets.heads, pc) : bit_at(n->walk.heads, pc))
            align_head(c);
        jit_note_pair(c, &c->blocks, pc);
        if (c->failed || !jit_add_label(c, pc)) {
            c->failed = true;
            return;
        }
        const enum ending ending = compile_block(c, set);
        if (c->failed || (ending == LEAVES && c->pc > c->reach))
            return;
    }
}

static void tail_jump(struct jit_compiler *c, const struct jit_list *list, int32_t pointer)
{
    if (list->count == 0)
        return;
    const uint32_t *after = list->items;
    for (uint32_t i = 0; i < list->count; i++)
        x64_patch(c->begin + after[i], c->e.at);
    x64_jmp_context(&c->e, pointer);
}

static void gate_stubs(struct jit_compiler *c)
{
    const uint32_t *gates = c->gates.items;
    const struct jit_site *blocks = c->blocks.items;
    struct x64 *e = &c->e;
    uint8_t *const exit = e->at;
    x64_jmp_context(e, CONTEXT_AT(exits[JIT_OUT_OF_GAS]));
    for (uint32_t i = 0; i < c->gates.count; i++) {
        if (gates[i] == 0)
            continue;
        x64_patch(c->begin + gates[i], e->at);
        x64_put(e, 0xB9u | (uint64_t)blocks[i].pc << 8, 5);
        x64_jmp(e);
        x64_patch(e->at, exit);
    }
}

static void touch_stubs(struct jit_compiler *c)
{
    const struct jit_fixup *f = c->touches.items;
    struct x64 *e = &c->e;
    for (uint32_t i = 0; i < c->touches.count; i++) {
        x64_patch(c->begin + f[i].after, e->at);
        x64_put(e, 0x0D8D48, 3); /* lea rcx, [rip + ...] */
        x64_put32(e, 0);
        x64_patch(e->at, c->begin + f[i].target);
        x64_jmp_context(e, CONTEXT_AT(exits[JIT_TOUCH]));
    }
}

/* Forward jumps now either have their block or go through a slot. */
static void settle_forward(struct jit_compiler *c)
{
    for (uint32_t i = 0; i < c->forward.count; i++) {
        const struct jit_fixup f = ((const struct jit_fixup *)c->forward.items)[i];
        const uint32_t label = jit_label_of(c, f.target);
        if (label != 0) {
            x64_patch(c->begin + f.after, c->begin + label - 1);
            continue;
        }
        x64_patch(c->begin + f.after, c->e.at);
        c->pc = f.pc;
        through_slot(c, false, f.target);
    }
}

static void place_slots(struct jit_compiler *c, struct jit_region *r)
{
    struct x64 *e = &c->e;
    while (jit_here(c) % JIT_SLOT_STUB != 0)
        x64_put(e, 0xCC, 1);
    r->stubs_at = jit_here(c);
    r->slot_count = c->slots.count;
    r->slots_at = (r->stubs_at + r->slot_count * JIT_SLOT_STUB + 63) & ~63u;
    const struct jit_fixup *f = c->slots.items;
    for (uint32_t i = 0; i < r->slot_count; i++) {
        uint8_t *const place = c->begin + r->slots_at + i * sizeof(struct jit_slot);
        const struct jit_slot slot = {.target = f[i].target, .pc = f[i].pc};
        memcpy(place, &slot, sizeof slot);
        x64_patch(c->begin + f[i].after, place);
        x64_put(e, 0x0D8D48, 3); /* lea rcx, [rip + slot] */
        x64_put32(e, 0);
        x64_patch(e->at, place);
        x64_jmp_context(e, CONTEXT_AT(exits[JIT_SLOT]));
        x64_put(e, 0xCC, 1);
    }
    if (r->slot_count != 0)
        e->at = c->begin + r->slots_at + r->slot_count * sizeof(struct jit_slot);
}

static struct jit_region *finish_region(struct jit_compiler *c)
{
    if ((uint64_t)(c->limit - c->e.at) < tail_room(c)) {
        c->failed = true;
        return NULL;
    }
    const uint32_t natural = c->blocks.count;
    jit_place_entries(c);
    gate_stubs(c);
    touch_stubs(c);
    tail_jump(c, &c->returns, CONTEXT_AT(return_stub));
    tail_jump(c, &c->jumps, CONTEXT_AT(exits[JIT_JUMP]));
    settle_forward(c);
    if (c->failed)
        return NULL;
    struct jit_region *r = malloc(jit_region_bytes(c->blocks.count, c->sites.count));
    if (r == NULL) {
        c->failed = c->starved = true;
        return NULL;
    }
    *r = (struct jit_region){.pc_first = c->entry,
                             .block_count = c->blocks.count,
                             .site_count = c->sites.count,
                             .entry_count = c->blocks.count - natural};
    r->blocks = (struct jit_site *)(r + 1);
    r->sites = r->blocks + r->block_count;
    if (c->blocks.count != 0)
        memcpy(r->blocks, c->blocks.items, c->blocks.count * sizeof *r->blocks);
    if (c->sites.count != 0)
        memcpy(r->sites, c->sites.items, c->sites.count * sizeof *r->sites);
    place_slots(c, r);
    r->code_len = jit_here(c);
    return r;
}

/* One attempt, with the room that the buffer has. */
static struct jit_region *attempt(struct jit_compiler *c, uint32_t entry)
{
    c->begin = c->e.at = c->buffer.arena->writable + c->buffer.at;
    c->limit = c->buffer.arena->writable + c->buffer.end;
    c->failed = c->starved = false;
    c->pc = c->entry = c->reach = entry;
    c->blocks.count = c->sites.count = c->gates.count = c->forward.count = 0;
    c->slots.count = c->returns.count = c->jumps.count = c->touches.count = 0;
    c->entries.count = 0;
    if (c->label_count != 0)
        memset(c->labels, 0, c->label_count * sizeof *c->labels);
    c->label_count = 0;
    if (c->pvm)
        compile_blocks(c, PVM);
    else
        compile_blocks(c, PVM2);
    if (c->failed)
        return NULL;
    const uint32_t end = c->pc;
    struct jit_region *r = finish_region(c);
    if (r != NULL)
        r->pc_end = end;
    return r;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

struct jit_region *jit_compile(struct jit_compiler *c, struct javm_native *n, uint32_t entry)
{
    if (n->too_large)
        return NULL;
    const uint64_t start = now_ns();
    c->native = n;
    c->features = n->jit->features;
    c->cow = n->front.key.cow_cost != 0;
    c->pvm = front_is_pvm(&n->front);
    c->memo_kind = jit_memo_kind(n->front.memory_cycles, c->cow);
    for (uint32_t room = FIRST_ROOM; room <= MOST_ROOM;) {
        if (!jit_buffer_reserve(&c->buffer, room))
            return NULL;
        const uint32_t had = c->buffer.end - c->buffer.at;
        struct jit_region *r = attempt(c, entry);
        if (r != NULL) {
            r->code_at = jit_buffer_commit(&c->buffer, r->code_len);
            jit_reset_slots(c->buffer.arena, r);
            n->compiled_bytes += r->pc_end - r->pc_first;
            n->compile_ns += now_ns() - start;
            return r;
        }
        if (c->starved)
            return NULL;
        do
            room *= 4;
        while (room <= had); /* all of the buffer was used already */
    }
    n->too_large = true;
    return NULL;
}
