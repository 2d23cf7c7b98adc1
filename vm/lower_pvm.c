/* PVM -> gas row and internal form, one instruction at a time (spec: PVM sections 3, 4, 8.2). */
#include "vm/front.h"
#include "vm/pvm.h"
#include "vm/pvm_rows.h"

/* ---- opcodes ---------------------------------------------------------------------------- */

/* Registers that gas counts as sources; always the raw fields a, b, c. */
enum { S_NONE = 0, S_A = 1, S_B = 2, S_C = 4 };
/* One slot less if field a is one of the sources; or if it is b. */
enum { FIXED, OVERLAP, SAME_AB };
#define CYCLES_MEMORY 0xFF
#define CYCLES_BRANCH 0xFE

#define ROW(format, op, cycles, slots, less, sources, writes_a)             \
    {                                                                       \
        format, IR_##op, cycles, slots, less, sources, writes_a, 1, 1, 0, 0 \
    }
#define ENDS(format, op, cycles, slots, sources, writes_a)                   \
    {                                                                        \
        format, IR_##op, cycles, slots, FIXED, sources, writes_a, 1, 1, 1, 0 \
    }
#define HINT(cycles)                                                  \
    {                                                                 \
        NOTHING, IR_RESERVED, cycles, 1, FIXED, S_NONE, 0, 1, 0, 1, 0 \
    }
#define LOADS(format, op) ROW(format, op, CYCLES_MEMORY, 1, FIXED, S_B, 1)
#define WRITES(format, op, sources)                                      \
    {                                                                    \
        format, IR_##op, CYCLES_MEMORY, 1, FIXED, sources, 0, 1, 1, 0, 1 \
    }
#define BRANCH_IMM(op)               ENDS(RIO, op, CYCLES_BRANCH, 1, S_A, 0)
#define BRANCH(op)                   ENDS(RRO, op, CYCLES_BRANCH, 1, S_A | S_B, 0)
#define ONE(op, cycles)              ROW(RR, op, cycles, 1, FIXED, S_B, 1)
#define IMM(op, cycles, slots, less) ROW(RRI, op, cycles, slots, less, S_B, 1)
#define TWO(op, cycles, slots, less) ROW(RRR, op, cycles, slots, less, S_B | S_C, 1)

