/* Guests that try to get out of their memory, or to run what is no program of theirs: the
 * recompiler has nothing but addressing modes, protections and tables between a guest and the
 * process.
 *
 * Everything is run by the interpreter as well and has to end the same. Around the reservation lie
 * pages with a pattern; /proc/self/maps says which guest pages can be reached at all. Would catch:
 * an address whose upper half counts, a displacement or a straddling access that leaves the 4 GiB,
 * a jump through a wrong table entry, a page that is accessible without a region that says so, a
 * store into code, return addresses that go beyond their stack. */
#include <criterion/criterion.h>

#include <inttypes.h>
#include <sys/mman.h>

#include "tests/vm/support.h"
#include "vm/memory.h"

#define CANARY_BYTES 65536u
#define SPACE        (UINT64_C(1) << 32)
#define CODE_PAGE    (JAVM_CODE_BASE >> JAVM_PAGE_SHIFT)
#define SLOT(x)      slot_of(x)

/* ---- two machines and what lies around one of them -------------------------------------- */

struct twin {
    struct javm_jit *jit;
    struct javm_native *native;
    struct javm_program *program;
    struct javm_memory *memories[2];
    struct javm_exec exec[2]; /* interpreter, recompiler */
    struct javm_region regions[8];
    size_t region_count;
    const uint8_t *base; /* of the recompiler's memory */
    uint8_t *canaries[4];
};

static uint8_t canary(size_t i)
{
    return (uint8_t)(i * 7 + 0x5A);
}

static uint8_t *plant(void *at)
{
    uint8_t *page =
        mmap(at, CANARY_BYTES, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | (at != NULL ? MAP_FIXED_NOREPLACE : 0), -1, 0);
    if (page == MAP_FAILED)
        return NULL; /* something else is there */
    for (size_t i = 0; i < CANARY_BYTES; i++)
        page[i] = canary(i);
    return page;
}

static void check_canaries(const struct twin *t)
{
    for (size_t k = 0; k < CODE(t->canaries); k++)
        for (size_t i = 0; t->canaries[k] != NULL && i < CANARY_BYTES; i++)
            REQUIRE(t->canaries[k][i] == canary(i));
}

/* Calls visit for each mapping, ascending. */
static void each_mapping(struct twin *t, void (*visit)(struct twin *t, uintptr_t low,
                                                       uintptr_t high, const char *access))
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512], access[8];
    uintptr_t low, high;
    REQUIRE(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL)
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &low, &high, access) == 3)
            visit(t, low, high, access);
    fclose(maps);
}

static const struct javm_region *region_of(const struct twin *t, uint64_t page)
{
    for (size_t i = 0; i < t->region_count; i++)
        if (page - t->regions[i].first_page < t->regions[i].pages)
            return &t->regions[i];
    return NULL;
}

static void check_mapping(struct twin *t, uintptr_t low, uintptr_t high, const char *access)
{
    const uintptr_t base = (uintptr_t)t->base;
    REQUIRE(access[1] != 'w' || access[2] != 'x'); /* nothing is both */
    if (high <= base - MEMORY_GUARD || low >= base + SPACE + MEMORY_GUARD || access[0] == '-')
        return;
    /* Accessible: inside the 4 GiB, and the layout says so. */
    REQUIRE(low >= base && high <= base + SPACE);
    for (uint64_t page = (low - base) >> JAVM_PAGE_SHIFT; page < (high - base) >> JAVM_PAGE_SHIFT;
         page++) {
        const struct javm_region *region = region_of(t, page);
        REQUIRE(region != NULL);
        REQUIRE(access[1] != 'w' || region->writable);
    }
    REQUIRE(access[2] != 'x');
}

static void check_around(struct twin *t)
{
    check_canaries(t);
    each_mapping(t, check_mapping);
}

