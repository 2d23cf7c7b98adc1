#include "vm/pvm_encode.h"

#include "vm/pvm_rows.h"

enum { BASED, ABSOLUTE };

void pvm_opcodes_of_jar1(struct pvm_opcodes *opcodes)
{
    *opcodes = (struct pvm_opcodes){.at = {{0}}};
    for (unsigned i = 0; i < 256; i++) {
        const struct pvm_row *row = &pvm_rows[i];
        const bool absolute =
            row->format == LOAD_AT || row->format == STORE_AT || row->format == STORE_II;
        /* Of two (load_imm, load_imm_64) the one with the larger number is the shorter. */
        if (row->valid && row->executes)
            opcodes->at[absolute ? ABSOLUTE : BASED][row->op] = (uint8_t)i;
    }
}

static uint8_t opcode_of(const struct pvm_opcodes *opcodes, const struct ir_insn *insn)
{
    const enum ir_shape shape = ir_shape_of(insn->op);
    const bool memory = shape == IR_LOAD || shape == IR_STORE || shape == IR_STORE_IMM;
    return opcodes->at[memory && insn->ra == IR_ZERO ? ABSOLUTE : BASED][insn->op];
}

static bool is_register(unsigned r)
{
    return r < JAVM_NUM_REGS;
}

bool pvm_encodes(const struct pvm_opcodes *opcodes, const struct ir_insn *insn)
{
    const uint8_t opcode = opcode_of(opcodes, insn);
    const uint8_t has = ir_operands[insn->op];
    const bool absolute = opcode == opcodes->at[ABSOLUTE][insn->op] && opcode != 0;
    if (insn->op == IR_LI)
        return is_register(insn->rd);
    if ((opcode == 0 && insn->op != IR_TRAP) || ((has & IR_HAS_D) != 0 && !is_register(insn->rd)) ||
        ((has & IR_HAS_A) != 0 && !is_register(insn->ra) && !absolute) ||
        ((has & IR_HAS_B) != 0 && !is_register(insn->rb)))
        return false;
    const enum ir_shape shape = ir_shape_of(insn->op);
    return (shape != IR_RI && shape != IR_LOAD && shape != IR_STORE) ||
           insn->imm == (int32_t)insn->imm;
}

uint32_t pvm_imm_bytes(int32_t value)
{
    uint32_t n = 0;
    while (n < 4 && (n == 0 ? value != 0
                            : value != (int32_t)((uint32_t)value << (32 - 8 * n)) >> (32 - 8 * n)))
        n++;
    return n;
}

struct output {
    uint8_t *bytes;
    uint32_t len;
};

static void put(struct output *out, uint32_t byte)
{
    out->bytes[out->len++] = (uint8_t)byte;
}

static void put_imm(struct output *out, int64_t value, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        put(out, (uint32_t)((uint64_t)value >> 8 * i));
}

static void put_short(struct output *out, int64_t value)
{
    put_imm(out, value, pvm_imm_bytes((int32_t)value));
}

/* A field of four bits beside the length of the first of two immediates, which follow. */
static void put_two(struct output *out, uint32_t low, int32_t first, int32_t second)
{
    const uint32_t n = pvm_imm_bytes(first);
    put(out, low | n << 4);
    put_imm(out, first, n);
    put_short(out, second);
}

uint32_t pvm_encode(const struct pvm_opcodes *opcodes, const struct ir_insn *insn,
                    uint32_t distance_bytes, uint8_t bytes[PVM_INSN_MAX])
{
    struct output out = {bytes, 0};
    uint8_t opcode = opcode_of(opcodes, insn);
    if (insn->op == IR_LI && insn->imm != (int32_t)insn->imm)
        opcode = 20;
    const uint32_t d = insn->rd, a = insn->ra, b = insn->rb;
    put(&out, opcode);
    switch ((enum pvm_format)pvm_rows[opcode].format) {
    case NOTHING:
        break;
    case HOST:
        put_short(&out, insn->imm);
        break;
    case RX:
        put(&out, d);
        put_imm(&out, insn->imm, 8);
        break;
    case STORE_II: {
        const uint32_t n = pvm_imm_bytes(insn->lo);
        put(&out, n);
        put_imm(&out, insn->lo, n);
        put_short(&out, insn->hi);
        break;
    }
    case OFFSET:
        put_imm(&out, 0, distance_bytes);
        break;
    case RI:
    case LOAD_AT:
        put(&out, d);
        put_short(&out, insn->imm);
        break;
    case STORE_AT:
        put(&out, b);
        put_short(&out, insn->imm);
        break;
    case JUMP_IND:
        put(&out, a);
        put_short(&out, insn->lo);
        break;
    case STORE_RII:
        put_two(&out, a, insn->lo, insn->hi);
        break;
    case RIO:
        put_two(&out, insn->op == IR_LI_JUMP ? d : a, insn->lo, 0);
        put_imm(&out, 0, distance_bytes);
        break;
    case RR:
        put(&out, d | a << 4);
        break;
    case RRI:
        put(&out, d | a << 4);
        put_short(&out, insn->imm);
        break;
    case STORE_RRI:
        put(&out, b | a << 4);
        put_short(&out, insn->imm);
        break;
    case RRO:
        put(&out, a | b << 4);
        put_imm(&out, 0, distance_bytes);
        break;
    case RRII: {
        const uint32_t n = pvm_imm_bytes(insn->lo);
        put(&out, d | a << 4);
        put(&out, n);
        put_imm(&out, insn->lo, n);
        put_short(&out, insn->hi);
        break;
    }
    case RRR:
        put(&out, a | b << 4);
        put(&out, d);
        break;
    }
    return out.len;
}
