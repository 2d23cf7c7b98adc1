/* What each operation does, as macros: BODY_<name>(I, a, b) executes instruction I with its
 * operands given as expressions. The interpreter instantiates each one with operands from the
 * register file and with the forwarded result of the instruction before, and puts two of them into
 * one handler for fused pairs. interp.c defines D (write the result), OLD (what the result's
 * register holds), LEAVE, NEXT and the locals base, access, ip, gas; eval.c only what results need.
 */
#ifndef JAVM_VM_INTERP_OPS_H
#define JAVM_VM_INTERP_OPS_H

#include <limits.h>
#include <stdint.h>
#include <string.h>

#define S64(v) ((int64_t)(v))
#define U64(v) ((uint64_t)(v))
#define W(v)   U64((int64_t)(int32_t)(v)) /* low word, sign-extended */
#define IMM(I) U64((I)->imm)

/* Results of the divide family where C leaves them undefined (PVM2 section 4). */
static inline uint64_t op_div(uint64_t a, uint64_t b)
{
    if (b == 0)
        return UINT64_MAX;
    if (S64(a) == INT64_MIN && S64(b) == -1)
        return a;
    return U64(S64(a) / S64(b));
}

static inline uint64_t op_rem(uint64_t a, uint64_t b)
{
    if (b == 0)
        return a;
    if (S64(b) == -1)
        return 0;
    return U64(S64(a) % S64(b));
}

static inline uint64_t op_divw(uint64_t a, uint64_t b)
{
    int32_t x = (int32_t)a, y = (int32_t)b;
    if (y == 0)
        return UINT64_MAX;
    return y == -1 ? W(0u - (uint32_t)x) : W(x / y);
}

static inline uint64_t op_remw(uint64_t a, uint64_t b)
{
    int32_t x = (int32_t)a, y = (int32_t)b;
    if (y == 0)
        return W(x);
    return y == -1 ? 0 : W(x % y);
}

static inline uint64_t op_divuw(uint64_t a, uint64_t b)
{
    return (uint32_t)b == 0 ? UINT64_MAX : W((uint32_t)a / (uint32_t)b);
}

static inline uint64_t op_remuw(uint64_t a, uint64_t b)
{
    return (uint32_t)b == 0 ? W(a) : W((uint32_t)a % (uint32_t)b);
}

__extension__ typedef unsigned __int128 op_u128;
__extension__ typedef __int128 op_s128;

static inline uint64_t op_mulhu(uint64_t a, uint64_t b)
{
    return (uint64_t)((op_u128)a * b >> 64);
}

static inline uint64_t op_mulh(uint64_t a, uint64_t b)
{
    return (uint64_t)(U64(((op_s128)S64(a) * S64(b)) >> 64));
}

static inline uint64_t op_mulhsu(uint64_t a, uint64_t b)
{
    return op_mulhu(a, b) - (S64(a) < 0 ? b : 0);
}

static inline uint64_t op_ror(uint64_t v, uint64_t n)
{
    return v >> (n & 63) | v << (-n & 63);
}

static inline uint64_t op_rorw(uint64_t a, uint64_t n)
{
    uint32_t v = (uint32_t)a;
    return W(v >> (n & 31) | v << (-n & 31));
}

static inline uint64_t op_orc_b(uint64_t v)
{
    /* Carry the OR of each byte's bits into its lowest bit, then spread it over the byte. */
    v |= v >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f);
    v |= v >> 2 & UINT64_C(0x3333333333333333);
    v |= v >> 1 & UINT64_C(0x5555555555555555);
    return (v & UINT64_C(0x0101010101010101)) * 255;
}

static inline uint64_t op_clz(uint64_t v)
{
    return v == 0 ? 64 : (uint64_t)__builtin_clzll(v);
}

static inline uint64_t op_ctz(uint64_t v)
{
    return v == 0 ? 64 : (uint64_t)__builtin_ctzll(v);
}

static inline uint64_t op_clzw(uint64_t v)
{
    return (uint32_t)v == 0 ? 32 : (uint64_t)__builtin_clz((uint32_t)v);
}

static inline uint64_t op_ctzw(uint64_t v)
{
    return (uint32_t)v == 0 ? 32 : (uint64_t)__builtin_ctz((uint32_t)v);
}

#define BIT(n) (UINT64_C(1) << ((n)&63))

/* ---- d := a op b ------------------------------------------------------------------------ */

