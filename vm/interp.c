/* The interpreter: direct-threaded code over the internal form.
 *
 * The register file is a local array, so that a guest register is one host access with a scaled
 * index. A result that is used by the next instruction would wait there for a store to be forwarded
 * to a load, which takes longer than the operation; so each handler also leaves its result in the
 * local `acc`, and each operation has several handlers: operands from the file (N), the first one
 * from acc (A), the second one from acc (B), the first one where the result goes (M: one index less
 * to load), that and the second one from acc (C). Groups of handlers that often follow each other
 * are fused (interp_groups.h). Which handler runs where is chosen once, by interp_prepare.
 *
 * Handlers end in an indirect jump of their own, which gives the branch predictor one site each.
 * Everything unusual leaves through a label: `touch` makes memory ready and runs the plain
 * operation again, or faults. Gas lives in a local and is written back at the exit. */
#include "vm/interp.h"

#include "vm/interp_ops.h"
#include "vm/memory.h"
#include "vm/pvm.h"
#include "vm/pvm_exec.h"

#ifdef INTERP_PROFILE
/* bench/profile.c counts how often each place is run, with nothing fused. */
#include "vm/profile.h"
#define IR_GROUP_MAX 2
#define IR_GROUPS(X2, X3, X4)
#elif defined(INTERP_CHECKED)
/* For sanitizers, under which compilers take minutes over the full list and over a jump in each
 * handler: one group of each size, and one jump for all (see NEXT). */
#define IR_GROUP_MAX 4
/* clang-format off */
#define IR_GROUPS(X2, X3, X4) \
    X2(LD, N, ADD, A) X3(LD, N, ADD, A, SD, B) X4(LD, N, ADD, A, SD, B, ADDI, M) \
    X2(ADDI, M, BNE, A) X2(XOR, N, RORI, A)
/* clang-format on */
#else
#include "vm/interp_groups.h"
#endif

#ifndef INTERP_RUN
#define INTERP_RUN interp_run_plain
#endif

/* What `run` can hold. The N handler of an operation has the operation's own number. */
enum {
    RUN_N = 0,
    RUN_A = IR_OP_COUNT,
    RUN_B = 2 * IR_OP_COUNT,
    RUN_M = 3 * IR_OP_COUNT,
    RUN_C = 4 * IR_OP_COUNT,
    RUN_BAD_BRANCH = 5 * IR_OP_COUNT, /* a branch whose target is no block */
#define X2(a, v1, b, v2)               RUN_##a##v1##_##b##v2,
#define X3(a, v1, b, v2, c, v3)        RUN_##a##v1##_##b##v2##_##c##v3,
#define X4(a, v1, b, v2, c, v3, d, v4) RUN_##a##v1##_##b##v2##_##c##v3##_##d##v4,
    IR_GROUPS(X2, X3, X4)
#undef X2
#undef X3
#undef X4
        RUN_COUNT
};
_Static_assert(RUN_COUNT <= UINT16_MAX, "run is 16 bits wide");

void INTERP_RUN(struct javm_exec *exec);

/* What a load makes of the low bytes it read. */
static uint64_t extend(uint16_t op, uint64_t raw)
{
    switch (op) {
    case IR_LB:
        return U64((int64_t)(int8_t)raw);
    case IR_LH:
        return U64((int64_t)(int16_t)raw);
    case IR_LW:
        return W(raw);
    default:
        return raw;
    }
}

/* Leave the fast path at instruction I. */
#define LEAVE(I, label) \
    do {                \
        ip = (I);       \
        goto label;     \
    } while (0)

#define D(I, value)       \
    do {                  \
        acc = (value);    \
        r[(I)->rd] = acc; \
    } while (0)

#ifdef INTERP_PROFILE
#define NEXT                  \
    do {                      \
        counts[ip - insns]++; \
        goto *run[ip->run];   \
    } while (0)
#elif defined(INTERP_CHECKED)
#define NEXT goto dispatch
#else
#define NEXT goto *run[ip->run]
#endif

