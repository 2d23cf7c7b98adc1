/* Structured random programs: loops with counters, calls and returns of every kind, computed jumps,
 * accesses that mostly succeed. Most come to an end, by an ecall or by a fault. */
#include "tests/vm/lockstep_gen.h"

static void lock_register(struct gen *g, unsigned x)
{
    g->a.locked |= 1u << x;
}

static void unlock_register(struct gen *g, unsigned x)
{
    g->a.locked &= ~(1u << x);
}

static unsigned count_free(const struct gen *g)
{
    unsigned count = 0;
    for (unsigned i = 0; i < g->a.pool_count; i++)
        count += !(g->a.locked >> g->a.pool[i] & 1);
    return count;
}

/* ---- bodies ----------------------------------------------------------------------------- */

void gen_alu(struct gen *g)
{
    struct lock_asm *a = &g->a;
    const unsigned k = (unsigned)random_below(g->random, 100);
    const unsigned d = asm_dst(a), s = chance(g->random, 35) ? d : asm_src(a);
    if (k < 45) {
        asm_put(a, asm_any(a, ASM_R), d, s, chance(g->random, 15) ? d : asm_src(a), 0);
    } else if (k < 80) {
        const enum pvm2_op op = asm_any(a, ASM_I);
        asm_put(a, op, d, s, 0, asm_imm(a, op));
    } else if (k < 92) {
        asm_put(a, asm_any(a, ASM_R1), d, s, 0, 0);
    } else if (k < 99) {
        asm_put(a, chance(g->random, 50) ? PVM2_LUI : PVM2_AUIPC, d, 0, 0, asm_imm(a, PVM2_LUI));
    } else {
        static const uint32_t fences[] = {0x0FF0000F, 0x0000100F, 0x8330000F, 0x0100000F};
        asm_raw(a, fences[random_below(g->random, 4)], 4, false);
    }
}

void gen_access(struct gen *g)
{
    struct lock_asm *a = &g->a;
    const bool load = chance(g->random, 50);
    enum pvm2_op op = asm_any(a, load ? ASM_LOAD : ASM_STORE);
    unsigned base = g->base, value = load ? asm_dst(a) : asm_src(a);
    int32_t imm = asm_imm(a, op);
    if (chance(g->random, g->risk)) {
        base = asm_free(a);
        if (base == 0)
            return;
        asm_li(a, base, lock_edge(g->layout, g->random) - (uint32_t)imm);
        if (chance(g->random, 30))
            asm_put(a, PVM2_BSETI, base, base, 0, 32 + (int32_t)random_below(g->random, 32));
        if (chance(g->random, 20))
            asm_put(a, PVM2_ADD_UW, base, base, 0, 0);
        if (load && chance(g->random, 30))
            value = base;
    } else if (g->risk != 0 && chance(g->random, 2)) {
        base = asm_src(a);
    } else if (chance(g->random, g->a.compress)) {
        static const uint8_t short_ops[] = {PVM2_LW, PVM2_LD, PVM2_SW, PVM2_SD};
        op = (enum pvm2_op)short_ops[(load ? 0 : 2) + random_below(g->random, 2)];
        imm = (int32_t)random_below(g->random, 32) * 8;
    }
    asm_put(a, op, load ? value : 0, base, load ? 0 : value, imm);
}

void gen_body(struct gen *g, unsigned most)
{
    for (uint64_t i = random_below(g->random, most + 1); i-- != 0;) {
        const unsigned k = (unsigned)random_below(g->random, 100);
        if (k < 45)
            gen_alu(g);
        else if (k < 70)
            gen_access(g);
        else if (k < 96)
            gen_pair(g);
        else if (k < 98)
            asm_put(&g->a, PVM2_FALLTHROUGH, 0, 0, 0, 0);
        else if (chance(g->random, 50))
            asm_put(&g->a, PVM2_ECALLI, 0, 0, 0, asm_imm(&g->a, PVM2_ADDI));
        else if (chance(g->random, 20))
            asm_put(&g->a, PVM2_ECALL_JAR, 0, 0, 0, 0);
    }
}