/* clang-format off */
const struct pvm_row pvm_rows[256] = {
    [0] = ENDS(NOTHING, TRAP, 2, 1, S_NONE, 0), [1] = HINT(2), [2] = HINT(40),
    [3] = ENDS(NOTHING, ECALL_JAR, 1, 1, S_NONE, 0),
    [10] = ENDS(HOST, ECALLI, 100, 4, S_NONE, 0),
    [20] = ROW(RX, LI, 1, 2, FIXED, S_NONE, 1),
    [30] = WRITES(STORE_II, SBI, S_NONE), [31] = WRITES(STORE_II, SHI, S_NONE),
    [32] = WRITES(STORE_II, SWI, S_NONE), [33] = WRITES(STORE_II, SDI, S_NONE),
    [40] = ENDS(OFFSET, JUMP, 15, 1, S_NONE, 0),
    [50] = ENDS(JUMP_IND, DJUMP, 22, 1, S_NONE, 0),
    [51] = ROW(RI, LI, 1, 1, FIXED, S_NONE, 1),
    [52] = LOADS(LOAD_AT, LBU), [53] = LOADS(LOAD_AT, LB), [54] = LOADS(LOAD_AT, LHU),
    [55] = LOADS(LOAD_AT, LH), [56] = LOADS(LOAD_AT, LWU), [57] = LOADS(LOAD_AT, LW),
    [58] = LOADS(LOAD_AT, LD),
    [59] = WRITES(STORE_AT, SB, S_A | S_B), [60] = WRITES(STORE_AT, SH, S_A | S_B),
    [61] = WRITES(STORE_AT, SW, S_A | S_B), [62] = WRITES(STORE_AT, SD, S_A | S_B),
    [70] = WRITES(STORE_RII, SBI, S_A), [71] = WRITES(STORE_RII, SHI, S_A),
    [72] = WRITES(STORE_RII, SWI, S_A), [73] = WRITES(STORE_RII, SDI, S_A),
    [80] = ENDS(RIO, LI_JUMP, 15, 1, S_NONE, 1),
    [81] = BRANCH_IMM(BEQI), [82] = BRANCH_IMM(BNEI), [83] = BRANCH_IMM(BLTUI),
    [84] = BRANCH_IMM(BLEUI), [85] = BRANCH_IMM(BGEUI), [86] = BRANCH_IMM(BGTUI),
    [87] = BRANCH_IMM(BLTI), [88] = BRANCH_IMM(BLEI), [89] = BRANCH_IMM(BGEI),
    [90] = BRANCH_IMM(BGTI),
    [100] = ONE(MOVE, 0),
    [102] = ONE(CPOP, 1), [103] = ONE(CPOPW, 1), [104] = ONE(CLZ, 1), [105] = ONE(CLZW, 1),
    [106] = ONE(CTZ, 2), [107] = ONE(CTZW, 2), [108] = ONE(SEXT_B, 1), [109] = ONE(SEXT_H, 1),
    [110] = ROW(RR, ZEXT_H, 1, 2, OVERLAP, S_B, 1), [111] = ONE(REV8, 1),
    [120] = WRITES(STORE_RRI, SB, S_A | S_B), [121] = WRITES(STORE_RRI, SH, S_A | S_B),
    [122] = WRITES(STORE_RRI, SW, S_A | S_B), [123] = WRITES(STORE_RRI, SD, S_A | S_B),
    [124] = LOADS(RRI, LBU), [125] = LOADS(RRI, LB), [126] = LOADS(RRI, LHU),
    [127] = LOADS(RRI, LH), [128] = LOADS(RRI, LWU), [129] = LOADS(RRI, LW),
    [130] = LOADS(RRI, LD),
    [131] = IMM(ADDIW, 2, 3, OVERLAP), [132] = IMM(ANDI, 1, 2, OVERLAP),
    [133] = IMM(XORI, 1, 2, OVERLAP), [134] = IMM(ORI, 1, 2, OVERLAP),
    [135] = IMM(MULIW, 4, 3, OVERLAP), [136] = IMM(SLTIU, 3, 3, FIXED),
    [137] = IMM(SLTI, 3, 3, FIXED), [138] = IMM(SLLIW, 2, 3, OVERLAP),
    [139] = IMM(SRLIW, 2, 3, OVERLAP), [140] = IMM(SRAIW, 2, 3, OVERLAP),
    [141] = IMM(ISUBW, 3, 4, FIXED), [142] = IMM(SGTIU, 3, 3, FIXED),
    [143] = IMM(SGTI, 3, 3, FIXED), [144] = IMM(ISLLW, 2, 4, FIXED),
    [145] = IMM(ISRLW, 2, 4, FIXED), [146] = IMM(ISRAW, 2, 4, FIXED),
    [147] = IMM(CMOVI_EQZ, 2, 3, FIXED), [148] = IMM(CMOVI_NEZ, 2, 3, FIXED),
    [149] = IMM(ADDI, 1, 2, OVERLAP), [150] = IMM(MULI, 3, 2, OVERLAP),
    [151] = IMM(SLLI, 1, 2, OVERLAP), [152] = IMM(SRLI, 1, 2, OVERLAP),
    [153] = IMM(SRAI, 1, 2, OVERLAP), [154] = IMM(ISUB, 2, 3, FIXED),
    [155] = IMM(ISLL, 1, 3, FIXED), [156] = IMM(ISRL, 1, 3, FIXED),
    [157] = IMM(ISRA, 1, 3, FIXED), [158] = IMM(RORI, 1, 2, OVERLAP),
    [159] = IMM(IROR, 1, 3, FIXED), [160] = IMM(RORIW, 2, 3, OVERLAP),
    [161] = IMM(IRORW, 2, 4, FIXED),
    [170] = BRANCH(BEQ), [171] = BRANCH(BNE), [172] = BRANCH(BLTU), [173] = BRANCH(BLT),
    [174] = BRANCH(BGEU), [175] = BRANCH(BGE),
    [180] = ENDS(RRII, LI_DJUMP, 22, 1, S_B, 1),
    [190] = TWO(ADDW, 2, 3, OVERLAP), [191] = TWO(SUBW, 2, 3, OVERLAP),
    [192] = TWO(MULW, 4, 3, OVERLAP), [193] = TWO(DIVUW, 60, 4, FIXED),
    [194] = TWO(DIVW, 60, 4, FIXED), [195] = TWO(REMUW, 60, 4, FIXED),
    [196] = TWO(REMW, 60, 4, FIXED), [197] = TWO(SLLW, 2, 4, SAME_AB),
    [198] = TWO(SRLW, 2, 4, SAME_AB), [199] = TWO(SRAW, 2, 4, SAME_AB),
    [200] = TWO(ADD, 1, 2, OVERLAP), [201] = TWO(SUB, 1, 2, OVERLAP),
    [202] = TWO(MUL, 3, 2, OVERLAP), [203] = TWO(DIVU, 60, 4, FIXED),
    [204] = TWO(DIV, 60, 4, FIXED), [205] = TWO(REMU, 60, 4, FIXED),
    [206] = TWO(REM, 60, 4, FIXED), [207] = TWO(SLL, 1, 3, SAME_AB),
    [208] = TWO(SRL, 1, 3, SAME_AB), [209] = TWO(SRA, 1, 3, SAME_AB),
    [210] = TWO(AND, 1, 2, OVERLAP), [211] = TWO(XOR, 1, 2, OVERLAP),
    [212] = TWO(OR, 1, 2, OVERLAP), [213] = TWO(MULH, 4, 4, FIXED),
    [214] = TWO(MULHU, 4, 4, FIXED), [215] = TWO(MULHSU, 6, 4, FIXED),
    [216] = TWO(SLTU, 3, 3, FIXED), [217] = TWO(SLT, 3, 3, FIXED),
    [218] = TWO(CMOV_EQZ, 2, 2, FIXED), [219] = TWO(CMOV_NEZ, 2, 2, FIXED),
    [220] = TWO(ROL, 1, 3, SAME_AB), [221] = TWO(ROLW, 2, 4, SAME_AB),
    [222] = TWO(ROR, 1, 3, SAME_AB), [223] = TWO(RORW, 2, 4, SAME_AB),
    [224] = TWO(ANDN, 2, 3, FIXED), [225] = TWO(ORN, 2, 3, FIXED),
    [226] = TWO(XNOR, 2, 3, OVERLAP), [227] = TWO(MAX, 3, 3, OVERLAP),
    [228] = TWO(MAXU, 3, 3, OVERLAP), [229] = TWO(MIN, 3, 3, OVERLAP),
    [230] = TWO(MINU, 3, 3, OVERLAP),
};
/* clang-format on */