#define BODY_ADD(I, a, b)       D(I, (a) + (b))
#define BODY_SUB(I, a, b)       D(I, (a) - (b))
#define BODY_SLL(I, a, b)       D(I, (a) << ((b)&63))
#define BODY_SLT(I, a, b)       D(I, S64((a)) < S64((b)))
#define BODY_SLTU(I, a, b)      D(I, (a) < (b))
#define BODY_XOR(I, a, b)       D(I, (a) ^ (b))
#define BODY_SRL(I, a, b)       D(I, (a) >> ((b)&63))
#define BODY_SRA(I, a, b)       D(I, U64(S64((a)) >> ((b)&63)))
#define BODY_OR(I, a, b)        D(I, (a) | (b))
#define BODY_AND(I, a, b)       D(I, (a) & (b))
#define BODY_MUL(I, a, b)       D(I, (a) * (b))
#define BODY_MULH(I, a, b)      D(I, op_mulh((a), (b)))
#define BODY_MULHSU(I, a, b)    D(I, op_mulhsu((a), (b)))
#define BODY_MULHU(I, a, b)     D(I, op_mulhu((a), (b)))
#define BODY_DIV(I, a, b)       D(I, op_div((a), (b)))
#define BODY_DIVU(I, a, b)      D(I, (b) == 0 ? UINT64_MAX : (a) / (b))
#define BODY_REM(I, a, b)       D(I, op_rem((a), (b)))
#define BODY_REMU(I, a, b)      D(I, (b) == 0 ? (a) : (a) % (b))
#define BODY_ANDN(I, a, b)      D(I, (a) & ~(b))
#define BODY_ORN(I, a, b)       D(I, (a) | ~(b))
#define BODY_XNOR(I, a, b)      D(I, ~((a) ^ (b)))
#define BODY_MIN(I, a, b)       D(I, S64((a)) < S64((b)) ? (a) : (b))
#define BODY_MINU(I, a, b)      D(I, (a) < (b) ? (a) : (b))
#define BODY_MAX(I, a, b)       D(I, S64((a)) > S64((b)) ? (a) : (b))
#define BODY_MAXU(I, a, b)      D(I, (a) > (b) ? (a) : (b))
#define BODY_ROL(I, a, b)       D(I, op_ror((a), -(b)))
#define BODY_ROR(I, a, b)       D(I, op_ror((a), (b)))
#define BODY_SH1ADD(I, a, b)    D(I, ((a) << 1) + (b))
#define BODY_SH2ADD(I, a, b)    D(I, ((a) << 2) + (b))
#define BODY_SH3ADD(I, a, b)    D(I, ((a) << 3) + (b))
#define BODY_BCLR(I, a, b)      D(I, (a) & ~BIT((b)))
#define BODY_BEXT(I, a, b)      D(I, (a) >> ((b)&63) & 1)
#define BODY_BINV(I, a, b)      D(I, (a) ^ BIT((b)))
#define BODY_BSET(I, a, b)      D(I, (a) | BIT((b)))
#define BODY_CZERO_EQZ(I, a, b) D(I, (b) == 0 ? 0 : (a))
#define BODY_CZERO_NEZ(I, a, b) D(I, (b) != 0 ? 0 : (a))

#define BODY_CMOV_EQZ(I, a, b) D(I, (b) == 0 ? (a) : OLD(I))
#define BODY_CMOV_NEZ(I, a, b) D(I, (b) != 0 ? (a) : OLD(I))

#define BODY_ADDW(I, a, b)  D(I, W((a) + (b)))
#define BODY_SUBW(I, a, b)  D(I, W((a) - (b)))
#define BODY_SLLW(I, a, b)  D(I, W((uint32_t)(a) << ((b)&31)))
#define BODY_SRLW(I, a, b)  D(I, W((uint32_t)(a) >> ((b)&31)))
#define BODY_SRAW(I, a, b)  D(I, U64((int64_t)((int32_t)(a) >> ((b)&31))))
#define BODY_MULW(I, a, b)  D(I, W((uint32_t)(a) * (uint32_t)(b)))
#define BODY_DIVW(I, a, b)  D(I, op_divw((a), (b)))
#define BODY_DIVUW(I, a, b) D(I, op_divuw((a), (b)))
#define BODY_REMW(I, a, b)  D(I, op_remw((a), (b)))
#define BODY_REMUW(I, a, b) D(I, op_remuw((a), (b)))
#define BODY_ROLW(I, a, b)  D(I, op_rorw((a), -(b)))
#define BODY_RORW(I, a, b)  D(I, op_rorw((a), (b)))

#define BODY_ADD_UW(I, a, b)    D(I, (uint32_t)(a) + (b))
#define BODY_SH1ADD_UW(I, a, b) D(I, (U64((uint32_t)(a)) << 1) + (b))
#define BODY_SH2ADD_UW(I, a, b) D(I, (U64((uint32_t)(a)) << 2) + (b))
#define BODY_SH3ADD_UW(I, a, b) D(I, (U64((uint32_t)(a)) << 3) + (b))

