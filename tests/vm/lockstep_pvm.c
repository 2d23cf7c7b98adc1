/* Random PVM programs of both profiles: sensible ones, that loop, jump through the table and into
 * the middle of blocks and access memory, and bytes with a bitmask that have no sense at all. */
#include <string.h>

#include "tests/vm/lockstep.h"

#define CODE_MAX  6000u
#define INSNS_MAX 320u
#define JUMPS_MAX 40u

struct pvm_code {
    struct random *random;
    enum javm_pvm profile;
    unsigned features; /* 0: the profile's */
    uint8_t bytes[CODE_MAX + 64], bitmask[CODE_MAX / 8 + 8];
    uint32_t len;
    uint32_t starts[INSNS_MAX + 8]; /* of instructions */
    uint8_t begins_block[INSNS_MAX + 8];
    uint32_t count;
    /* Four bytes at `at` are to become the distance from `from` to a random instruction. */
    struct {
        uint32_t at, from;
    } fixups[INSNS_MAX + 8];
    uint32_t fixup_count;
    uint32_t jumps[JUMPS_MAX];
    uint32_t jump_count;
    uint32_t calm; /* an address that most accesses stay near to */
    bool starts_block;
};

static uint64_t below(struct pvm_code *c, uint64_t n)
{
    return random_below(c->random, n);
}

static void put(struct pvm_code *c, uint64_t value, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        c->bytes[c->len++] = (uint8_t)(value >> (8 * i));
}

_Static_assert(JAVM_PVM_UNLIKELY == 1 && JAVM_PVM_ECALL == 2, "bits of opcodes 2 and 3");
static bool has(const struct pvm_code *c, unsigned feature)
{
    const unsigned usual =
        c->profile == JAVM_PVM_GP ? JAVM_PVM_SBRK : JAVM_PVM_UNLIKELY | JAVM_PVM_ECALL;
    return ((c->features != 0 ? c->features : usual) & feature) != 0;
}

static void begin(struct pvm_code *c, uint8_t opcode)
{
    c->begins_block[c->count] = c->starts_block;
    c->starts[c->count++] = c->len;
    c->bitmask[c->len / 8] |= (uint8_t)(1u << (c->len % 8));
    c->starts_block = opcode <= 1 || (opcode <= 3 && has(c, 1u << (opcode - 2))) || opcode == 10 ||
                      opcode == 40 || opcode == 50 || (opcode >= 80 && opcode <= 90) ||
                      (opcode >= 170 && opcode <= 175) || opcode == 180;
    put(c, opcode, 1);
}

/* φ[1] and φ[2] hold addresses most of the time. */
static uint8_t target_register(struct pvm_code *c)
{
    const uint8_t r = (uint8_t)below(c, chance(c->random, 3) ? 16 : 13);
    return (r == 1 || r == 2) && !chance(c->random, 5) ? 7 : r;
}

static uint8_t source_register(struct pvm_code *c)
{
    return (uint8_t)below(c, chance(c->random, 3) ? 16 : 13);
}

static uint8_t address_register(struct pvm_code *c)
{
    return chance(c->random, 90) ? (uint8_t)(1 + below(c, 2)) : source_register(c);
}

static void fix_up(struct pvm_code *c, uint32_t from)
{
    c->fixups[c->fixup_count].at = c->len;
    c->fixups[c->fixup_count++].from = from;
    put(c, 0, 4);
}

/* Bytes of an immediate, as many as it takes or more; sometimes none. */
static void put_imm(struct pvm_code *c, int64_t imm)
{
    const unsigned fits = imm == (int8_t)imm ? 1 : imm == (int16_t)imm ? 2 : 4;
    const unsigned n = chance(c->random, 10) ? 0 : fits + (unsigned)below(c, 5 - fits);
    put(c, (uint64_t)imm, n);
}

static int64_t some_imm(struct pvm_code *c)
{
    return chance(c->random, 50) ? (int64_t)below(c, 200) - 100 : (int32_t)lock_value(c->random);
}

static int64_t displacement(struct pvm_code *c)
{
    return chance(c->random, 90) ? (int64_t)below(c, 2000) - 1000 : (int32_t)lock_value(c->random);
}

static uint64_t absolute(struct pvm_code *c)
{
    return chance(c->random, 90) ? c->calm + below(c, 2000) - 1000 : lock_value(c->random);
}

static void put_registers(struct pvm_code *c, uint8_t low, uint8_t high)
{
    put(c, (uint32_t)low | (uint32_t)high << 4, 1);
}

