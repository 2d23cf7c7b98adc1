#include "tests/vm/lockstep_asm.h"

#include <string.h>

/* ---- tables ----------------------------------------------------------------------------- */

enum {
    FORMAT_U,
    FORMAT_J,
    FORMAT_I,
    FORMAT_B,
    FORMAT_L,
    FORMAT_S,
    FORMAT_SH6,
    FORMAT_SH5,
    FORMAT_R,
    FORMAT_R1,
    FORMAT_F,
    FORMAT_X,
    FORMAT_E,
    FORMATS
};
static const uint8_t formats[PVM2_OP_COUNT] = {
#define X(name, text, format) [PVM2_##name] = FORMAT_##format,
    PVM2_OPS(X)
#undef X
};
/* Kind + 1; 0 for the others. */
static const uint8_t kind_of_format[FORMATS] = {
    [FORMAT_R] = ASM_R + 1,     [FORMAT_R1] = ASM_R1 + 1,   [FORMAT_I] = ASM_I + 1,
    [FORMAT_SH6] = ASM_I + 1,   [FORMAT_SH5] = ASM_I + 1,   [FORMAT_L] = ASM_LOAD + 1,
    [FORMAT_S] = ASM_STORE + 1, [FORMAT_B] = ASM_BRANCH + 1};

static uint8_t kinds[ASM_KINDS][PVM2_OP_COUNT];
static uint32_t kind_counts[ASM_KINDS];

/* Open addressing; a word is never 0. */
#define SLOTS 65536u
static struct {
    uint32_t word;
    uint16_t half;
} compressed[SLOTS];

static uint32_t slot_of_word(uint32_t word)
{
    uint32_t at = (word * 0x9E3779B1u) >> 16;
    while (compressed[at].word != 0 && compressed[at].word != word)
        at = (at + 1) % SLOTS;
    return at;
}

uint16_t asm_compressed(uint32_t word)
{
    const uint32_t at = slot_of_word(word);
    return compressed[at].word == word ? compressed[at].half : 0;
}

static void make_tables(void)
{
    static bool made;
    if (made)
        return;
    made = true;
    for (uint8_t op = 0; op < PVM2_RESERVED; op++) {
        const unsigned kind = kind_of_format[formats[op]];
        if (kind != 0 && op != PVM2_JALR)
            kinds[kind - 1][kind_counts[kind - 1]++] = op;
    }
    for (uint32_t half = 0; half < 65536; half++) {
        if ((half & 3) == 3)
            continue;
        const struct pvm2_insn insn = pvm2_decode16((uint16_t)half);
        if (insn.op == PVM2_RESERVED)
            continue;
        const uint32_t word = pvm2_encode32(&insn), at = slot_of_word(word);
        if (compressed[at].word == 0) {
            compressed[at].word = word;
            compressed[at].half = (uint16_t)half;
        }
    }
}

/* ---- operands --------------------------------------------------------------------------- */

void asm_begin(struct lock_asm *a, struct random *random)
{
    static const uint8_t hot[] = {1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4};
    make_tables();
    a->random = random;
    a->len = a->fixup_count = a->label_count = a->locked = 0;
    a->full = false;
    a->terminated = true;
    a->pool_count = chance(random, 25) ? 15 : 13;
    memcpy(a->pool, hot, a->pool_count);
    if (chance(random, 20)) { /* few registers: results meet soon */
        for (unsigned i = 0; i < 7; i++) {
            const uint32_t j = i + (uint32_t)random_below(random, a->pool_count - i);
            const uint8_t t = a->pool[i];
            a->pool[i] = a->pool[j];
            a->pool[j] = t;
        }
        a->pool_count = 7;
    }
    static const uint8_t compress[] = {0, 30, 60, 90};
    a->compress = compress[random_below(random, 4)];
}

enum pvm2_op asm_any(struct lock_asm *a, enum asm_kind kind)
{
    return (enum pvm2_op)kinds[kind][random_below(a->random, kind_counts[kind])];
}

unsigned asm_free(struct lock_asm *a)
{
    unsigned first = (unsigned)random_below(a->random, a->pool_count);
    for (unsigned i = 0; i < a->pool_count; i++) {
        const unsigned x = a->pool[(first + i) % a->pool_count];
        if (!(a->locked >> x & 1))
            return x;
    }
    return 0;
}

unsigned asm_dst(struct lock_asm *a)
{
    return chance(a->random, 3) ? 0 : asm_free(a);
}

unsigned asm_src(struct lock_asm *a)
{
    return chance(a->random, 6) ? 0 : a->pool[random_below(a->random, a->pool_count)];
}

int32_t asm_imm(struct lock_asm *a, enum pvm2_op op)
{
    static const int16_t corners[] = {-2048, -2047, -1, 0, 1, 2047, 1024, -1024, 31, 32, 63, 255};
    const uint64_t word = random_u64(a->random);
    const int32_t any = (int32_t)(word >> 8 & 4095) - 2048;
    switch (formats[op]) {
    case FORMAT_SH6:
        return (word & 3) == 0 ? 32 : (int32_t)(word >> 8 & 63);
    case FORMAT_SH5:
        return (int32_t)(word >> 8 & 31);
    case FORMAT_U:
        return (int32_t)((uint32_t)((word & 1) != 0 ? any : (int32_t)(word >> 30 & 0xFFFFF)) << 12);
    case FORMAT_I:
    case FORMAT_L:
    case FORMAT_S:
        if ((word & 7) < 3)
            return any % 32;
        return (word & 7) < 5 ? corners[(word >> 8) % 12] : any;
    default:
        return 0;
    }
}