/* ---- d := op a -------------------------------------------------------------------------- */

#define BODY_MOVE(I, a, b)   D(I, (a))
#define BODY_CLZ(I, a, b)    D(I, op_clz((a)))
#define BODY_CTZ(I, a, b)    D(I, op_ctz((a)))
#define BODY_CPOP(I, a, b)   D(I, (uint64_t)__builtin_popcountll((a)))
#define BODY_SEXT_B(I, a, b) D(I, U64((int64_t)(int8_t)(a)))
#define BODY_SEXT_H(I, a, b) D(I, U64((int64_t)(int16_t)(a)))
#define BODY_SEXT_W(I, a, b) D(I, W((a)))
#define BODY_ZEXT_H(I, a, b) D(I, (uint16_t)(a))
#define BODY_ZEXT_W(I, a, b) D(I, (uint32_t)(a))
#define BODY_ORC_B(I, a, b)  D(I, op_orc_b((a)))
#define BODY_REV8(I, a, b)   D(I, __builtin_bswap64((a)))
#define BODY_CLZW(I, a, b)   D(I, op_clzw((a)))
#define BODY_CTZW(I, a, b)   D(I, op_ctzw((a)))
#define BODY_CPOPW(I, a, b)  D(I, (uint64_t)__builtin_popcount((uint32_t)(a)))

/* ---- d := a op immediate ---------------------------------------------------------------- */

#define BODY_ADDI(I, a, b)    D(I, (a) + IMM(I))
#define BODY_SLTI(I, a, b)    D(I, S64((a)) < (I)->imm)
#define BODY_SLTIU(I, a, b)   D(I, (a) < IMM(I))
#define BODY_XORI(I, a, b)    D(I, (a) ^ IMM(I))
#define BODY_ORI(I, a, b)     D(I, (a) | IMM(I))
#define BODY_ANDI(I, a, b)    D(I, (a)&IMM(I))
#define BODY_SLLI(I, a, b)    D(I, (a) << ((I)->lo & 63))
#define BODY_SRLI(I, a, b)    D(I, (a) >> ((I)->lo & 63))
#define BODY_SRAI(I, a, b)    D(I, U64(S64((a)) >> ((I)->lo & 63)))
#define BODY_RORI(I, a, b)    D(I, op_ror((a), (uint32_t)(I)->lo))
#define BODY_BEXTI(I, a, b)   D(I, (a) >> ((I)->lo & 63) & 1)
#define BODY_ADDIW(I, a, b)   D(I, W((a) + IMM(I)))
#define BODY_SLLIW(I, a, b)   D(I, W((uint32_t)(a) << ((I)->lo & 31)))
#define BODY_SRLIW(I, a, b)   D(I, W((uint32_t)(a) >> ((I)->lo & 31)))
#define BODY_SRAIW(I, a, b)   D(I, U64((int64_t)((int32_t)(a) >> ((I)->lo & 31))))
#define BODY_RORIW(I, a, b)   D(I, op_rorw((a), (uint32_t)(I)->lo))
#define BODY_SLLI_UW(I, a, b) D(I, U64((uint32_t)(a)) << ((I)->lo & 63))
#define BODY_LI(I, a, b)      D(I, IMM(I))

#define BODY_SGTI(I, a, b)      D(I, S64((a)) > (I)->imm)
#define BODY_SGTIU(I, a, b)     D(I, (a) > IMM(I))
#define BODY_MULI(I, a, b)      D(I, (a)*IMM(I))
#define BODY_MULIW(I, a, b)     D(I, W((uint32_t)(a) * (uint32_t)(I)->lo))
#define BODY_ISUB(I, a, b)      D(I, IMM(I) - (a))
#define BODY_ISUBW(I, a, b)     D(I, W(IMM(I) - (a)))
#define BODY_ISLL(I, a, b)      D(I, IMM(I) << ((a)&63))
#define BODY_ISRL(I, a, b)      D(I, IMM(I) >> ((a)&63))
#define BODY_ISRA(I, a, b)      D(I, U64((I)->imm >> ((a)&63)))
#define BODY_IROR(I, a, b)      D(I, op_ror(IMM(I), (a)))
#define BODY_ISLLW(I, a, b)     D(I, W((uint32_t)(I)->lo << ((a)&31)))
#define BODY_ISRLW(I, a, b)     D(I, W((uint32_t)(I)->lo >> ((a)&31)))
#define BODY_ISRAW(I, a, b)     D(I, U64((int64_t)((I)->lo >> ((a)&31))))
#define BODY_IRORW(I, a, b)     D(I, op_rorw(IMM(I), (a)))
#define BODY_CMOVI_EQZ(I, a, b) D(I, (a) == 0 ? IMM(I) : OLD(I))
#define BODY_CMOVI_NEZ(I, a, b) D(I, (a) != 0 ? IMM(I) : OLD(I))

