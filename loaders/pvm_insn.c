/* PVM instructions for people: operands by the formats of PVM 3, and their text. */
#include <inttypes.h>
#include <stdio.h>

#include "loaders/container.h"

/* clang-format off */
#define OPS(X) \
    X(0, "trap", N) X(1, "fallthrough", N) X(2, "unlikely", N) X(3, "ecall", N) X(4, "memset", N) \
    X(10, "ecalli", I) X(20, "load_imm_64", RX) \
    X(30, "store_imm_u8", II) X(31, "store_imm_u16", II) X(32, "store_imm_u32", II) \
    X(33, "store_imm_u64", II) X(40, "jump", O) X(50, "jump_ind", RI) X(51, "load_imm", RI) \
    X(52, "load_u8", RI) X(53, "load_i8", RI) X(54, "load_u16", RI) X(55, "load_i16", RI) \
    X(56, "load_u32", RI) X(57, "load_i32", RI) X(58, "load_u64", RI) \
    X(59, "store_u8", RI) X(60, "store_u16", RI) X(61, "store_u32", RI) X(62, "store_u64", RI) \
    X(70, "store_imm_ind_u8", RII) X(71, "store_imm_ind_u16", RII) \
    X(72, "store_imm_ind_u32", RII) X(73, "store_imm_ind_u64", RII) \
    X(80, "load_imm_jump", RIO) X(81, "branch_eq_imm", RIO) X(82, "branch_ne_imm", RIO) \
    X(83, "branch_lt_u_imm", RIO) X(84, "branch_le_u_imm", RIO) X(85, "branch_ge_u_imm", RIO) \
    X(86, "branch_gt_u_imm", RIO) X(87, "branch_lt_s_imm", RIO) X(88, "branch_le_s_imm", RIO) \
    X(89, "branch_ge_s_imm", RIO) X(90, "branch_gt_s_imm", RIO) \
    X(100, "move_reg", RR) X(101, "sbrk", RR) X(102, "count_set_bits_64", RR) \
    X(103, "count_set_bits_32", RR) X(104, "leading_zero_bits_64", RR) \
    X(105, "leading_zero_bits_32", RR) X(106, "trailing_zero_bits_64", RR) \
    X(107, "trailing_zero_bits_32", RR) X(108, "sign_extend_8", RR) X(109, "sign_extend_16", RR) \
    X(110, "zero_extend_16", RR) X(111, "reverse_bytes", RR) \
    X(120, "store_ind_u8", RRI) X(121, "store_ind_u16", RRI) X(122, "store_ind_u32", RRI) \
    X(123, "store_ind_u64", RRI) X(124, "load_ind_u8", RRI) X(125, "load_ind_i8", RRI) \
    X(126, "load_ind_u16", RRI) X(127, "load_ind_i16", RRI) X(128, "load_ind_u32", RRI) \
    X(129, "load_ind_i32", RRI) X(130, "load_ind_u64", RRI) X(131, "add_imm_32", RRI) \
    X(132, "and_imm", RRI) X(133, "xor_imm", RRI) X(134, "or_imm", RRI) X(135, "mul_imm_32", RRI) \
    X(136, "set_lt_u_imm", RRI) X(137, "set_lt_s_imm", RRI) X(138, "shlo_l_imm_32", RRI) \
    X(139, "shlo_r_imm_32", RRI) X(140, "shar_r_imm_32", RRI) X(141, "neg_add_imm_32", RRI) \
    X(142, "set_gt_u_imm", RRI) X(143, "set_gt_s_imm", RRI) X(144, "shlo_l_imm_alt_32", RRI) \
    X(145, "shlo_r_imm_alt_32", RRI) X(146, "shar_r_imm_alt_32", RRI) X(147, "cmov_iz_imm", RRI) \
    X(148, "cmov_nz_imm", RRI) X(149, "add_imm_64", RRI) X(150, "mul_imm_64", RRI) \
    X(151, "shlo_l_imm_64", RRI) X(152, "shlo_r_imm_64", RRI) X(153, "shar_r_imm_64", RRI) \
    X(154, "neg_add_imm_64", RRI) X(155, "shlo_l_imm_alt_64", RRI) \
    X(156, "shlo_r_imm_alt_64", RRI) X(157, "shar_r_imm_alt_64", RRI) X(158, "rot_r_64_imm", RRI) \
    X(159, "rot_r_64_imm_alt", RRI) X(160, "rot_r_32_imm", RRI) X(161, "rot_r_32_imm_alt", RRI) \
    X(170, "branch_eq", RRO) X(171, "branch_ne", RRO) X(172, "branch_lt_u", RRO) \
    X(173, "branch_lt_s", RRO) X(174, "branch_ge_u", RRO) X(175, "branch_ge_s", RRO) \
    X(180, "load_imm_jump_ind", RRII) \
    X(190, "add_32", RRR) X(191, "sub_32", RRR) X(192, "mul_32", RRR) X(193, "div_u_32", RRR) \
    X(194, "div_s_32", RRR) X(195, "rem_u_32", RRR) X(196, "rem_s_32", RRR) \
    X(197, "shlo_l_32", RRR) X(198, "shlo_r_32", RRR) X(199, "shar_r_32", RRR) \
    X(200, "add_64", RRR) X(201, "sub_64", RRR) X(202, "mul_64", RRR) X(203, "div_u_64", RRR) \
    X(204, "div_s_64", RRR) X(205, "rem_u_64", RRR) X(206, "rem_s_64", RRR) \
    X(207, "shlo_l_64", RRR) X(208, "shlo_r_64", RRR) X(209, "shar_r_64", RRR) \
    X(210, "and", RRR) X(211, "xor", RRR) X(212, "or", RRR) X(213, "mul_upper_s_s", RRR) \
    X(214, "mul_upper_u_u", RRR) X(215, "mul_upper_s_u", RRR) X(216, "set_lt_u", RRR) \
    X(217, "set_lt_s", RRR) X(218, "cmov_iz", RRR) X(219, "cmov_nz", RRR) X(220, "rot_l_64", RRR) \
    X(221, "rot_l_32", RRR) X(222, "rot_r_64", RRR) X(223, "rot_r_32", RRR) \
    X(224, "and_inv", RRR) X(225, "or_inv", RRR) X(226, "xnor", RRR) X(227, "max", RRR) \
    X(228, "max_u", RRR) X(229, "min", RRR) X(230, "min_u", RRR)