/* ---- output ----------------------------------------------------------------------------- */

static bool room(struct lock_asm *a, unsigned size)
{
    if (a->len + size > ASM_BYTES)
        a->full = true;
    return !a->full;
}

static void store(uint8_t *to, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

void asm_raw(struct lock_asm *a, uint32_t value, unsigned size, bool terminates)
{
    if (!room(a, size))
        return;
    store(a->code + a->len, value, size);
    a->len += size;
    a->terminated = terminates;
}

static uint32_t encode(enum pvm2_op op, unsigned rd, unsigned rs1, unsigned rs2, int32_t imm)
{
    const struct pvm2_insn insn = {.op = (uint8_t)op,
                                   .rd = (uint8_t)rd,
                                   .rs1 = (uint8_t)rs1,
                                   .rs2 = (uint8_t)rs2,
                                   .len = 4,
                                   .imm = imm};
    REQUIRE(pvm2_imm_fits(op, imm));
    return pvm2_encode32(&insn);
}

void asm_put(struct lock_asm *a, enum pvm2_op op, unsigned rd, unsigned rs1, unsigned rs2,
             int32_t imm)
{
    const uint32_t word = encode(op, rd, rs1, rs2, imm);
    const uint16_t half = chance(a->random, a->compress) ? asm_compressed(word) : 0;
    asm_raw(a, half != 0 ? half : word, half != 0 ? 2 : 4, pvm2_is_terminator(op));
}

void asm_li(struct lock_asm *a, unsigned rd, uint32_t value)
{
    const uint32_t low = (value & 0xFFF) ^ 0x800;
    const int32_t imm = (int32_t)low - 0x800;
    const int32_t high = (int32_t)(value - (uint32_t)imm);
    if (high == 0) {
        asm_put(a, PVM2_ADDI, rd, 0, 0, imm);
        return;
    }
    asm_put(a, PVM2_LUI, rd, 0, 0, high);
    if (imm != 0 || chance(a->random, 50))
        asm_put(a, chance(a->random, 50) ? PVM2_ADDIW : PVM2_ADDI, rd, rd, 0, imm);
}

unsigned asm_label(struct lock_asm *a)
{
    if (a->label_count == ASM_LABELS) {
        a->full = true;
        return 0;
    }
    a->labels[a->label_count] = 0;
    return a->label_count++;
}

void asm_mark(struct lock_asm *a, unsigned label)
{
    a->labels[label] = a->len;
}

void asm_block(struct lock_asm *a, unsigned label)
{
    if (!a->terminated)
        asm_put(a, PVM2_FALLTHROUGH, 0, 0, 0, 0);
    asm_mark(a, label);
}

static struct asm_fixup *fixup(struct lock_asm *a, unsigned size, unsigned label, int delta)
{
    if (!room(a, size) || a->fixup_count == ASM_LABELS) {
        a->full = true;
        return NULL;
    }
    struct asm_fixup *f = &a->fixups[a->fixup_count++];
    *f = (struct asm_fixup){
        .at = a->len, .label = (uint16_t)label, .delta = (int16_t)delta, .size = (uint8_t)size};
    a->len += size;
    return f;
}

void asm_jump(struct lock_asm *a, enum pvm2_op op, unsigned rd, unsigned rs1, unsigned rs2,
              unsigned label, int delta)
{
    /* Which ones have a short form does not depend on the distance, as long as it is small. */
    const bool small =
        chance(a->random, a->compress) && asm_compressed(encode(op, rd, rs1, rs2, 4));
    struct asm_fixup *f = fixup(a, small ? 2 : 4, label, delta);
    if (f == NULL)
        return;
    f->insn = (struct pvm2_insn){
        .op = (uint8_t)op, .rd = (uint8_t)rd, .rs1 = (uint8_t)rs1, .rs2 = (uint8_t)rs2, .len = 4};
    a->terminated = true;
}

void asm_far(struct lock_asm *a, enum pvm2_op op, unsigned rd, unsigned base, unsigned label,
             int delta)
{
    struct asm_fixup *f = fixup(a, 8, label, delta);
    if (f == NULL)
        return;
    f->insn =
        (struct pvm2_insn){.op = (uint8_t)op, .rd = (uint8_t)rd, .rs1 = (uint8_t)base, .len = 4};
    a->terminated = pvm2_is_terminator(op);
}

void asm_la(struct lock_asm *a, unsigned rd, unsigned label, int delta)
{
    asm_far(a, PVM2_ADDI, rd, rd, label, delta);
}

void asm_finish(struct lock_asm *a)
{
    for (uint32_t i = 0; i < a->fixup_count; i++) {
        struct asm_fixup *f = &a->fixups[i];
        uint8_t *at = a->code + f->at;
        const int32_t distance = (int32_t)a->labels[f->label] + f->delta - (int32_t)f->at;
        if (f->size == 8) {
            const int32_t low = (int32_t)(((uint32_t)distance & 0xFFF) ^ 0x800) - 0x800;
            f->insn.imm = low;
            store(at, encode(PVM2_AUIPC, f->insn.rs1, 0, 0, distance - low), 4);
            store(at + 4, pvm2_encode32(&f->insn), 4);
            continue;
        }
        /* A distance that does not fit leaves a no-op: a program as good as another. */
        uint32_t word = 0x00000013, half = 0x0001;
        f->insn.imm = distance;
        if (pvm2_imm_fits((enum pvm2_op)f->insn.op, distance))
            word = pvm2_encode32(&f->insn);
        if (f->size == 2 && asm_compressed(word) != 0)
            half = asm_compressed(word);
        store(at, f->size == 2 ? half : word, f->size);
    }
}