/* ---- memory ----------------------------------------------------------------------------- */

/* The access lies on one page and that page is ready for it. Everything else, straddles included,
 * takes the way around by `touch`. */
#define READY(at, width, bit)                                                          \
    (__builtin_expect(((at) & (JAVM_PAGE_SIZE - 1)) <= JAVM_PAGE_SIZE - (width), 1) && \
     __builtin_expect(access[(at) >> JAVM_PAGE_SHIFT] & (bit), 1))

#define LOAD_AS(I, a, type, width)                     \
    do {                                               \
        const uint32_t at_ = (uint32_t)((a) + IMM(I)); \
        type value_;                                   \
        if (!READY(at_, width, PAGE_READ))             \
            LEAVE(I, touch);                           \
        memcpy(&value_, base + at_, width);            \
        D(I, (uint64_t)(int64_t)value_);               \
    } while (0)

#define STORE_AS(I, a, b, type, width) STORE_TO(I, (a) + IMM(I), b, type, width)
#define STORE_TO(I, address, b, type, width)      \
    do {                                          \
        const uint32_t at_ = (uint32_t)(address); \
        const type value_ = (type)(b);            \
        if (!READY(at_, width, PAGE_WRITE))       \
            LEAVE(I, touch);                      \
        memcpy(base + at_, &value_, width);       \
    } while (0)

#define BODY_LB(I, a, b)  LOAD_AS(I, a, int8_t, 1)
#define BODY_LH(I, a, b)  LOAD_AS(I, a, int16_t, 2)
#define BODY_LW(I, a, b)  LOAD_AS(I, a, int32_t, 4)
#define BODY_LD(I, a, b)  LOAD_AS(I, a, uint64_t, 8)
#define BODY_LBU(I, a, b) LOAD_AS(I, a, uint8_t, 1)
#define BODY_LHU(I, a, b) LOAD_AS(I, a, uint16_t, 2)
#define BODY_LWU(I, a, b) LOAD_AS(I, a, uint32_t, 4)
#define BODY_SB(I, a, b)  STORE_AS(I, a, b, uint8_t, 1)
#define BODY_SH(I, a, b)  STORE_AS(I, a, b, uint16_t, 2)
#define BODY_SW(I, a, b)  STORE_AS(I, a, b, uint32_t, 4)
#define BODY_SD(I, a, b)  STORE_AS(I, a, b, uint64_t, 8)

#define STORE_IMM(I, a, type, width) STORE_TO(I, (a) + U64((int64_t)(I)->lo), (I)->hi, type, width)
#define BODY_SBI(I, a, b)            STORE_IMM(I, a, uint8_t, 1)
#define BODY_SHI(I, a, b)            STORE_IMM(I, a, uint16_t, 2)
#define BODY_SWI(I, a, b)            STORE_IMM(I, a, uint32_t, 4)
#define BODY_SDI(I, a, b)            STORE_IMM(I, a, int64_t, 8)

/* ---- control ---------------------------------------------------------------------------- */

/* Arrive at a block header: the gate of PVM2 9.1. */
#define ENTER(header)                           \
    do {                                        \
        ip = (header);                          \
        if (__builtin_expect(gas < IMM(ip), 0)) \
            goto out_of_gas;                    \
        gas -= IMM(ip);                         \
        ip++;                                   \
        NEXT;                                   \
    } while (0)

#define TARGET(I) (const struct ir_insn *)(const void *)((const char *)(I) + (I)->hi)

/* What follows a branch in the array is always a header. */
#define BRANCH_IF(I, condition) \
    do {                        \
        if (condition)          \
            ENTER(TARGET(I));   \
        ENTER((I) + 1);         \
    } while (0)

#define TEST_BEQ(a, b)  ((a) == (b))
#define TEST_BNE(a, b)  ((a) != (b))
#define TEST_BLT(a, b)  (S64((a)) < S64((b)))
#define TEST_BGE(a, b)  (S64((a)) >= S64((b)))
#define TEST_BLTU(a, b) ((a) < (b))
#define TEST_BGEU(a, b) ((a) >= (b))