/* Instantiate an operation with its operands: variant letter, instruction. */
#define OPERANDS_N(name, I) BODY_##name(I, r[(I)->ra], r[(I)->rb])
#define OPERANDS_A(name, I) BODY_##name(I, acc, r[(I)->rb])
#define OPERANDS_B(name, I) BODY_##name(I, r[(I)->ra], acc)
#define OPERANDS_M(name, I) BODY_##name(I, r[(I)->rd], r[(I)->rb])
#define OPERANDS_C(name, I) BODY_##name(I, r[(I)->rd], acc)

#define OLD(I) r[(I)->rd]

#define HANDLER(name, variant)                         \
    do_##name##variant : OPERANDS_##variant(name, ip); \
    ip++;                                              \
    NEXT;

/* For the rare branch to no block start, where the answer decides between going on and a panic. */
static bool branch_taken(const struct ir_insn *insn, uint64_t a, uint64_t b)
{
    switch (insn->op) {
#define CASE_BR(name) \
    case IR_##name:   \
        return TEST_##name(a, b);
#define CASE_BI(name) \
    case IR_##name:   \
        return TEST_##name(insn, a);
#define CASE_R3(name)
#define CASE_R2(name)
#define CASE_RI(name)
#define CASE_LI(name)
#define CASE_LD(name)
#define CASE_ST(name)
#define CASE_SI(name)
#define CASE_CTL(name)
#define X(name, shape) CASE_##shape(name)
        IR_OPS(X)
#undef X
    default: /* jumps */
        return true;
    }
}

/* Handlers by operand shape: only the variants that the shape can have. */
#define VARIANTS_R3(name) \
    HANDLER(name, N) HANDLER(name, A) HANDLER(name, B) HANDLER(name, M) HANDLER(name, C)
#define VARIANTS_R2(name)  HANDLER(name, N) HANDLER(name, A) HANDLER(name, M)
#define VARIANTS_RI(name)  VARIANTS_R2(name)
#define VARIANTS_LI(name)  HANDLER(name, N)
#define VARIANTS_LD(name)  HANDLER(name, N) HANDLER(name, A)
#define VARIANTS_ST(name)  HANDLER(name, N) HANDLER(name, A) HANDLER(name, B)
#define VARIANTS_BR(name)  HANDLER(name, N) HANDLER(name, A) HANDLER(name, B)
#define VARIANTS_SI(name)  HANDLER(name, N) HANDLER(name, A)
#define VARIANTS_BI(name)  VARIANTS_SI(name)
#define VARIANTS_CTL(name) /* written out below */

#define LABEL(name, variant) [RUN_##variant + IR_##name] = &&do_##name##variant,
#define LABELS_R3(name)      LABEL(name, N) LABEL(name, A) LABEL(name, B) LABEL(name, M) LABEL(name, C)
#define LABELS_R2(name)      LABEL(name, N) LABEL(name, A) LABEL(name, M)
#define LABELS_RI(name)      LABELS_R2(name)
#define LABELS_LI(name)      LABEL(name, N)
#define LABELS_LD(name)      LABEL(name, N) LABEL(name, A)
#define LABELS_ST(name)      LABEL(name, N) LABEL(name, A) LABEL(name, B)
#define LABELS_BR(name)      LABELS_ST(name)
#define LABELS_SI(name)      LABELS_LD(name)
#define LABELS_BI(name)      LABELS_LD(name)
#define LABELS_CTL(name)     LABEL(name, N)

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wgnu-label-as-value"
#else
#pragma GCC diagnostic ignored "-Wpedantic"
#endif