/* A jump through the table, from a register that was just set to one of its addresses. */
static void put_table_jump(struct pvm_code *c)
{
    const uint8_t r = (uint8_t)(3 + below(c, 10));
    uint64_t at = 2 * (1 + below(c, c->jump_count + 1));
    if (chance(c->random, 8))
        at = chance(c->random, 50) ? 0xFFFF0000 : lock_value(c->random);
    begin(c, 51);
    put(c, r, 1);
    put(c, at, 4);
    if (chance(c->random, 50)) {
        begin(c, 50);
        put(c, r, 1);
        if (chance(c->random, 10))
            put(c, below(c, 4), 1);
    } else {
        const int32_t link = (int32_t)some_imm(c);
        begin(c, 180);
        put_registers(c, chance(c->random, 20) ? r : target_register(c), r);
        put(c, 4, 1);
        put(c, (uint32_t)link, 4);
        if (chance(c->random, 10))
            put(c, below(c, 4), 1);
    }
}

static void put_control(struct pvm_code *c)
{
    const uint32_t from = c->len;
    switch (below(c, 9)) {
    case 0:
        begin(c, 40);
        fix_up(c, from);
        break;
    case 1:
        put_table_jump(c);
        break;
    case 2: {
        begin(c, 80);
        put(c, target_register(c) | 4u << 4, 1);
        put(c, (uint64_t)some_imm(c), 4);
        fix_up(c, from);
        break;
    }
    case 3:
        begin(c, 1);
        break;
    case 4:
        if (chance(c->random, 20)) {
            begin(c, 10);
            put_imm(c, some_imm(c));
        } else {
            begin(c, has(c, JAVM_PVM_ECALL) && chance(c->random, 20) ? 3
                     : has(c, JAVM_PVM_UNLIKELY)                     ? 2
                                                                     : 1);
        }
        break;
    case 5:
    case 6:
        begin(c, (uint8_t)(81 + below(c, 10)));
        put(c, source_register(c) | 1u << 4, 1);
        put(c, (uint64_t)some_imm(c), 1);
        fix_up(c, from);
        break;
    default:
        begin(c, (uint8_t)(170 + below(c, 6)));
        put_registers(c, source_register(c), source_register(c));
        fix_up(c, from);
        break;
    }
}

/* Most fill a few bytes near to where others are, or over the end of pages. */
static void put_memset(struct pvm_code *c)
{
    begin(c, 149);
    put_registers(c, 7, address_register(c));
    put(c, (uint64_t)displacement(c), 4);
    begin(c, 51);
    put(c, 9, 1);
    put(c, chance(c->random, 90) ? below(c, 300) : below(c, 20000), 4);
    begin(c, JAVM_PVM_OP_MEMSET);
}

static void put_access(struct pvm_code *c)
{
    uint8_t n;
    if (has(c, JAVM_PVM_MEMSET) && chance(c->random, 20)) {
        put_memset(c);
        return;
    }
    switch (below(c, 8)) {
    case 0:
        begin(c, (uint8_t)(30 + below(c, 4)));
        put(c, 4, 1);
        put(c, absolute(c), 4);
        put_imm(c, some_imm(c));
        break;
    case 1:
        begin(c, (uint8_t)(52 + below(c, 11)));
        put(c, target_register(c) | (unsigned)below(c, 16) << 4, 1);
        put(c, absolute(c), 4);
        break;
    case 2:
        begin(c, (uint8_t)(70 + below(c, 4)));
        n = (uint8_t)(below(c, 2) * 2 + 2);
        put_registers(c, address_register(c), n);
        put(c, (uint64_t)displacement(c), n);
        put_imm(c, some_imm(c));
        break;
    case 3:
    case 4:
        begin(c, (uint8_t)(120 + below(c, 4)));
        put_registers(c, source_register(c), address_register(c));
        put_imm(c, displacement(c));
        break;
    default:
        begin(c, (uint8_t)(124 + below(c, 7)));
        put_registers(c, target_register(c), address_register(c));
        put_imm(c, displacement(c));
        break;
    }
}