static const struct pvm_row invalid = {NOTHING, IR_RESERVED, 1, 1, FIXED, S_NONE, 0, 0, 1, 0, 0};
static const struct pvm_row grow_heap = ROW(RR, SBRK, 1, 1, FIXED, S_NONE, 0);
static const struct pvm_row fill = ROW(NOTHING, MEMSET, 1, 1, FIXED, S_NONE, 0);
/* In gp a trap is a panic. */
static const struct pvm_row gp_trap = ENDS(NOTHING, RESERVED, 2, 1, S_NONE, 0);

static const struct pvm_row *if_has(const struct front *f, unsigned feature,
                                    const struct pvm_row *row)
{
    return (f->key.features & feature) != 0 ? row : &invalid;
}

static const struct pvm_row *row_of(const struct front *f, uint8_t opcode)
{
    switch (opcode) {
    case PVM_TRAP:
        return f->key.pvm == JAVM_PVM_GP ? &gp_trap : &pvm_rows[PVM_TRAP];
    case PVM_UNLIKELY:
        return if_has(f, JAVM_PVM_UNLIKELY, &pvm_rows[PVM_UNLIKELY]);
    case PVM_ECALL:
        return if_has(f, JAVM_PVM_ECALL, &pvm_rows[PVM_ECALL]);
    case PVM_MEMSET:
        return if_has(f, JAVM_PVM_MEMSET, &fill);
    case PVM_SBRK:
        return if_has(f, JAVM_PVM_SBRK, &grow_heap);
    default:
        return pvm_rows[opcode].valid ? &pvm_rows[opcode] : &invalid;
    }
}

bool pvm_is_valid(const struct front *f, uint8_t opcode)
{
    return row_of(f, opcode)->valid;
}

bool pvm_is_terminator(const struct front *f, uint8_t opcode)
{
    return row_of(f, opcode)->terminator;
}

/* ---- operands --------------------------------------------------------------------------- */

/* Bytes of code from an instruction on; behind the code there are zeros. */
struct bytes {
    uint8_t at[16];
};

static struct bytes bytes_at(const struct front *f, uint64_t offset)
{
    struct bytes bytes = {{0}};
    const uint64_t left = f->len - offset;
    memcpy(bytes.at, f->code + offset, left < sizeof bytes.at ? (size_t)left : sizeof bytes.at);
    return bytes;
}