/* ---- control flow ----------------------------------------------------------------------- */

static void branch(struct gen *g, unsigned label)
{
    struct lock_asm *a = &g->a;
    if (chance(g->random, 35))
        asm_jump(a, chance(g->random, 50) ? PVM2_BEQ : PVM2_BNE, 0, asm_src(a), 0, label, 0);
    else
        asm_jump(a, asm_any(a, ASM_BRANCH), 0, asm_src(a), asm_src(a), label, 0);
}

static void forward(struct gen *g)
{
    struct lock_asm *a = &g->a;
    const unsigned label = asm_label(a);
    branch(g, label);
    gen_body(g, 5);
    if (chance(g->random, 50)) {
        const unsigned other = asm_label(a);
        asm_jump(a, PVM2_JAL, chance(g->random, 60) ? 0 : asm_dst(a), 0, 0, other, 0);
        asm_block(a, label);
        gen_body(g, 5);
        asm_block(a, other);
    } else {
        asm_block(a, label);
    }
}

static void segment(struct gen *g, unsigned depth);

static void loop(struct gen *g, unsigned depth)
{
    struct lock_asm *a = &g->a;
    const unsigned count = asm_free(a);
    if (count_free(g) < 5 || count == 0)
        return;
    lock_register(g, count);
    const bool down = chance(g->random, 60);
    const unsigned top = asm_label(a), out = asm_label(a);
    const int32_t rounds = 1 + (int32_t)random_below(g->random, chance(g->random, 4) ? 300 : 6);
    unsigned limit = 0;
    asm_put(a, PVM2_ADDI, count, 0, 0, down ? rounds : 0);
    if (!down) {
        limit = asm_free(a);
        lock_register(g, limit);
        asm_put(a, PVM2_ADDI, limit, 0, 0, rounds);
    }
    asm_block(a, top);
    gen_body(g, 6);
    if (chance(g->random, 30))
        segment(g, depth + 1);
    if (chance(g->random, 20))
        branch(g, out);
    asm_put(a, PVM2_ADDI, count, count, 0, down ? -1 : 1);
    if (chance(g->random, 15))
        gen_body(g, 2);
    if (down)
        asm_jump(a, chance(g->random, 80) ? PVM2_BNE : PVM2_BLT, 0, count, 0, top,
                 0); /* with blt it is never taken again */
    else
        asm_jump(a, chance(g->random, 50) ? PVM2_BLTU : PVM2_BLT, 0, count, limit, top, 0);
    asm_block(a, out);
    unlock_register(g, count);
    if (limit != 0)
        unlock_register(g, limit);
}

static unsigned new_function(struct gen *g, unsigned link)
{
    if (g->function_count == GEN_FUNCTIONS)
        return g->end;
    const unsigned label = asm_label(&g->a);
    g->functions[g->function_count].label = label;
    g->functions[g->function_count++].link = link;
    return label;
}

/* A function that exists already may be called again; then its link register is given. Those before
 * the present one rarely: that may not end. */
static void call(struct gen *g)
{
    struct lock_asm *a = &g->a;
    unsigned link = chance(g->random, 75) ? 1 : chance(g->random, 60) ? 5 : asm_free(a);
    unsigned label;
    const unsigned first = chance(g->random, 97) ? g->functions_done : 0;
    if (g->function_count > first && chance(g->random, 40)) {
        const uint64_t which = first + random_below(g->random, g->function_count - first);
        label = g->functions[which].label;
        if (chance(g->random, 90)) /* else it will return somewhere else */
            link = g->functions[which].link;
    } else {
        label = new_function(g, link);
    }
    if (link == 0 || (a->locked >> link & 1))
        return;
    const unsigned via = asm_free(a);
    switch (random_below(g->random, 5)) {
    case 0:
        asm_far(a, PVM2_JALR, link, chance(g->random, 60) ? link : via, label, 0);
        break;
    case 1:
        asm_la(a, via, label, 0);
        gen_body(g, 1);
        asm_put(a, PVM2_JALR, link, via, 0, 0); /* unless the body changed it */
        break;
    default:
        asm_jump(a, PVM2_JAL, link, 0, 0, label, 0);
    }
}