/* The code, and `count` regions in ascending order around it. */
static void twin_open(struct twin *t, const void *code, size_t len,
                      const struct javm_region *regions, size_t count)
{
    const struct javm_program_key key = {0};
    const struct javm_region code_region = {
        .first_page = CODE_PAGE,
        .pages = (uint32_t)((len + JAVM_PAGE_SIZE - 1) >> JAVM_PAGE_SHIFT),
        .kind = JAVM_REGION_BYTES,
        .bytes = code,
        .len = len};
    *t = (struct twin){.jit = NULL};
    for (size_t i = 0; i < count; i++) {
        if (t->region_count == i && regions[i].first_page > CODE_PAGE)
            t->regions[t->region_count++] = code_region;
        t->regions[t->region_count++] = regions[i];
    }
    if (t->region_count == count)
        t->regions[t->region_count++] = code_region;
    REQUIRE(javm_jit_create(NULL, &t->jit, NULL) == JAVM_OK);
    REQUIRE(javm_native_open(t->jit, NULL, code, len, &key, NULL, &t->native, NULL) == JAVM_OK);
    REQUIRE(javm_program_decode_pvm2(code, len, &key, &t->program, NULL) == JAVM_OK);
    REQUIRE(javm_memory_create(&t->memories[0], NULL) == JAVM_OK);
    t->canaries[0] = plant(NULL);
    REQUIRE(javm_memory_create(&t->memories[1], NULL) == JAVM_OK);
    t->canaries[1] = plant(NULL);
    for (unsigned i = 0; i < 2; i++) {
        REQUIRE(javm_memory_attach(t->memories[i], t->regions, t->region_count) == JAVM_OK);
        t->exec[i] = (struct javm_exec){.program = t->program,
                                        .native = t->native,
                                        .memory = t->memories[i],
                                        .engine = i == 0 ? JAVM_ENGINE_INTERP : JAVM_ENGINE_JIT};
    }
    uint8_t byte;
    REQUIRE(javm_memory_read(t->memories[1], JAVM_CODE_BASE, &byte, 1));
    t->base = javm_memory_page(t->memories[1], CODE_PAGE) - JAVM_CODE_BASE;
    /* As near to the reservation as they can be. */
    t->canaries[2] = plant((uint8_t *)(uintptr_t)t->base + SPACE + MEMORY_GUARD + 0x10000);
    t->canaries[3] = plant((uint8_t *)(uintptr_t)t->base + MEMORY_STACK_TOP - MEMORY_STACK_BYTES -
                           0x20000 - CANARY_BYTES);
    REQUIRE(t->canaries[0] != NULL && t->canaries[1] != NULL);
}

static void twin_close(struct twin *t)
{
    check_around(t);
    for (size_t k = 0; k < CODE(t->canaries); k++)
        if (t->canaries[k] != NULL)
            munmap(t->canaries[k], CANARY_BYTES);
    javm_memory_destroy(t->memories[0]);
    javm_memory_destroy(t->memories[1]);
    javm_program_free(t->program);
    javm_native_close(t->native);
    javm_jit_destroy(t->jit);
}

static void set(struct twin *t, unsigned x, uint64_t value)
{
    t->exec[0].regs[SLOT(x)] = t->exec[1].regs[SLOT(x)] = value;
}

/* Both from pc; they have to end the same. */
static void run(struct twin *t, uint64_t pc, uint64_t gas)
{
    const struct javm_exec *a = &t->exec[0], *b = &t->exec[1];
    for (unsigned i = 0; i < 2; i++) {
        t->exec[i].pc = pc;
        t->exec[i].gas = gas;
        javm_exec_run(&t->exec[i], 0);
    }
    bool same = a->exit == b->exit && a->exit_arg == b->exit_arg && a->pc == b->pc &&
                a->gas == b->gas && memcmp(a->regs, b->regs, sizeof a->regs) == 0;
    if (a->exit == JAVM_EXIT_PAGE_FAULT)
        same = same && a->fault_addr == b->fault_addr && a->fault_write == b->fault_write;
    if (!same)
        fprintf(stderr,
                "entry %" PRIu64 ": %s arg %" PRIx64 " pc %" PRIu64 " fault %" PRIx64
                ", but %s arg %" PRIx64 " pc %" PRIu64 " fault %" PRIx64 "\n",
                pc, javm_exit_name(a->exit), (uint64_t)a->exit_arg, a->pc, a->fault_addr,
                javm_exit_name(b->exit), (uint64_t)b->exit_arg, b->pc, b->fault_addr);
    REQUIRE(same);
}

static void check_memory(struct twin *t)
{
    const uint32_t *pages[2];
    const size_t count = javm_memory_dirty(t->memories[0], &pages[0]);
    REQUIRE(javm_memory_dirty(t->memories[1], &pages[1]) == count);
    for (size_t i = 0; i < count; i++) {
        REQUIRE(pages[0][i] == pages[1][i]);
        REQUIRE(region_of(t, pages[0][i]) != NULL && region_of(t, pages[0][i])->writable);
        REQUIRE(memcmp(javm_memory_page(t->memories[0], pages[0][i]),
                       javm_memory_page(t->memories[1], pages[0][i]), JAVM_PAGE_SIZE) == 0);
    }
    for (size_t r = 0; r < t->region_count; r++) {
        const struct javm_region *region = &t->regions[r];
        if (region->kind != JAVM_REGION_BYTES || region->writable)
            continue;
        const uint8_t *page = javm_memory_page(t->memories[1], region->first_page);
        REQUIRE(page == NULL ||
                memcmp(page, region->bytes,
                       region->len < JAVM_PAGE_SIZE ? region->len : JAVM_PAGE_SIZE) == 0);
    }
}