/* n <= 4 bytes, sign-extended; 0 when there are none. */
static int64_t imm_at(const struct bytes *bytes, uint32_t at, uint32_t n)
{
    uint32_t value;
    memcpy(&value, bytes->at + at, sizeof value);
    if (n == 0)
        return 0;
    return (int32_t)(le32toh(value) << (32 - 8 * n)) >> (32 - 8 * n);
}

static uint32_t at_most(uint32_t n, uint32_t limit)
{
    return n < limit ? n : limit;
}

/* What is left of `len` argument bytes after the first `used`, as the length of an immediate. */
static uint32_t rest(uint32_t len, uint32_t used)
{
    return len > used ? at_most(len - used, 4) : 0;
}

static uint8_t register_of(uint32_t field)
{
    return (uint8_t)at_most(field, 12);
}

static int32_t target_of(const struct front *f, uint64_t offset, int64_t distance)
{
    const uint64_t target = offset + (uint64_t)distance;
    return pvm_may_land(f, target) ? (int32_t)target : IR_NO_TARGET;
}

/* ---- lowering --------------------------------------------------------------------------- */

static bool shifts(uint16_t op)
{
    return (op >= IR_SLLI && op <= IR_RORI) || (op >= IR_SLLIW && op <= IR_RORIW);
}

/* The operands of what is at `offset`, with `skip` bytes of arguments. *distance: where a branch
 * goes, from here. */
static void take_operands(const struct pvm_row *row, const struct bytes *bytes, uint32_t skip,
                          struct ir_insn *insn, int64_t *distance)
{
    const uint8_t low = register_of(bytes->at[1] & 15), high = register_of(bytes->at[1] >> 4);
    const uint32_t n = at_most(bytes->at[1] & 7, 4), n_high = at_most(bytes->at[1] >> 4 & 7, 4);
    const uint32_t n_third = at_most(bytes->at[2] & 7, 4);
    switch ((enum pvm_format)row->format) {
    case NOTHING:
        break;
    case HOST:
        insn->imm = (uint32_t)imm_at(bytes, 1, at_most(skip, 4));
        break;
    case RX: {
        uint64_t value;
        memcpy(&value, bytes->at + 2, sizeof value);
        insn->rd = low;
        insn->imm = (int64_t)le64toh(value);
        break;
    }
    case STORE_II:
        insn->lo = (int32_t)imm_at(bytes, 2, n);
        insn->hi = (int32_t)imm_at(bytes, 2 + n, rest(skip, n + 1));
        break;
    case OFFSET:
        *distance = imm_at(bytes, 1, at_most(skip, 4));
        break;
    case RI:
    case LOAD_AT:
        insn->rd = low;
        insn->imm = imm_at(bytes, 2, rest(skip, 1));
        break;
    case STORE_AT:
        insn->rb = low;
        insn->imm = imm_at(bytes, 2, rest(skip, 1));
        break;
    case JUMP_IND:
        insn->ra = low;
        insn->lo = (int32_t)imm_at(bytes, 2, rest(skip, 1));
        break;
    case STORE_RII:
        insn->ra = low;
        insn->lo = (int32_t)imm_at(bytes, 2, n_high);
        insn->hi = (int32_t)imm_at(bytes, 2 + n_high, rest(skip, n_high + 1));
        break;
    case RIO:
        if (row->op == IR_LI_JUMP)
            insn->rd = low;
        else
            insn->ra = low;
        insn->lo = (int32_t)imm_at(bytes, 2, n_high);
        *distance = imm_at(bytes, 2 + n_high, rest(skip, n_high + 1));
        break;
    case RR:
        insn->rd = low;
        insn->ra = high;
        break;
    case RRI:
        insn->rd = low;
        insn->ra = high;
        insn->imm = imm_at(bytes, 2, rest(skip, 1));
        if (shifts(row->op))
            insn->imm &= 63;
        break;
    case STORE_RRI:
        insn->rb = low;
        insn->ra = high;
        insn->imm = imm_at(bytes, 2, rest(skip, 1));
        break;
    case RRO:
        insn->ra = low;
        insn->rb = high;
        *distance = imm_at(bytes, 2, rest(skip, 1));
        break;
    case RRII:
        insn->rd = low;
        insn->ra = high;
        insn->lo = (int32_t)imm_at(bytes, 3, n_third);
        insn->hi = (int32_t)imm_at(bytes, 3 + n_third, rest(skip, n_third + 2));
        break;
    case RRR:
        insn->ra = low;
        insn->rb = high;
        insn->rd = register_of(bytes->at[2]);
        break;
    }
}