/* jalr to an address that is computed, near a label or far from it. */
static void computed(struct gen *g)
{
    struct lock_asm *a = &g->a;
    const unsigned label = asm_label(a), via = asm_free(a);
    if (via == 0)
        return;
    int delta = chance(g->random, 50) ? 0 : asm_imm(a, PVM2_JALR);
    int bad = 0;
    if (g->risk != 0 && chance(g->random, 20)) {
        static const int8_t offsets[] = {1, 2, -2, 4, 3, -1};
        bad = offsets[random_below(g->random, 6)];
    }
    const unsigned link = chance(g->random, 60) ? 0 : asm_dst(a);
    if (chance(g->random, 30)) {
        asm_far(a, PVM2_JALR, link, via, label, bad);
    } else {
        asm_la(a, via, label, bad - delta);
        if (chance(g->random, 20))
            asm_put(a, PVM2_BSETI, via, via, 0, 32 + (int32_t)random_below(g->random, 32));
        asm_put(a, PVM2_JALR, link, via, 0, delta);
    }
    for (uint64_t i = random_below(g->random, 3); i-- != 0;)
        asm_raw(a, chance(g->random, 50) ? 0x00000073 : 0xFFFFFFFF, 4, true);
    asm_block(a, label);
}

/* A table of jumps, or of addresses in memory. */
static void cases(struct gen *g)
{
    struct lock_asm *a = &g->a;
    const unsigned index = asm_free(a), via = asm_free(a), table = asm_label(a), out = asm_label(a);
    unsigned labels[4];
    const bool stored = chance(g->random, 30);
    if (via == 0 || index == via)
        return;
    for (unsigned i = 0; i < 4; i++)
        labels[i] = asm_label(a);
    if (stored) {
        for (unsigned i = 0; i < 4; i++) {
            asm_la(a, via, labels[i], 0);
            asm_put(a, PVM2_SD, 0, g->base, via, (int32_t)i * 8);
        }
    }
    asm_put(a, PVM2_ANDI, index, asm_src(a), 0, g->risk != 0 && chance(g->random, 10) ? 7 : 3);
    if (stored) {
        asm_put(a, PVM2_SH3ADD, via, index, g->base, 0);
        asm_put(a, PVM2_LD, via, via, 0, 0);
    } else {
        asm_la(a, via, table, 0);
        asm_put(a, PVM2_SH2ADD, via, index, via, 0);
    }
    asm_put(a, PVM2_JALR, chance(g->random, 80) ? 0 : via, via, 0, 0);
    asm_mark(a, table);
    const unsigned compress = a->compress;
    a->compress = 0; /* every entry is as long as the others */
    for (unsigned i = 0; i < 4; i++)
        asm_jump(a, PVM2_JAL, 0, 0, 0, labels[i], 0);
    a->compress = compress;
    for (unsigned i = 0; i < 4; i++) {
        asm_block(a, labels[i]);
        gen_body(g, 2);
        if (chance(g->random, 80))
            asm_jump(a, PVM2_JAL, 0, 0, 0, out, 0);
    }
    asm_block(a, out);
}

/* Calls that nobody returns from: more than there is room for return addresses, rarely. */
static void pile(struct gen *g)
{
    struct lock_asm *a = &g->a;
    const unsigned count = asm_free(a);
    if (count == 0 || count == 1 || (a->locked & 2) != 0)
        return;
    const unsigned top = asm_label(a), next = asm_label(a);
    const bool deep = chance(g->random, 5);
    g->costly |= deep;
    asm_li(a, count, deep ? 9000 : 1 + (uint32_t)random_below(g->random, 40));
    asm_block(a, top);
    asm_jump(a, PVM2_JAL, 1, 0, 0, next, 0);
    asm_block(a, next);
    asm_put(a, PVM2_ADDI, count, count, 0, -1);
    asm_jump(a, PVM2_BNE, 0, count, 0, top, 0);
}