static void put_computing(struct pvm_code *c)
{
    switch (below(c, 8)) {
    case 0:
        begin(c, 20);
        put(c, target_register(c), 1);
        put(c, lock_value(c->random), 8);
        break;
    case 1:
        begin(c, 51);
        put(c, target_register(c), 1);
        put_imm(c, some_imm(c));
        break;
    case 2: {
        uint8_t op = (uint8_t)(100 + below(c, 12));
        if (op == 101 && (!has(c, JAVM_PVM_SBRK) || chance(c->random, 50)))
            op = 100;
        begin(c, op);
        put_registers(c, target_register(c), source_register(c));
        break;
    }
    case 3:
    case 4:
        begin(c, (uint8_t)(131 + below(c, 31)));
        put_registers(c, target_register(c), source_register(c));
        put_imm(c, some_imm(c));
        break;
    default:
        begin(c, (uint8_t)(190 + below(c, 41)));
        put_registers(c, source_register(c), source_register(c));
        put(c, target_register(c), 1);
        break;
    }
}

static void put_three(struct pvm_code *c, uint8_t op, uint8_t d, uint8_t a, uint8_t b)
{
    begin(c, op);
    put_registers(c, a, b);
    put(c, d, 1);
}

static void put_two(struct pvm_code *c, uint8_t op, uint8_t d, uint8_t a, uint64_t imm, unsigned n)
{
    begin(c, op);
    put_registers(c, d, a);
    put(c, imm, n);
}

/* Neighbours that the recompiler takes as one; registers are sometimes not those that allow it. */
static void put_pair(struct pvm_code *c)
{
    const uint8_t d = target_register(c), a = source_register(c), b = source_register(c);
    const uint8_t e = chance(c->random, 85) ? d : target_register(c);
    switch (below(c, 8)) {
    case 0: { /* a comparison and the branch on it */
        if (chance(c->random, 50))
            put_three(c, (uint8_t)(216 + below(c, 2)), d, a, b);
        else
            put_two(c, (uint8_t)(136 + below(c, 2)), d, a, (uint64_t)some_imm(c), 1);
        const uint32_t from = c->len;
        begin(c, (uint8_t)(81 + below(c, 2)));
        put(c, e | 1u << 4, 1);
        put(c, chance(c->random, 85) ? 0 : 1, 1);
        fix_up(c, from);
        break;
    }
    case 1: /* the sum of two registers as an address, or of one and a scaled one */
        put_two(c, 51, 5, 0, below(c, 500), 2);
        if (chance(c->random, 50)) {
            put_three(c, 200, d, address_register(c), 5);
        } else {
            put_two(c, 151, d, 5, below(c, 5), 1);
            put_three(c, 200, d, d, address_register(c));
        }
        put_two(c, (uint8_t)(124 + below(c, 7)), e, d, below(c, 100), 1);
        break;
    case 2: /* both halves of a product */
        put_three(c, chance(c->random, 50) ? 202 : 214, d, a, b);
        put_three(c, chance(c->random, 50) ? 202 : 214, target_register(c), a, b);
        break;
    case 3: /* a carry */
        put_three(c, 200, d, a, b);
        put_three(c, 216, target_register(c), e, chance(c->random, 50) ? a : b);
        break;
    case 4: /* an extension */
        put_two(c, 151, d, a, below(c, 8) * 8, 1);
        put_two(c, (uint8_t)(152 + below(c, 2)), e, d, c->bytes[c->len - 1], 1);
        break;
    case 5: /* a scaled index and its base */
        put_two(c, 151, d, a, below(c, 5), 1);
        put_three(c, 200, e, d, chance(c->random, 85) ? b : d);
        break;
    default: /* a constant */
        put_two(c, 51, d, 0, (uint64_t)some_imm(c), 4);
        put_two(c, chance(c->random, 50) ? 149 : 131, e, d, (uint64_t)some_imm(c), 4);
        break;
    }
}

static uint32_t any_place(struct pvm_code *c)
{
    for (unsigned trials = 0; trials < 100; trials++) {
        const uint32_t i = (uint32_t)below(c, c->count);
        if (c->profile != JAVM_PVM_GP || c->begins_block[i] || chance(c->random, 3))
            return c->starts[i];
    }
    return 0;
}

static void resolve(struct pvm_code *c)
{
    for (uint32_t i = 0; i < c->fixup_count; i++) {
        uint32_t distance = any_place(c) - c->fixups[i].from;
        if (chance(c->random, 2))
            distance += (uint32_t)lock_value(c->random);
        for (unsigned k = 0; k < 4; k++)
            c->bytes[c->fixups[i].at + k] = (uint8_t)(distance >> (8 * k));
    }
    for (uint32_t i = 0; i < c->jump_count; i++)
        c->jumps[i] = chance(c->random, 95) ? any_place(c) : (uint32_t)below(c, c->len + 3);
}