/* The upper halves that an address may have. */
static const uint64_t uppers[] = {0, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX << 32,
                                  0x00007FFF00000000};

/* ---- jumps ------------------------------------------------------------------------------ */

/* Blocks of all kinds and sizes, and one jump: through x10 at 0, through x1 at 4. */
static uint32_t jump_code[64] = {0};

static size_t write_jumps(unsigned link)
{
    size_t n = 0;
    jump_code[n++] = JALR(link, 10, 0);
    jump_code[n++] = JALR(0, 1, 0);
    for (int32_t k = 0; n < 50; k++) {
        jump_code[n++] = ADDI(5, 5, 1);
        jump_code[n++] = k % 3 == 0 ? ECALLI(k) : FALLTHROUGH;
        jump_code[n++] = 0x00010001; /* two short no-ops */
        jump_code[n++] = k % 5 == 0 ? RESERVED : ECALLI(-k);
    }
    return n * sizeof *jump_code - 2; /* the last one is cut off */
}

static void jump_to(struct twin *t, uint32_t address)
{
    for (size_t i = 0; i < CODE(uppers); i++) {
        set(t, 10, uppers[i] | address);
        run(t, 0, 500);
        set(t, 1, uppers[i] | address); /* as a return that nobody called for */
        run(t, 4, 500);
    }
}

Test(escape, jumps_to_everywhere)
{
    static const unsigned links[] = {0, 1, 5, 3};
    for (size_t l = 0; l < CODE(links); l++) {
        struct twin t;
        const size_t len = write_jumps(links[l]);
        twin_open(&t, jump_code, len, &one_page, 1);
        for (uint32_t at = 0; at < len + 300; at++)
            jump_to(&t, JAVM_CODE_BASE - 100 + at);
        /* Where a table that is indexed without a check, or with too few bits, would be read. */
        for (unsigned bit = 0; bit < 32; bit++)
            for (uint32_t off = 0; off < 16; off++)
                jump_to(&t, (JAVM_CODE_BASE + off) ^ (1u << bit));
        for (uint64_t at = l; at < SPACE; at += 0x2003) {
            set(&t, 10, at);
            run(&t, 0, 500);
        }
        for (uint32_t off = 0; off < 64; off++)
            jump_to(&t, off - 32);
        check_memory(&t);
        twin_close(&t);
    }
    REQUIRE_NO_LEAKS();
}

Test(escape, entries_everywhere)
{
    struct twin t;
    const size_t len = write_jumps(0);
    twin_open(&t, jump_code, len, &one_page, 1);
    for (uint64_t pc = 0; pc < len + 64; pc++)
        for (size_t i = 0; i < CODE(uppers); i++)
            run(&t, pc | uppers[i], 500);
    for (uint64_t pc = 1; pc < SPACE; pc += 0x2001)
        run(&t, pc, 500);
    for (uint64_t pc = UINT64_MAX - 64; pc != 0; pc++)
        run(&t, pc, 500);
    twin_close(&t);
}

/* Every short encoding there is, one after the other, entered wherever a block starts. */
Test(escape, every_short_encoding)
{
    static uint16_t code[65536];
    struct javm_block_info info;
    struct twin t;
    size_t count = 0;
    for (uint32_t half = 0; half < 65536; half++)
        if ((half & 3) != 3)
            code[count++] = (uint16_t)half;
    twin_open(&t, code, count * 2, &one_page, 1);
    for (uint64_t i = 0; i < javm_program_blocks(t.program); i++) {
        javm_program_block(t.program, i, &info);
        for (unsigned x = 1; x < 16; x++)
            set(&t, x, RW_BASE + 64 * x);
        run(&t, info.start, 2000);
    }
    check_memory(&t);
    twin_close(&t);
}