#define BODY_BEQ(I, a, b)  BRANCH_IF(I, TEST_BEQ(a, b))
#define BODY_BNE(I, a, b)  BRANCH_IF(I, TEST_BNE(a, b))
#define BODY_BLT(I, a, b)  BRANCH_IF(I, TEST_BLT(a, b))
#define BODY_BGE(I, a, b)  BRANCH_IF(I, TEST_BGE(a, b))
#define BODY_BLTU(I, a, b) BRANCH_IF(I, TEST_BLTU(a, b))
#define BODY_BGEU(I, a, b) BRANCH_IF(I, TEST_BGEU(a, b))

#define WITH_LO(I)          U64((int64_t)(I)->lo)
#define TEST_BEQI(I, a)     ((a) == WITH_LO(I))
#define TEST_BNEI(I, a)     ((a) != WITH_LO(I))
#define TEST_BLTI(I, a)     (S64((a)) < (I)->lo)
#define TEST_BGEI(I, a)     (S64((a)) >= (I)->lo)
#define TEST_BLTUI(I, a)    ((a) < WITH_LO(I))
#define TEST_BGEUI(I, a)    ((a) >= WITH_LO(I))
#define TEST_BLEI(I, a)     (S64((a)) <= (I)->lo)
#define TEST_BGTI(I, a)     (S64((a)) > (I)->lo)
#define TEST_BLEUI(I, a)    ((a) <= WITH_LO(I))
#define TEST_BGTUI(I, a)    ((a) > WITH_LO(I))
#define BODY_BEQI(I, a, b)  BRANCH_IF(I, TEST_BEQI(I, a))
#define BODY_BNEI(I, a, b)  BRANCH_IF(I, TEST_BNEI(I, a))
#define BODY_BLTI(I, a, b)  BRANCH_IF(I, TEST_BLTI(I, a))
#define BODY_BGEI(I, a, b)  BRANCH_IF(I, TEST_BGEI(I, a))
#define BODY_BLTUI(I, a, b) BRANCH_IF(I, TEST_BLTUI(I, a))
#define BODY_BGEUI(I, a, b) BRANCH_IF(I, TEST_BGEUI(I, a))
#define BODY_BLEI(I, a, b)  BRANCH_IF(I, TEST_BLEI(I, a))
#define BODY_BGTI(I, a, b)  BRANCH_IF(I, TEST_BGTI(I, a))
#define BODY_BLEUI(I, a, b) BRANCH_IF(I, TEST_BLEUI(I, a))
#define BODY_BGTUI(I, a, b) BRANCH_IF(I, TEST_BGTUI(I, a))

#define BODY_JUMP(I, a, b) ENTER(TARGET(I))
#define BODY_LI_JUMP(I, a, b)        \
    do {                             \
        D(I, U64((int64_t)(I)->lo)); \
        ENTER(TARGET(I));            \
    } while (0)
#define BODY_JAL(I, a, b)        \
    do {                         \
        D(I, (uint32_t)(I)->lo); \
        ENTER(TARGET(I));        \
    } while (0)
#define BODY_JALR(I, a, b)                                                                      \
    do {                                                                                        \
        const uint32_t half_ = ((uint32_t)((a) + U64((int64_t)(I)->lo)) - JAVM_CODE_BASE) >> 1; \
        uint32_t header_ = 0;                                                                   \
        D(I, (uint32_t)(I)->hi);                                                                \
        if (half_ < landing_count)                                                              \
            header_ = landing[half_];                                                           \
        if (__builtin_expect(header_ == 0, 0))                                                  \
            LEAVE(I, panic);                                                                    \
        ENTER(insns + header_);                                                                 \
    } while (0)

/* Through the jump table; `link` is done when there is an entry. An odd target becomes a very large
 * index, and so do 0 and the one that halts. */
#define TABLE_JUMP(I, a, offset, link)                                                          \
    do {                                                                                        \
        const uint32_t to_ = (uint32_t)((a) + U64((int64_t)(offset))) - 2;                      \
        const uint32_t at_ = to_ >> 1 | to_ << 31;                                              \
        const uint32_t header_ = at_ < program->front.key.jump_count ? program->jumps[at_] : 0; \
        if (__builtin_expect(header_ == 0, 0))                                                  \
            LEAVE(I, no_entry);                                                                 \
        link;                                                                                   \
        ENTER(insns + header_);                                                                 \
    } while (0)
#define BODY_DJUMP(I, a, b)    TABLE_JUMP(I, a, (I)->lo, (void)0)
#define BODY_LI_DJUMP(I, a, b) TABLE_JUMP(I, a, (I)->hi, D(I, U64((int64_t)(I)->lo)))

#endif