/* Over a big region in steps of pages. */
static void sweep(struct gen *g, const struct javm_region *region)
{
    struct lock_asm *a = &g->a;
    const unsigned at = asm_free(a), top = asm_label(a);
    lock_register(g, at);
    const unsigned step = asm_free(a);
    lock_register(g, step);
    const unsigned count = asm_free(a);
    if (count == 0)
        return;
    const uint32_t pages = 1 + (uint32_t)random_below(g->random, 3);
    g->costly = true;
    asm_li(a, at, (region->first_page << JAVM_PAGE_SHIFT) + 4090);
    asm_li(a, step, pages << JAVM_PAGE_SHIFT);
    asm_li(a, count, region->pages / pages);
    asm_block(a, top);
    if (region->writable && chance(g->random, 70))
        asm_put(a, PVM2_SB, 0, at, count, (int32_t)random_below(g->random, 8));
    else
        asm_put(a, PVM2_LD, 0, at, 0, 0);
    asm_put(a, PVM2_ADD, at, at, step, 0);
    asm_put(a, PVM2_ADDI, count, count, 0, -1);
    asm_jump(a, PVM2_BNE, 0, count, 0, top, 0);
    unlock_register(g, at);
    unlock_register(g, step);
}

/* A block that takes more room than a recompiler likes to give. */
static void giant(struct gen *g)
{
    for (uint64_t i = 5000 + random_below(g->random, 30000); i-- != 0;)
        gen_alu(g);
    g->costly = true;
}

/* What panics when it is reached, or goes where it should not. */
static void odd(struct gen *g)
{
    struct lock_asm *a = &g->a;
    static const int8_t offsets[] = {2, -2, 4, 6};
    switch (random_below(g->random, 6)) {
    case 0:
        asm_raw(a, random_below(g->random, 2) == 0 ? 0 : 0x9002, 2, true);
        break;
    case 1:
        asm_raw(a, 0x00000073, 4, true);
        break;
    case 2:
        asm_put(a, PVM2_TRAP, 0, 0, 0, 0);
        break;
    case 3: {
        const unsigned label = asm_label(a);
        asm_block(a, label);
        asm_jump(a, chance(g->random, 50) ? PVM2_JAL : asm_any(a, ASM_BRANCH), 0, 0, 0, label,
                 offsets[random_below(g->random, 4)]);
        break;
    }
    case 4:
        asm_put(a, PVM2_JALR, asm_dst(a), asm_src(a), 0, asm_imm(a, PVM2_JALR));
        break;
    default:
        asm_jump(a, PVM2_BEQ, 0, 0, 0, g->end, 0);
    }
}

static void segment(struct gen *g, unsigned depth)
{
    gen_body(g, 8);
    const unsigned k = (unsigned)random_below(g->random, 100);
    if (k < 25)
        forward(g);
    else if (k < 50 && depth < 3)
        loop(g, depth);
    else if (k < 72)
        call(g);
    else if (k < 80)
        computed(g);
    else if (k < 87)
        cases(g);
    else if (k < 89)
        pile(g);
    else if (k < 92 && (g->risk != 0 || chance(g->random, 10)))
        odd(g);
}

/* ---- functions -------------------------------------------------------------------------- */

static void give_back(struct gen *g, unsigned link)
{
    struct lock_asm *a = &g->a;
    const unsigned other = asm_free(a);
    const unsigned k = (unsigned)random_below(g->random, 100);
    if (k < 65 || other == 0) {
        asm_put(a, PVM2_JALR, 0, link, 0, 0);
    } else if (k < 70) {
        asm_put(a, PVM2_ADD, other, 0, link, 0);
        asm_put(a, PVM2_JALR, 0, other, 0, 0);
    } else if (k < 75) {
        asm_put(a, PVM2_JALR, link, link, 0, 0); /* and the caller may come back */
    } else if (k < 79) {
        asm_put(a, PVM2_JALR, chance(g->random, 50) ? 5 : other, link, 0, 0);
    } else if (k < 83) {
        asm_put(a, PVM2_BSETI, link, link, 0, 32 + (int32_t)random_below(g->random, 32));
        asm_put(a, PVM2_JALR, 0, link, 0, 0);
    } else if (k < 86) {
        asm_put(a, PVM2_JALR, 0, link, 0, 1); /* the low bit does not count */
    } else if (k < 89) {
        asm_put(a, PVM2_JALR, 0, link, 0, 4); /* behind an instruction: may be no start */
    } else if (k < 93 && g->function_count > g->functions_done) {
        const unsigned which = g->function_count - 1;
        asm_jump(a, PVM2_JAL, 0, 0, 0, g->functions[which].label, 0);
    } else if (k < 96) {
        asm_la(a, link, g->end, 0);
        asm_put(a, PVM2_JALR, 0, link, 0, 0);
    } else {
        asm_jump(a, PVM2_JAL, 0, 0, 0, g->end, 0);
    }
}