/* clang-format on */

static const struct {
    const char *name;
    uint8_t format;
} TABLE[256] = {
#define X(op, text, form) [op] = {text, JAVM_PVM_##form},
    OPS(X)
#undef X
};

const char *javm_pvm_mnemonic(unsigned op)
{
    return op < 256 ? TABLE[op].name : NULL;
}

/* ---- decoding ---------------------------------------------------------------------------- */

static unsigned format_of(const struct javm_pvm_code *code, unsigned op)
{
    const unsigned needed = op == 2                    ? JAVM_PVM_UNLIKELY
                            : op == 3                  ? JAVM_PVM_ECALL
                            : op == 101                ? JAVM_PVM_SBRK
                            : op == JAVM_PVM_OP_MEMSET ? JAVM_PVM_MEMSET
                                                       : 0;
    return needed == 0 || (code->features & needed) != 0 ? TABLE[op].format : JAVM_PVM_INVALID;
}

/* Zeros follow the code. */
static unsigned byte_at(const struct javm_pvm_code *code, uint64_t at)
{
    return at < code->code_len ? code->code[at] : 0;
}

static unsigned skip_of(const struct javm_pvm_code *code, uint64_t pc)
{
    unsigned skip = 0;
    while (skip < 24 && pc + 1 + skip < code->code_len && !javm_pvm_is_start(code, pc + 1 + skip))
        skip++;
    return skip;
}

static uint64_t immediate(const struct javm_pvm_code *code, uint64_t at, unsigned n)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < n; i++)
        value |= (uint64_t)byte_at(code, at + i) << 8 * i;
    if (n > 0 && n < 8 && (value >> (8 * n - 1) & 1) != 0)
        value |= ~UINT64_C(0) << 8 * n;
    return value;
}