void INTERP_RUN(struct javm_exec *exec)
{
    static const void *const run[RUN_COUNT] = {
#define X(name, shape) LABELS_##shape(name)
        IR_OPS(X)
#undef X
#define X2(a, v1, b, v2) [RUN_##a##v1##_##b##v2] = &&do_##a##v1##_##b##v2,
#define X3(a, v1, b, v2, c, v3) \
    [RUN_##a##v1##_##b##v2##_##c##v3] = &&do_##a##v1##_##b##v2##_##c##v3,
#define X4(a, v1, b, v2, c, v3, d, v4) \
    [RUN_##a##v1##_##b##v2##_##c##v3##_##d##v4] = &&do_##a##v1##_##b##v2##_##c##v3##_##d##v4,
            IR_GROUPS(X2, X3, X4)
#undef X2
#undef X3
#undef X4
                [RUN_BAD_BRANCH] = &&bad_branch,
    };
    const struct javm_program *program = exec->program;
    const struct ir_insn *const insns = program->insns;
    const uint32_t *const landing = program->landing;
    const uint32_t landing_count = (uint32_t)program->landing_count;
    uint8_t *const base = exec->memory->base;
    const uint8_t *const access = exec->memory->access;
#ifdef INTERP_PROFILE
    uint64_t *const counts = profile_counts(program);
#endif
    uint64_t gas = exec->gas;
    uint64_t acc = 0;
    uint64_t r[IR_REGS];
    memcpy(r, exec->regs, sizeof exec->regs);
    r[IR_ZERO] = r[IR_SINK] = 0;

    const struct ir_insn *ip = insns + program_landing(program, exec->pc);
    exec->exit_arg = 0;
    exec->fault_addr = 0;
    exec->fault_write = false;
    if (ip == insns) {
        const uint32_t at = interp_enter(exec);
        if (at == 0)
            return;
        gas = exec->gas;
        ip = insns + at;
        acc = r[interp_held(program, at)];
        NEXT;
    }
    ENTER(ip);
#ifdef INTERP_CHECKED
dispatch:
    goto *run[ip->run];
#endif

#define X(name, shape) VARIANTS_##shape(name)
    IR_OPS(X)
#undef X

#define X2(a, v1, b, v2)                         \
    do_##a##v1##_##b##v2 : OPERANDS_##v1(a, ip); \
    OPERANDS_##v2(b, ip + 1);                    \
    ip += 2;                                     \
    NEXT;
#define X3(a, v1, b, v2, c, v3)                            \
    do_##a##v1##_##b##v2##_##c##v3 : OPERANDS_##v1(a, ip); \
    OPERANDS_##v2(b, ip + 1);                              \
    OPERANDS_##v3(c, ip + 2);                              \
    ip += 3;                                               \
    NEXT;
#define X4(a, v1, b, v2, c, v3, d, v4)                               \
    do_##a##v1##_##b##v2##_##c##v3##_##d##v4 : OPERANDS_##v1(a, ip); \
    OPERANDS_##v2(b, ip + 1);                                        \
    OPERANDS_##v3(c, ip + 2);                                        \
    OPERANDS_##v4(d, ip + 3);                                        \
    ip += 4;                                                         \
    NEXT;
    IR_GROUPS(X2, X3, X4)
#undef X2
#undef X3
#undef X4

do_JUMPN:
    BODY_JUMP(ip, 0, 0);
do_LI_JUMPN:
    BODY_LI_JUMP(ip, 0, 0);
do_JALN:
    BODY_JAL(ip, 0, 0);
do_JALRN:
    BODY_JALR(ip, r[ip->ra], 0);
do_DJUMPN:
    BODY_DJUMP(ip, r[ip->ra], 0);
do_LI_DJUMPN:
    BODY_LI_DJUMP(ip, r[ip->ra], 0);
do_SBRKN:
    D(ip, memory_grow(exec->memory, &exec->heap, r[ip->ra]));
    if (exec->memory->failed)
        goto leave;
    ip++;
    NEXT;
do_MEMSETN : {
    uint64_t left = gas; /* gas has no address, so that it is a register everywhere */
    const bool done = pvm_memset(exec, &program->front, &r[7], &left, false);
    gas = left;
    if (!done)
        goto leave;
    ENTER(ip + 1);
}
do_GOTON:
    acc = r[ip->ra];
    ip = TARGET(ip);
    NEXT;
do_BLOCKN:
    ENTER(ip);
do_RESERVEN:
    gas += IMM(ip);
    ip++;
    NEXT;

no_entry : {
    const bool links = ip->op == IR_LI_DJUMP;
    if ((uint32_t)(r[ip->ra] + U64((int64_t)(links ? ip->hi : ip->lo))) == PVM_HALT)
        goto halt;
    if (links)
        D(ip, U64((int64_t)ip->lo));
    goto panic;
}

bad_branch : {
    const bool taken = branch_taken(ip, r[ip->ra], r[ip->rb]);
    if (ip->op == IR_JAL)
        D(ip, (uint32_t)ip->lo);
    else if (ip->op == IR_LI_JUMP)
        D(ip, U64((int64_t)ip->lo));
    if (!taken)
        ENTER(ip + 1);
    goto panic;
}

touch : {
    const bool write = ir_writes_memory(ip->op);
    const uint32_t width = ir_access_width(ip->op);
    const uint64_t address = r[ip->ra] + U64(ir_displacement(ip));
    uint64_t cost;
    if (memory_touch_charged(exec->memory, (uint32_t)address, width, write,
                             program->front.key.cow_cost, &cost)) {
        gas -= cost; /* the block's reserve covers it */
        /* The pages are ready, and neighbours in the reservation as in the guest. */
        if (write) {
            const int64_t imm = ip->hi;
            const void *value =
                ir_shape_of(ip->op) == IR_STORE_IMM ? (const void *)&imm : &r[ip->rb];
            memcpy(base + (uint32_t)address, value, width);
        } else {
            uint64_t raw = 0;
            memcpy(&raw, base + (uint32_t)address, width);
            D(ip, extend(ip->op, raw));
        }
        ip++;
        NEXT;
    }
    exec->exit = JAVM_EXIT_PAGE_FAULT;
    exec->exit_arg = (int64_t)((uint32_t)address & ~(JAVM_PAGE_SIZE - 1));
    exec->fault_addr = (uint32_t)address;
    exec->fault_write = write;
    goto leave;
}

out_of_gas:
    exec->exit = JAVM_EXIT_OUT_OF_GAS;
    goto leave;
do_ECALLIN:
    exec->exit = JAVM_EXIT_HOST_CALL;
    exec->exit_arg = ip->imm;
    goto leave;
do_ECALL_JARN:
    exec->exit = JAVM_EXIT_ECALL_JAR;
    goto leave;
halt:
    exec->exit = JAVM_EXIT_HALT;
    goto leave;
do_TRAPN:
    exec->exit = JAVM_EXIT_TRAP;
    goto leave;
do_RESERVEDN:
do_ENDN:
panic:
    exec->exit = JAVM_EXIT_PANIC;
leave:
    exec->pc = program->pcs[ip - insns];
    exec->gas = gas;
    memcpy(exec->regs, r, sizeof exec->regs);
}

#ifdef INTERP_PREPARE

/* ---- choosing handlers ------------------------------------------------------------------ */

/* Fused groups, built from the left: (handler, handler that follows) -> handler for both, where the
 * first may be a group itself. An open-addressed table, filled at load time. */
#define FUSE_SLOTS 4096u
static struct {
    uint16_t first, second, fused;
} fuse_table[FUSE_SLOTS];

static uint32_t fuse_slot(uint16_t first, uint16_t second)
{
    uint32_t at = ((first * 40503u + second) * 2654435761u >> 12) % FUSE_SLOTS;
    while (fuse_table[at].fused != 0 &&
           (fuse_table[at].first != first || fuse_table[at].second != second))
        at = (at + 1) % FUSE_SLOTS;
    return at;
}

/* 0 when the two are not fused. */
static uint16_t fuse(uint16_t first, uint16_t second)
{
    return fuse_table[fuse_slot(first, second)].fused;
}

/* Unused when profiling, where no groups are. */
__attribute__((unused)) static void add_group(uint16_t first, uint16_t second, uint16_t fused)
{
    uint32_t at = fuse_slot(first, second);
    fuse_table[at].first = first;
    fuse_table[at].second = second;
    fuse_table[at].fused = fused;
}

__attribute__((constructor)) static void fill_groups(void)
{
    _Static_assert(RUN_COUNT - RUN_BAD_BRANCH < FUSE_SLOTS / 2, "the table must stay sparse");
#define X2(a, v1, b, v2) add_group(RUN_##v1 + IR_##a, RUN_##v2 + IR_##b, RUN_##a##v1##_##b##v2);
#define X3(a, v1, b, v2, c, v3) \
    add_group(RUN_##a##v1##_##b##v2, RUN_##v3 + IR_##c, RUN_##a##v1##_##b##v2##_##c##v3);
#define X4(a, v1, b, v2, c, v3, d, v4)                            \
    add_group(RUN_##a##v1##_##b##v2##_##c##v3, RUN_##v4 + IR_##d, \
              RUN_##a##v1##_##b##v2##_##c##v3##_##d##v4);
    IR_GROUPS(X2, X3, X4)
#undef X2
#undef X3
#undef X4
}

#define NO_REG IR_REGS

/* The handler of one instruction, given the register whose value acc holds. */
static uint16_t choose_variant(const struct ir_insn *insn, enum ir_shape shape, uint8_t held)
{
    if (insn->op >= IR_BEQ && insn->op <= IR_JAL && insn->hi == IR_NO_TARGET)
        return RUN_BAD_BRANCH;
    if (shape == IR_SHAPE_LI || shape == IR_CTL)
        return insn->op;
    const bool two = shape == IR_R3 || shape == IR_STORE || shape == IR_BRANCH;
    const bool in_place = shape <= IR_RI && insn->ra == insn->rd;
    if (held != NO_REG && insn->ra == held)
        return (uint16_t)(RUN_A + insn->op);
    if (held != NO_REG && two && insn->rb == held)
        return (uint16_t)((in_place ? RUN_C : RUN_B) + insn->op);
    return (uint16_t)((in_place ? RUN_M : RUN_N) + insn->op);
}

static bool writes(enum ir_shape shape)
{
    return shape <= IR_LOAD;
}

/* Tell each way into the middle of a block what to bring in acc. They are in the order of where
 * they lead, so that each looks back no further than to the one before. */
static void hold_for_entries(struct javm_program *program)
{
    struct ir_insn *insns = program->insns;
    uint32_t last = 0;
    uint8_t held = IR_ZERO;
    for (uint32_t i = program->straight; i < program->count; i++) {
        if (insns[i].op != IR_GOTO)
            continue;
        const uint32_t to = (uint32_t)((int64_t)i + insns[i].hi / (int32_t)sizeof *insns);
        uint32_t at = to;
        while (at > last && ir_writes_memory(insns[at - 1].op))
            at--;
        if (at > last)
            held = writes(ir_shape_of(insns[at - 1].op)) ? insns[at - 1].rd : IR_ZERO;
        insns[i].ra = held;
        last = to;
    }
}

void interp_prepare(struct javm_program *program)
{
    struct ir_insn *insns = program->insns;
    uint8_t held = NO_REG;
    for (uint32_t i = 0; i < program->count; i++) {
        const enum ir_shape shape = ir_shape_of(insns[i].op);
        insns[i].run = choose_variant(&insns[i], shape, held);
        if (writes(shape))
            held = insns[i].rd;
        else if (shape != IR_STORE && shape != IR_STORE_IMM)
            held = NO_REG; /* stores leave acc alone; a header starts anew */
    }
    hold_for_entries(program);
    /* Backwards: the fewest dispatches from each place to the end of its block. Each place keeps a
     * complete handler of its own, so a group may also begin in the middle of another. cost[k] and
     * single[k] are those of place i + 1 + k; single is 0 from the end of the block on. */
    uint32_t cost[IR_GROUP_MAX] = {0};
    uint16_t single[IR_GROUP_MAX] = {0};
    for (uint32_t i = program->count; i-- > 0;) {
        const uint16_t own = insns[i].run;
        uint16_t group = own;
        uint32_t best = cost[0];
        for (unsigned k = 0; k + 1 < IR_GROUP_MAX && single[k] != 0; k++) {
            group = fuse(group, single[k]);
            if (group == 0)
                break;
            if (cost[k + 1] <= best) {
                best = cost[k + 1];
                insns[i].run = group;
            }
        }
        const bool header = insns[i].op == IR_BLOCK;
        for (unsigned k = IR_GROUP_MAX - 1; k > 0; k--) {
            cost[k] = header ? 0 : cost[k - 1];
            single[k] = header ? 0 : single[k - 1];
        }
        cost[0] = header ? 0 : best + 1;
        single[0] = header ? 0 : own;
    }
}
#endif