/* More calls than there is room for return addresses, then more returns than there were calls. */
Test(escape, return_addresses_stay_on_their_stack)
{
    const uint32_t code[] = {
        JAL(1, 12),                 /* 0: to 12 */
        TRAP,                       /* 4 */
        FALLTHROUGH,                /* 8 */
        ADDI(10, 10, -1),           /* 12: calls itself x10 times */
        BNE(10, 0, -16),            /* 16 */
        ADDI(11, 11, -1),           /* 20: then returns x11 times to 20 */
        BNE(11, 0, 8),              /* 24 */
        REPLY,                      /* 28 */
        op(PVM2_AUIPC, 1, 0, 0, 0), /* 32 */
        ADDI(1, 1, -12),            /* 36 */
        JALR(0, 1, 0),              /* 40 */
    };
    static const uint64_t counts[] = {1, 100, 8190, 8191, 8192, 8193, 8200, 16400, 100000};
    struct twin t;
    twin_open(&t, code, sizeof code, &one_page, 1);
    for (size_t i = 0; i < CODE(counts); i++) {
        for (size_t j = 0; j < CODE(counts); j++) {
            set(&t, 10, counts[i]);
            set(&t, 11, counts[j]);
            run(&t, 0, 100000000);
            REQUIRE(t.exec[1].exit == JAVM_EXIT_HOST_CALL);
            run(&t, 20, 50 + counts[j]); /* from the outside, into the middle */
        }
        check_canaries(&t);
    }
    twin_close(&t);
}

/* ---- loads and stores ------------------------------------------------------------------- */

static const uint8_t some_bytes[] = {1, 2, 3, 4, 5, 6, 7, 8};

/* Around the code, at both ends of the data, across 2^31. */
static const struct javm_region scattered[] = {
    {.first_page = CODE_PAGE - 1, .pages = 1, .writable = true},
    {.first_page = CODE_PAGE + 1, .pages = 1, .writable = true},
    {.first_page = 0x10000, .pages = 2, .writable = true},
    {.first_page = 0x10002,
     .pages = 1,
     .kind = JAVM_REGION_BYTES,
     .bytes = some_bytes,
     .len = sizeof some_bytes},
    {.first_page = 0x7FFFF, .pages = 2, .writable = true},
    {.first_page = 0xFFFFE, .pages = 2, .writable = true}};

static const uint8_t accesses[] = {PVM2_LB,  PVM2_LH, PVM2_LW, PVM2_LD, PVM2_LBU, PVM2_LHU,
                                   PVM2_LWU, PVM2_SB, PVM2_SH, PVM2_SW, PVM2_SD};

/* One access in a block of its own, for each base register in turn. */
static size_t write_accesses(uint32_t *code, enum pvm2_op operation, int32_t imm)
{
    size_t n = 0;
    for (unsigned base = 1; base < 16; base++) {
        const unsigned other = base == 15 ? 1 : base + 1;
        const bool store = operation >= PVM2_SB;
        code[n++] = op(operation, store ? 0 : other, base, store ? other : 0, imm);
        code[n++] = ECALLI((int32_t)base);
    }
    return n * sizeof *code;
}

static void access_at(struct twin *t, uint32_t address, int32_t imm, unsigned base)
{
    for (size_t i = 0; i < CODE(uppers); i++) {
        const unsigned other = base == 15 ? 1 : base + 1;
        set(t, other, 0x1122334455667788 + address);
        set(t, base, (uppers[i] | address) - (uint64_t)(int64_t)imm);
        run(t, (base - 1) * 8, 1000);
    }
}

static void access_everywhere(enum pvm2_op operation, int32_t imm)
{
    static const uint32_t borders[] = {0,
                                       JAVM_CODE_BASE - 0x1000,
                                       JAVM_CODE_BASE,
                                       JAVM_CODE_BASE + 120, /* the end of the code */
                                       JAVM_CODE_BASE + 0x1000,
                                       JAVM_CODE_BASE + 0x2000,
                                       RW_BASE,
                                       RW_BASE + 0x1000,
                                       RW_BASE + 0x2000,
                                       RW_BASE + 0x3000,
                                       0x7FFFF000,
                                       0x80000000,
                                       0x80001000,
                                       0xFFFFE000,
                                       0xFFFFF000};
    uint32_t code[30];
    struct twin t;
    unsigned base = 1;
    twin_open(&t, code, write_accesses(code, operation, imm), scattered, CODE(scattered));
    for (size_t b = 0; b < CODE(borders); b++) {
        for (uint32_t off = 0; off < 20; off++, base = base % 15 + 1)
            access_at(&t, borders[b] - 10 + off, imm, base);
        check_memory(&t);
    }
    for (base = 1; base < 16; base++)
        access_at(&t, RW_BASE + 0x1FFD, imm, base);
    for (uint64_t at = 0; at < SPACE; at += 0x100013) {
        set(&t, 7, at);
        run(&t, 6 * 8, 1000);
    }
    check_memory(&t);
    twin_close(&t);
}

