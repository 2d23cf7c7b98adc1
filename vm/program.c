/* Decoding a whole program: the linear walk, block starts and costs (spec: PVM2 sections 3, 6, 9),
 * lowered on the way to the internal form. */
#include <stdlib.h>
#include <string.h>

#include "vm/interp.h"
#include "vm/ir.h"
#include "vm/lower_pvm2.h"

const char *const ir_op_names[IR_OP_COUNT] = {
#define X(name, shape) #name,
    IR_OPS(X)
#undef X
};

struct builder {
    struct javm_program *program;
    uint32_t insn_room, block_room;
    struct gas_pipeline gas;
    bool failed; /* an allocation failed; everything after it is ignored */
};

static void *grow(struct builder *b, void *array, uint32_t *room, size_t size)
{
    uint64_t more = (uint64_t)*room + *room / 2 + 64;
    void *bigger = more > UINT32_MAX ? NULL : realloc(array, (size_t)more * size);
    if (bigger == NULL)
        b->failed = true;
    else
        *room = (uint32_t)more;
    return bigger;
}

static void emit(struct builder *b, const struct ir_insn *insn, uint64_t offset)
{
    struct javm_program *p = b->program;
    if (b->failed) /* one list may have grown without the other */
        return;
    if (p->count == b->insn_room) {
        uint32_t room = b->insn_room;
        void *insns = grow(b, p->insns, &b->insn_room, sizeof *p->insns);
        if (insns == NULL)
            return;
        p->insns = insns;
        void *pcs = grow(b, p->pcs, &room, sizeof *p->pcs);
        if (pcs == NULL)
            return;
        p->pcs = pcs;
    }
    p->pcs[p->count] = (uint32_t)offset;
    p->insns[p->count++] = *insn;
}

static void emit_op(struct builder *b, enum ir_op op, int64_t imm, uint64_t offset)
{
    const struct ir_insn insn = {.op = (uint16_t)op, .imm = imm};
    emit(b, &insn, offset);
}

/* The header's gas is filled in when the block ends. */
static void open_block(struct builder *b, uint64_t offset, bool reserve)
{
    struct javm_program *p = b->program;
    if (p->block_count == b->block_room) {
        void *blocks = grow(b, p->blocks, &b->block_room, sizeof *p->blocks);
        if (blocks == NULL)
            return;
        p->blocks = blocks;
    }
    p->blocks[p->block_count++] = (struct ir_block){.header = p->count};
    p->landing[offset / 2] = p->count;
    emit_op(b, IR_BLOCK, 0, offset);
    if (reserve)
        emit_op(b, IR_RESERVE, 0, offset);
    gas_begin(&b->gas);
}

static void close_block(struct builder *b, bool ecall)
{
    struct javm_program *p = b->program;
    if (p->block_count == 0 || b->failed)
        return;
    struct ir_block *block = &p->blocks[p->block_count - 1];
    if (!ecall)
        block->cost = gas_cost(&b->gas);
    uint64_t reserve = 0;
    if (p->key.cow_cost != 0 &&
        __builtin_mul_overflow(p->key.cow_cost, 2 * (uint64_t)block->stores, &reserve))
        reserve = UINT64_MAX - block->cost;
    uint64_t need;
    if (__builtin_add_overflow(block->cost, reserve, &need)) {
        need = UINT64_MAX;
        reserve = need - block->cost;
    }
    p->insns[block->header].imm = (int64_t)need;
    if (p->key.cow_cost != 0 && !ecall) /* the IR_RESERVE behind the header */
        p->insns[block->header + 1].imm = (int64_t)reserve;
}

static void walk(struct builder *b)
{
    struct javm_program *p = b->program;
    const uint32_t memory_cycles = gas_memory_cycles(p->key.footprint_pages);
    const bool cow = p->key.cow_cost != 0;
    uint64_t offset = 0;
    bool start = true, open = false, ecall_block = false;
    struct pvm2_step step;
    while (!b->failed && pvm2_next(p->code, p->code_len, offset, memory_cycles, &step)) {
        if (start || step.ecall) {
            if (open)
                close_block(b, ecall_block);
            open_block(b, offset, cow && !step.ecall);
            if (b->failed)
                return;
            open = true;
            ecall_block = step.ecall;
        }
        if (!step.ecall)
            gas_add(&b->gas, &step.row);
        p->blocks[p->block_count - 1].stores += step.store;
        if (step.executes)
            emit(b, &step.insn, offset);
        start = step.terminator;
        offset += step.len;
        p->instructions++;
    }
    if (open)
        close_block(b, ecall_block);
    p->end = offset;
    /* Whatever runs on past the end lands here: free of charge, then a panic. */
    emit_op(b, IR_BLOCK, 0, offset);
    emit_op(b, IR_END, 0, offset);
}