static unsigned at_most(unsigned n, unsigned most)
{
    return n < most ? n : most;
}

/* How many bytes of `length` are left for an immediate behind `used` bytes; at most 4. */
static unsigned room(unsigned length, unsigned used)
{
    return length > used ? at_most(length - used, 4) : 0;
}

struct javm_pvm_insn javm_pvm_decode(const struct javm_pvm_code *code, uint64_t pc)
{
    const unsigned op = byte_at(code, pc), skip = pc < code->code_len ? skip_of(code, pc) : 0;
    const unsigned first = byte_at(code, pc + 1);
    const uint8_t low = (uint8_t)at_most(first & 15, 12), high = (uint8_t)at_most(first >> 4, 12);
    struct javm_pvm_insn insn = {.pc = pc,
                                 .next = pc + 1 + skip,
                                 .op = (uint8_t)op,
                                 .format = (uint8_t)format_of(code, op),
                                 .terminator = code_ends_block(op, code->features)};
    unsigned n;
    switch ((enum javm_pvm_format)insn.format) {
    case JAVM_PVM_INVALID:
    case JAVM_PVM_N:
        break;
    case JAVM_PVM_I:
        insn.x = immediate(code, pc + 1, room(skip, 0));
        break;
    case JAVM_PVM_RX:
        insn.a = low;
        insn.x = immediate(code, pc + 2, 8);
        break;
    case JAVM_PVM_II:
        n = at_most(first & 7, 4);
        insn.x = immediate(code, pc + 2, n);
        insn.y = immediate(code, pc + 2 + n, room(skip, n + 1));
        break;
    case JAVM_PVM_O:
        insn.target = pc + immediate(code, pc + 1, room(skip, 0));
        break;
    case JAVM_PVM_RI:
        insn.a = low;
        insn.x = immediate(code, pc + 2, room(skip, 1));
        break;
    case JAVM_PVM_RII:
    case JAVM_PVM_RIO:
        n = at_most(first >> 4 & 7, 4);
        insn.a = low;
        insn.x = immediate(code, pc + 2, n);
        insn.y = immediate(code, pc + 2 + n, room(skip, n + 1));
        insn.target = insn.format == JAVM_PVM_RIO ? pc + insn.y : 0;
        break;
    case JAVM_PVM_RR:
        insn.d = low;
        insn.a = high;
        break;
    case JAVM_PVM_RRI:
    case JAVM_PVM_RRO:
        insn.a = low;
        insn.b = high;
        insn.x = immediate(code, pc + 2, room(skip, 1));
        insn.target = insn.format == JAVM_PVM_RRO ? pc + insn.x : 0;
        break;
    case JAVM_PVM_RRII:
        n = at_most(byte_at(code, pc + 2) & 7, 4);
        insn.a = low;
        insn.b = high;
        insn.x = immediate(code, pc + 3, n);
        insn.y = immediate(code, pc + 3 + n, room(skip, n + 2));
        break;
    case JAVM_PVM_RRR:
        insn.a = low;
        insn.b = high;
        insn.d = (uint8_t)at_most(byte_at(code, pc + 2), 12);
        break;
    }
    return insn;
}

void javm_pvm_count(const struct javm_pvm_code *code, uint64_t *instructions, uint64_t *blocks)
{
    bool starts = true;
    *instructions = *blocks = 0;
    for (uint64_t pc = 0; pc < code->code_len; pc++) {
        if (!javm_pvm_is_start(code, pc))
            continue;
        ++*instructions;
        *blocks += starts;
        starts = code_ends_block(code->code[pc], code->features);
    }
}

/* ---- text -------------------------------------------------------------------------------- */

static const char *const REGS[] = {"ra", "sp", "t0", "t1", "t2", "s0", "s1",
                                   "a0", "a1", "a2", "a3", "a4", "a5"};

/* Small numbers in decimal; what is rather an address or a mask in hexadecimal. */
static const char *number(uint64_t value, char text[24])
{
    if (value + 4096 <= 8192)
        snprintf(text, 24, "%" PRId64, (int64_t)value);
    else if ((int64_t)value < 0 && -value <= UINT32_MAX)
        snprintf(text, 24, "-0x%" PRIx64, -value);
    else
        snprintf(text, 24, "0x%" PRIx64, value);
    return text;
}

