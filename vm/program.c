/* Decoding a whole program: the linear walk, block starts and costs (spec: PVM2 sections 3, 6, 9,
 * PVM sections 2, 5, 8), lowered on the way to the internal form. */
#include <stdlib.h>
#include <string.h>

#include "vm/program.h"

const char *const ir_op_names[IR_OP_COUNT] = {
#define X(name, shape) #name,
    IR_OPS(X)
#undef X
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

void program_emit(struct builder *b, const struct ir_insn *insn, uint64_t offset)
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

void program_emit_op(struct builder *b, enum ir_op op, int64_t imm, uint64_t offset)
{
    const struct ir_insn insn = {.op = (uint16_t)op, .imm = imm};
    program_emit(b, &insn, offset);
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
    p->landing[offset >> p->front.shift] = p->count;
    program_emit_op(b, IR_BLOCK, 0, offset);
    if (reserve)
        program_emit_op(b, IR_RESERVE, 0, offset);
    gas_begin(&b->gas);
    b->count = 0;
}

static void close_block(struct builder *b, bool ecall)
{
    struct javm_program *p = b->program;
    if (p->block_count == 0 || b->failed)
        return;
    struct ir_block *block = &p->blocks[p->block_count - 1];
    if (!ecall)
        block->cost = p->front.flat ? b->count : gas_cost(&b->gas);
    uint64_t reserve = 0;
    if (p->front.key.cow_cost != 0 &&
        __builtin_mul_overflow(p->front.key.cow_cost, 2 * (uint64_t)block->stores, &reserve))
        reserve = UINT64_MAX - block->cost;
    uint64_t need;
    if (__builtin_add_overflow(block->cost, reserve, &need)) {
        need = UINT64_MAX;
        reserve = need - block->cost;
    }
    p->insns[block->header].imm = (int64_t)need;
    if (p->front.key.cow_cost != 0 && !ecall) /* the IR_RESERVE behind the header */
        p->insns[block->header + 1].imm = (int64_t)reserve;
}

static void walk(struct builder *b)
{
    struct javm_program *p = b->program;
    const bool cow = p->front.key.cow_cost != 0;
    uint64_t offset = 0;
    bool start = true, open = false, ecall_block = false;
    struct ir_step step;
    while (!b->failed && front_next(&p->front, offset, &step)) {
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
            front_add(&b->gas, &step);
        b->count++;
        p->blocks[p->block_count - 1].stores += step.store;
        if (step.executes)
            program_emit(b, &step.insn, offset);
        start = step.terminator;
        if (offset >= p->front.len) { /* PVM's end, which is a trap */
            close_block(b, false);
            p->end = offset;
            return;
        }
        offset += step.len;
        p->instructions++;
    }
    if (open)
        close_block(b, ecall_block);
    p->end = offset;
    /* Whatever runs on past the end lands here: free of charge, then a panic. */
    program_emit_op(b, IR_BLOCK, 0, offset);
    program_emit_op(b, IR_END, 0, offset);
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

static bool prepare_arrays(struct builder *b, uint64_t code_len)
{
    struct javm_program *p = b->program;
    p->landing_count = (code_len >> p->front.shift) + front_is_pvm(&p->front);
    p->landing = calloc(p->landing_count + 1, sizeof *p->landing);
    p->insns = malloc(b->insn_room * sizeof *p->insns);
    p->pcs = malloc(b->insn_room * sizeof *p->pcs);
    return p->landing != NULL && p->insns != NULL && p->pcs != NULL;
}

enum javm_status javm_program_decode(const uint8_t *code, uint64_t code_len,
                                     const struct javm_program_key *key,
                                     struct javm_program **program, struct javm_error *err)
{
    enum javm_status status = front_check(code_len, key, err);
    if (status != JAVM_OK)
        return status;
    struct javm_program *p = calloc(1, sizeof *p);
    if (p == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "program: out of memory");
    struct builder b = {.program = p, .insn_room = (uint32_t)(code_len / 3 + 16)};
    p->front = front_of(code, code_len, key);
    if (!prepare_arrays(&b, code_len)) {
        b.failed = true;
    } else {
        program_emit_op(&b, IR_END, 0, 0); /* index 0 is nobody's landing place */
        walk(&b);
        p->straight = p->count;
        if (front_is_pvm(&p->front))
            program_add_entries(&b);
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
    free(program->jumps);
    free(program->blocks);
    free(program);
}

uint64_t javm_program_bytes(const struct javm_program *p)
{
    return sizeof *p + p->count * (uint64_t)(sizeof *p->insns + sizeof *p->pcs) +
           (p->landing_count + 1) * sizeof *p->landing +
           p->front.key.jump_count * sizeof *p->jumps + p->block_count * sizeof *p->blocks;
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