/* Moves that come to "this or zero" are what PVM2 calls so: engines know that better. */
static void name_choice(struct ir_insn *insn)
{
    if (insn->op == IR_CMOV_NEZ && insn->rd == insn->rb) {
        insn->op = IR_CZERO_EQZ;
    } else if ((insn->op == IR_CMOVI_EQZ || insn->op == IR_CMOVI_NEZ) && insn->imm == 0) {
        insn->op = insn->op == IR_CMOVI_EQZ ? IR_CZERO_EQZ : IR_CZERO_NEZ;
        insn->rb = insn->ra;
        insn->ra = insn->rd;
    }
}

/* The branches of 8.2: cheap when they lead to what is marked as cold. */
static uint8_t branch_cycles(const struct front *f, uint64_t offset, int64_t distance)
{
    const uint64_t target = offset + (uint64_t)distance;
    return target < f->len && pvm_begins(f, target) &&
                   (f->code[target] == PVM_TRAP || f->code[target] == PVM_UNLIKELY)
               ? 1
               : 20;
}

static struct gas_row gas_of(const struct front *f, const struct pvm_row *row,
                             const struct bytes *bytes)
{
    const uint8_t a = register_of(bytes->at[1] & 15), b = register_of(bytes->at[1] >> 4);
    const uint8_t c = register_of(bytes->at[2] & 15);
    const bool overlap =
        (row->less == OVERLAP && (a == b || (a == c && (row->sources & S_C) != 0))) ||
        (row->less == SAME_AB && a == b);
    return (struct gas_row){.dst = row->writes_a ? a : GAS_NONE,
                            .src1 = (row->sources & S_B) != 0 ? b : GAS_NONE,
                            .src2 = (row->sources & S_A) != 0   ? a
                                    : (row->sources & S_C) != 0 ? c
                                                                : GAS_NONE,
                            .cycles = row->cycles == CYCLES_MEMORY ? (uint8_t)f->memory_cycles
                                                                   : row->cycles,
                            .slots = (uint8_t)(row->slots - overlap)};
}

bool pvm_next(const struct front *f, uint64_t offset, struct ir_step *step)
{
    if (offset >= f->len) { /* zeros, which are traps; part of no block but one of its own */
        *step = (struct ir_step){.insn = {.op = f->key.pvm == JAVM_PVM_GP ? IR_RESERVED : IR_TRAP,
                                          .rd = IR_ZERO,
                                          .ra = IR_ZERO,
                                          .rb = IR_ZERO,
                                          .len = 1},
                                 .row = {.dst = GAS_NONE, .src1 = GAS_NONE, .src2 = GAS_NONE},
                                 .len = 1,
                                 .executes = true,
                                 .terminator = true};
        return true;
    }
    const struct bytes bytes = bytes_at(f, offset);
    const struct pvm_row *row = row_of(f, bytes.at[0]);
    const uint32_t skip = pvm_skip(f, offset);
    int64_t distance = 0;
    step->row = gas_of(f, row, &bytes);
    step->len = (uint8_t)(skip + 1);
    step->executes = row->executes;
    step->terminator = row->terminator;
    step->store = row->store;
    step->ecall = step->anywhere = false;
    step->insn = (struct ir_insn){
        .op = row->op, .rd = IR_ZERO, .ra = IR_ZERO, .rb = IR_ZERO, .len = (uint8_t)(skip + 1)};
    take_operands(row, &bytes, skip, &step->insn, &distance);
    name_choice(&step->insn);
    if (row->format == OFFSET || row->format == RIO || row->format == RRO)
        step->insn.hi = target_of(f, offset, distance);
    if (row->cycles == CYCLES_BRANCH)
        step->row.cycles = branch_cycles(f, offset, distance);
    if (!pvm_begins(f, offset)) { /* only its costs are those of the byte that is there */
        step->insn.op = IR_RESERVED;
        step->executes = true;
    }
    /* In gp nobody pays for what is never reached. What a memset takes has to come from gas that
     * nothing behind it was promised. To be a block what follows needs more. */
    step->terminator |=
        step->insn.op == IR_MEMSET || (f->flat && step->executes && step->insn.op == IR_RESERVED);
    return true;
}