static void damage(struct pvm_code *c)
{
    for (uint64_t n = 1 + below(c, 4); n != 0; n--) {
        if (chance(c->random, 50))
            c->bytes[below(c, c->len)] = (uint8_t)below(c, 256);
        else
            c->bitmask[below(c, (c->len + 7) / 8)] ^= (uint8_t)(1u << below(c, 8));
    }
}

static void make_program(struct pvm_code *c)
{
    const uint64_t count = 3 + below(c, chance(c->random, 80) ? 60 : INSNS_MAX - 80);
    const unsigned control = 5 + (unsigned)below(c, 30), access = (unsigned)below(c, 40);
    c->jump_count = (uint32_t)below(c, JUMPS_MAX);
    while (c->count < count) {
        const uint64_t k = below(c, 100);
        if (k < control)
            put_control(c);
        else if (k < control + access)
            put_access(c);
        else if (k >= 93)
            put_pair(c);
        else
            put_computing(c);
    }
    if (chance(c->random, 95))
        begin(c, 0);
    resolve(c);
    if (chance(c->random, 15))
        damage(c);
}

static void make_bytes(struct pvm_code *c)
{
    const uint32_t len = 1 + (uint32_t)below(c, 300);
    const unsigned density = 5 + (unsigned)below(c, 60);
    while (c->len < len) {
        if (c->len == 0 || chance(c->random, density)) {
            c->bitmask[c->len / 8] |= (uint8_t)(1u << (c->len % 8));
            put(c, below(c, 231), 1);
        } else {
            put(c, chance(c->random, 50) ? below(c, 256) : below(c, 16), 1);
        }
    }
    c->jump_count = (uint32_t)below(c, 6);
    for (uint32_t i = 0; i < c->jump_count; i++)
        c->jumps[i] = (uint32_t)below(c, len + 2);
}

/* From the end of some writable region up to the next one, at most 20 pages. */
static struct javm_heap some_heap(const struct lock_layout *layout, struct random *random)
{
    const uint32_t from = (uint32_t)random_below(random, layout->count);
    for (uint32_t k = 0; k < layout->count; k++) {
        const uint32_t i = (from + k) % layout->count;
        const struct javm_region *r = &layout->regions[i];
        const uint64_t end = (uint64_t)r->first_page + r->pages;
        const uint64_t next =
            i + 1 < layout->count ? layout->regions[i + 1].first_page : UINT64_C(1) << 20;
        if (r->writable && next > end)
            return (struct javm_heap){
                .top = (end << JAVM_PAGE_SHIFT) - random_below(random, 2) * 100,
                .limit = (next < end + 20 ? next : end + 20) << JAVM_PAGE_SHIFT};
    }
    return (struct javm_heap){.top = 0};
}

void lock_source_pvm(struct lock_program *program, struct random *random)
{
    static struct pvm_code c;
    memset(&c, 0, sizeof c);
    c.random = random;
    c.profile = chance(random, 60) ? JAVM_PVM_JAR1 : JAVM_PVM_GP;
    if (c.profile == JAVM_PVM_GP && chance(random, 50))
        c.features = 1 + (unsigned)random_below(random, 15);
    c.starts_block = true;
    struct lock_layout layout = {.count = 0};
    lock_layout_make(&layout, random);
    c.calm = lock_calm(&layout, random);
    if (chance(random, 85))
        make_program(&c);
    else
        make_bytes(&c);
    const struct javm_program_key key = {.footprint_pages = chance(random, 10) ? 9000 : 0,
                                         .pvm = c.profile,
                                         .features = c.features,
                                         .bitmask = c.bitmask,
                                         .jump_table = c.jumps,
                                         .jump_count = c.jump_count};
    lock_program_open(program, c.bytes, c.len, &key);
    program->layout = layout;
    program->heap = some_heap(&layout, random);
    for (unsigned i = 0; i < JAVM_NUM_REGS; i++)
        program->state.regs[i] =
            chance(random, 30) ? lock_edge(&layout, random) : lock_value(random);
    program->state.regs[1] = c.calm;
    program->state.regs[2] = lock_calm(&layout, random);
    program->state.pc = chance(random, 80) ? 0 : random_below(random, c.len + 2);
    program->state.gas = 5000;
    program->source = c.profile == JAVM_PVM_GP ? "pvm gp" : "pvm jar1";
}