Test(escape, accesses_everywhere)
{
    static const int32_t immediates[] = {0, -2048, 2047, 5};
    for (size_t i = 0; i < CODE(accesses); i++)
        for (size_t k = 0; k < CODE(immediates); k++)
            access_everywhere((enum pvm2_op)accesses[i], immediates[k]);
    REQUIRE_NO_LEAKS();
}

/* An address that is computed in the instruction before, which a recompiler may take together with
 * the access: the sum must be cut to 32 bits only once. */
Test(escape, computed_addresses)
{
    static const uint8_t sums[] = {PVM2_ADD,       PVM2_SH1ADD,    PVM2_SH2ADD, PVM2_SH3ADD,
                                   PVM2_SH3ADD_UW, PVM2_SH1ADD_UW, PVM2_ADD_UW, PVM2_SUB,
                                   PVM2_SH2ADD_UW, PVM2_ADDW,      PVM2_MUL};
    static const uint64_t values[] = {
        0,          1,       0x1FF8,      0xFFFFFFFF, 0x80000000, 0x7FFFFFFF,      0x20000000,
        UINT64_MAX, RW_BASE, 0x1FFFFFFFF, 0xFFFFF000, 0x400000,   UINT64_MAX << 31};
    for (size_t s = 0; s < CODE(sums); s++) {
        for (unsigned in_place = 0; in_place < 2; in_place++) {
            const unsigned address = in_place ? 11 : 12;
            const uint32_t code[] = {
                op((enum pvm2_op)sums[s], address, 11, 13, 0), LD(14, -8, address), REPLY,
                op((enum pvm2_op)sums[s], address, 11, 13, 0), SD(15, 8, address),  REPLY};
            struct twin t;
            twin_open(&t, code, sizeof code, scattered, CODE(scattered));
            for (size_t i = 0; i < CODE(values); i++) {
                for (size_t j = 0; j < CODE(values); j++) {
                    for (uint64_t pc = 0; pc <= 12; pc += 12) {
                        set(&t, 11, values[i]);
                        set(&t, 13, values[j]);
                        run(&t, pc, 1000);
                    }
                }
            }
            check_memory(&t);
            twin_close(&t);
        }
    }
}

/* The guest reads its own code, byte by byte and in other widths, and the zeros behind it. */
Test(escape, code_reads_as_it_is)
{
    uint32_t code[600];
    size_t n = 0;
    code[n++] = op(PVM2_LBU, 12, 10, 0, 0); /* 0: copies x11 bytes from x10 to x13 */
    code[n++] = op(PVM2_SB, 0, 13, 12, 0);
    code[n++] = ADDI(10, 10, 1);
    code[n++] = ADDI(13, 13, 1);
    code[n++] = ADDI(11, 11, -1);
    code[n++] = BNE(11, 0, -20);
    code[n++] = REPLY;
    while (n < CODE(code)) {
        code[n] = (uint32_t)n * 0x9E3779B1u;
        n++;
    }
    struct twin t;
    uint8_t copy[JAVM_PAGE_SIZE], want[JAVM_PAGE_SIZE] = {0};
    twin_open(&t, code, sizeof code - 1, &one_page, 1);
    set(&t, 10, JAVM_CODE_BASE);
    set(&t, 11, JAVM_PAGE_SIZE);
    set(&t, 13, RW_BASE);
    run(&t, 0, 1000000);
    REQUIRE(t.exec[1].exit == JAVM_EXIT_HOST_CALL);
    memcpy(want, code, sizeof code - 1);
    REQUIRE(javm_memory_read(t.memories[1], RW_BASE, copy, sizeof copy));
    REQUIRE(memcmp(copy, want, sizeof copy) == 0);
    /* One more byte is one too many; one that is written is one too many as well. */
    set(&t, 11, 1);
    set(&t, 13, RW_BASE);
    run(&t, 0, 1000000);
    REQUIRE(t.exec[1].exit == JAVM_EXIT_PAGE_FAULT && !t.exec[1].fault_write);
    for (uint32_t at = JAVM_CODE_BASE; at < JAVM_CODE_BASE + JAVM_PAGE_SIZE; at += 7) {
        set(&t, 10, RW_BASE);
        set(&t, 11, 1);
        set(&t, 13, at);
        run(&t, 0, 1000);
        REQUIRE(t.exec[1].exit == JAVM_EXIT_PAGE_FAULT && t.exec[1].fault_write);
    }
    check_memory(&t);
    twin_close(&t);
}