/* Counts x down to 0 by calling itself, with its return addresses on a stack. */
static void recursion(struct gen *g, unsigned label, unsigned link)
{
    struct lock_asm *a = &g->a;
    const unsigned count = asm_free(a), bottom = asm_label(a), again = asm_label(a);
    uint32_t depth = 1 + (uint32_t)random_below(g->random, 30);
    const uint32_t pages = g->layout->regions[1].pages;
    if (count == 0)
        return;
    if (pages > 16 && chance(g->random, 30)) {
        depth = 8000 + (uint32_t)random_below(g->random, 400);
        g->costly = true;
    }
    lock_register(g, count);
    asm_li(a, count, depth);
    asm_block(a, again);
    asm_jump(a, PVM2_BEQ, 0, count, 0, bottom, 0);
    asm_put(a, PVM2_ADDI, count, count, 0, -1);
    asm_put(a, PVM2_ADDI, g->base2, g->base2, 0, -8);
    asm_put(a, PVM2_SD, 0, g->base2, link, 0);
    asm_jump(a, PVM2_JAL, link, 0, 0, chance(g->random, 97) ? again : label, 0);
    gen_body(g, 2);
    asm_put(a, PVM2_LD, link, g->base2, 0, 0);
    asm_put(a, PVM2_ADDI, g->base2, g->base2, 0, 8);
    asm_put(a, PVM2_JALR, 0, link, 0, 0);
    asm_block(a, bottom);
    unlock_register(g, count);
}

static void function(struct gen *g, unsigned label, unsigned link)
{
    struct lock_asm *a = &g->a;
    asm_block(a, label);
    lock_register(g, link);
    gen_body(g, 6);
    if (chance(g->random, 30))
        forward(g);
    if (chance(g->random, 20))
        loop(g, 2);
    if (chance(g->random, 15)) {
        recursion(g, label, link);
    } else if (chance(g->random, 25)) { /* saves its return address and calls another */
        const int32_t at = (int32_t)random_below(g->random, 64) * 8;
        asm_put(a, PVM2_SD, 0, g->base, link, at);
        unlock_register(g, link);
        call(g);
        asm_put(a, PVM2_LD, link, g->base, 0, at);
        lock_register(g, link);
    } else if (chance(g->random, 15)) {
        const unsigned kept = asm_free(a);
        asm_put(a, PVM2_ADD, kept, 0, link, 0);
        lock_register(g, kept);
        unlock_register(g, link);
        call(g);
        lock_register(g, link);
        asm_put(a, PVM2_ADD, link, 0, kept, 0);
        unlock_register(g, kept);
    }
    gen_body(g, 3);
    give_back(g, link);
    unlock_register(g, link);
}

/* ---- programs --------------------------------------------------------------------------- */