/* Turn byte offsets of targets into distances between headers. */
static void link_branches(struct javm_program *p)
{
    for (uint32_t i = 1; i < p->count; i++) {
        struct ir_insn *insn = &p->insns[i];
        if (insn->op < IR_BEQ || insn->op > IR_JAL || insn->hi == IR_NO_TARGET)
            continue;
        uint32_t header = program_landing(p, (uint32_t)insn->hi);
        int64_t distance = ((int64_t)header - (int64_t)i) * (int64_t)sizeof *insn;
        insn->hi = header == 0 || distance > INT32_MAX || distance <= INT32_MIN ? IR_NO_TARGET
                                                                                : (int32_t)distance;
    }
}

static void *shrink(void *array, size_t size)
{
    void *smaller = realloc(array, size);
    return smaller != NULL ? smaller : array;
}

enum javm_status javm_program_decode_pvm2(const uint8_t *code, uint64_t code_len,
                                          const struct javm_program_key *key,
                                          struct javm_program **program, struct javm_error *err)
{
    if (code_len > JAVM_CODE_MAX)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE, "code: %llu bytes, at most %u",
                         (unsigned long long)code_len, JAVM_CODE_MAX);
    struct javm_program *p = calloc(1, sizeof *p);
    if (p == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "program: out of memory");
    struct builder b = {.program = p, .insn_room = (uint32_t)(code_len / 3 + 16)};
    p->code = code;
    p->code_len = code_len;
    p->key = *key;
    p->landing_count = code_len / 2;
    p->landing = calloc(p->landing_count + 1, sizeof *p->landing);
    p->insns = malloc(b.insn_room * sizeof *p->insns);
    p->pcs = malloc(b.insn_room * sizeof *p->pcs);
    if (p->landing == NULL || p->insns == NULL || p->pcs == NULL) {
        b.failed = true;
    } else {
        emit_op(&b, IR_END, 0, 0); /* index 0 is nobody's landing place */
        walk(&b);
    }
    if (b.failed) {
        javm_program_free(p);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE,
                         "program: out of memory for %llu bytes of code",
                         (unsigned long long)code_len);
    }
    link_branches(p);
    p->insns = shrink(p->insns, p->count * sizeof *p->insns);
    p->pcs = shrink(p->pcs, p->count * sizeof *p->pcs);
    if (p->block_count != 0)
        p->blocks = shrink(p->blocks, p->block_count * sizeof *p->blocks);
    interp_prepare(p);
    *program = p;
    return JAVM_OK;
}

void javm_program_free(struct javm_program *program)
{
    if (program == NULL)
        return;
    free(program->insns);
    free(program->pcs);
    free(program->landing);
    free(program->blocks);
    free(program);
}

uint64_t javm_program_bytes(const struct javm_program *p)
{
    return sizeof *p + p->count * (uint64_t)(sizeof *p->insns + sizeof *p->pcs) +
           (p->landing_count + 1) * sizeof *p->landing + p->block_count * sizeof *p->blocks;
}

uint64_t javm_program_end(const struct javm_program *program)
{
    return program->end;
}

uint64_t javm_program_instructions(const struct javm_program *program)
{
    return program->instructions;
}

uint64_t javm_program_blocks(const struct javm_program *program)
{
    return program->block_count;
}

void javm_program_block(const struct javm_program *program, uint64_t i,
                        struct javm_block_info *info)
{
    const struct ir_block *block = &program->blocks[i];
    uint16_t first = program->insns[block->header + 1].op;
    *info = (struct javm_block_info){.start = program->pcs[block->header],
                                     .cost = block->cost,
                                     .stores = block->stores,
                                     .ecall = first == IR_ECALLI || first == IR_ECALL_JAR};
}

bool javm_program_is_start(const struct javm_program *program, uint64_t offset)
{
    return program_landing(program, offset) != 0;
}