static const char *distance(uint64_t value, char text[24])
{
    char plain[24];
    number(value, plain);
    snprintf(text, 24, "%s%.22s", plain[0] == '-' ? "" : "+", plain);
    return text;
}

static const char *place(uint64_t target, char text[24])
{
    snprintf(text, 24, "@%06" PRIx64, target);
    return text;
}

/* Addresses are taken modulo 2^32. */
static const char *address(uint64_t value, char text[24])
{
    snprintf(text, 24, "[0x%" PRIx32 "]", (uint32_t)value);
    return text;
}

static void format_ri(const struct javm_pvm_insn *i, const char *name, char *text, size_t size)
{
    char x[24];
    if (i->op == 50)
        snprintf(text, size, "%s %s%s", name, REGS[i->a], distance(i->x, x));
    else if (i->op == 51)
        snprintf(text, size, "%s %s, %s", name, REGS[i->a], number(i->x, x));
    else if (i->op >= 59)
        snprintf(text, size, "%s %s, %s", name, address(i->x, x), REGS[i->a]);
    else
        snprintf(text, size, "%s %s, %s", name, REGS[i->a], address(i->x, x));
}

static void format_rri(const struct javm_pvm_insn *i, const char *name, char *text, size_t size)
{
    char x[24];
    if (i->op <= 123)
        snprintf(text, size, "%s [%s%s], %s", name, REGS[i->b], distance(i->x, x), REGS[i->a]);
    else if (i->op <= 130)
        snprintf(text, size, "%s %s, [%s%s]", name, REGS[i->a], REGS[i->b], distance(i->x, x));
    else
        snprintf(text, size, "%s %s, %s, %s", name, REGS[i->a], REGS[i->b], number(i->x, x));
}

void javm_pvm_format_insn(const struct javm_pvm_insn *i, char *text, size_t size)
{
    const char *name = TABLE[i->op].name;
    char x[24], y[24];
    switch ((enum javm_pvm_format)i->format) {
    case JAVM_PVM_INVALID:
        snprintf(text, size, "invalid 0x%02x", i->op);
        break;
    case JAVM_PVM_N:
        snprintf(text, size, "%s", name);
        break;
    case JAVM_PVM_I:
        snprintf(text, size, "%s %" PRIu32, name, (uint32_t)i->x);
        break;
    case JAVM_PVM_RX:
        snprintf(text, size, "%s %s, 0x%" PRIx64, name, REGS[i->a], i->x);
        break;
    case JAVM_PVM_II:
        snprintf(text, size, "%s %s, %s", name, address(i->x, x), number(i->y, y));
        break;
    case JAVM_PVM_O:
        snprintf(text, size, "%s %s", name, place(i->target, x));
        break;
    case JAVM_PVM_RI:
        format_ri(i, name, text, size);
        break;
    case JAVM_PVM_RII:
        snprintf(text, size, "%s [%s%s], %s", name, REGS[i->a], distance(i->x, x), number(i->y, y));
        break;
    case JAVM_PVM_RIO:
        snprintf(text, size, "%s %s, %s, %s", name, REGS[i->a], number(i->x, x),
                 place(i->target, y));
        break;
    case JAVM_PVM_RR:
        snprintf(text, size, "%s %s, %s", name, REGS[i->d], REGS[i->a]);
        break;
    case JAVM_PVM_RRI:
        format_rri(i, name, text, size);
        break;
    case JAVM_PVM_RRO:
        snprintf(text, size, "%s %s, %s, %s", name, REGS[i->a], REGS[i->b], place(i->target, x));
        break;
    case JAVM_PVM_RRII:
        snprintf(text, size, "%s %s, %s, %s%s", name, REGS[i->a], number(i->x, x), REGS[i->b],
                 distance(i->y, y));
        break;
    case JAVM_PVM_RRR:
        snprintf(text, size, "%s %s, %s, %s", name, REGS[i->d], REGS[i->a], REGS[i->b]);
        break;
    }
}