static void write_program(struct gen *g, unsigned segments)
{
    struct lock_asm *a = &g->a;
    g->end = asm_label(a);
    const struct javm_region *last = &g->layout->regions[g->layout->count - 1];
    for (unsigned i = 0; i < segments; i++) {
        segment(g, 0);
        if (last->pages >= LOCK_BIG)
            sweep(g, last);
        if (random_below(g->random, 20000) == 0)
            giant(g);
    }
    gen_body(g, 4);
    asm_block(a, g->end);
    const unsigned k = (unsigned)random_below(g->random, 100);
    if (k < 85)
        asm_put(a, PVM2_ECALLI, 0, 0, 0, chance(g->random, 70) ? 0 : asm_imm(a, PVM2_ADDI));
    else if (k < 90)
        asm_put(a, PVM2_ECALL_JAR, 0, 0, 0, 0);
    else if (k < 95)
        asm_put(a, PVM2_TRAP, 0, 0, 0, 0);
    /* What lies behind the end may be run as well: after an ecall, and when there was none. */
    while (g->functions_done < g->function_count && !a->full) {
        const unsigned i = g->functions_done++;
        function(g, g->functions[i].label, g->functions[i].link);
    }
    if (chance(g->random, 10)) /* an instruction that the end cuts off */
        asm_raw(a, 0x13, 1 + (unsigned)random_below(g->random, 3), false);
    asm_finish(a);
}

static unsigned slot_of(unsigned x)
{
    return x <= 2 ? x - 1 : x <= 4 ? x + 10 : x - 3;
}

static struct javm_program_key any_key(struct random *random)
{
    static const uint64_t pages[] = {0, 0, 0, 2048, 2049, 8193, 65537, UINT64_MAX};
    static const uint64_t costs[] = {
        1, 64, 256, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX / 2, UINT64_MAX / 4};
    return (struct javm_program_key){.footprint_pages = pages[random_below(random, 8)],
                                     .cow_cost = chance(random, 75) ? 0
                                                 : chance(random, 80)
                                                     ? costs[random_below(random, 3)]
                                                     : costs[random_below(random, 7)]};
}

void lock_generate(struct lock_program *program, struct random *random)
{
    static struct gen g;
    static const uint8_t risks[] = {0, 0, 4, 15};
    /* Edges depend on the code's length only by its last page: a layout for the first guess. */
    struct lock_layout layout = {.count = 1};
    const struct javm_program_key key = any_key(random);
    unsigned segments = 1 + (unsigned)random_below(random, 6);
    if (chance(random, 1))
        segments = chance(random, 10) ? 2000 : 150; /* regions and blocks at their limits */
    layout.regions[0] = (struct javm_region){.first_page = JAVM_CODE_BASE >> JAVM_PAGE_SHIFT,
                                             .pages = segments < 100 ? 1 : 64};
    lock_layout_make(&layout, random);
    asm_begin(&g.a, random);
    g.random = random;
    g.layout = &layout;
    g.risk = risks[random_below(random, 4)];
    g.function_count = g.functions_done = 0;
    g.costly = false;
    g.base = chance(random, 50) ? 8 + (unsigned)random_below(random, 8) : asm_free(&g.a);
    lock_register(&g, g.base);
    g.base2 = chance(random, 70) && g.base != 2 ? 2 : asm_free(&g.a);
    lock_register(&g, g.base2);
    write_program(&g, segments);
    lock_program_open(program, g.a.code, g.a.len, &key);
    if (program->layout.count != 0) { /* the code first, then what the edges were taken from */
        layout.regions[0] = program->layout.regions[0];
        if (layout.count > 1 &&
            layout.regions[1].first_page < layout.regions[0].first_page + layout.regions[0].pages)
            layout.regions[0].pages = layout.regions[1].first_page - layout.regions[0].first_page;
        program->layout = layout;
    }
    program->source = "structured";
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        program->state.regs[i] =
            chance(random, 12) ? lock_edge(&layout, random) : lock_value(random);
    if (chance(random, 30) && g.a.label_count != 0)
        program->state.regs[0] = JAVM_CODE_BASE + g.a.labels[random_below(random, g.a.label_count)];
    const uint64_t high = chance(random, 25) ? random_u64(random) << 32 : 0;
    program->state.regs[slot_of(g.base)] = lock_calm(&layout, random) | high;
    const struct javm_region *stack = &layout.regions[1];
    program->state.regs[slot_of(g.base2)] =
        (((uint64_t)stack->first_page + stack->pages) << JAVM_PAGE_SHIFT) -
        random_below(random, 4) * 8;
    program->state.gas = segments > 100 || g.costly ? 300000 : 20000;
}
