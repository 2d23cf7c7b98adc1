/* Two sides of one case: opening programs, running legs, comparing. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vm/lockstep.h"
#include "vm/memory.h"

#define CODE_PAGE (JAVM_CODE_BASE >> JAVM_PAGE_SHIFT)

static const uint8_t slot_to_x[JAVM_NUM_SLOTS] = {1,  2,  5,  6,  7,  8, 9, 10,
                                                  11, 12, 13, 14, 15, 3, 4};

/* ---- programs --------------------------------------------------------------------------- */

static void *copy_of(const void *from, size_t len)
{
    void *copy = malloc(len != 0 ? len : 1);
    REQUIRE(copy != NULL);
    if (len != 0)
        memcpy(copy, from, len);
    return copy;
}

void lock_program_open(struct lock_program *program, const uint8_t *code, uint64_t code_len,
                       const struct javm_program_key *key)
{
    uint8_t *copy = calloc(code_len != 0 ? code_len : 1, 1);
    REQUIRE(copy != NULL);
    if (code_len != 0)
        memcpy(copy, code, code_len);
    *program = (struct lock_program){.code = copy, .code_len = code_len, .key = *key};
    if (key->pvm != JAVM_PVM_NONE) {
        program->key.bitmask = copy_of(key->bitmask, (size_t)(code_len + 7) / 8);
        program->key.jump_table =
            copy_of(key->jump_table, key->jump_count * sizeof *key->jump_table);
    }
    REQUIRE(javm_program_decode(copy, code_len, &program->key, &program->program, NULL) == JAVM_OK);
    if (code_len == 0)
        return;
    program->layout.regions[0] = (struct javm_region){
        .first_page = CODE_PAGE,
        .pages = (uint32_t)((code_len + JAVM_PAGE_SIZE - 1) >> JAVM_PAGE_SHIFT),
        .kind = JAVM_REGION_BYTES,
        .bytes = copy,
        .len = code_len};
    program->layout.count = 1;
}

void lock_program_close(struct lock_program *program)
{
    for (unsigned i = 0; i < LOCK_JITS; i++)
        if (program->natives[i] != NULL)
            javm_native_close(program->natives[i]);
    javm_program_free(program->program);
    free(program->code);
    free((void *)(uintptr_t)program->key.bitmask);
    free((void *)(uintptr_t)program->key.jump_table);
    *program = (struct lock_program){0};
}

uint64_t lock_need(const struct lock_program *program, uint64_t pc)
{
    uint64_t low = 0, high = javm_program_blocks(program->program), reserve;
    struct javm_block_info info;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        javm_program_block(program->program, middle, &info);
        if (info.start == pc) {
            if (info.ecall)
                return JAVM_HOST_CALL_FLOOR;
            if (__builtin_mul_overflow(program->key.cow_cost, 2 * info.stores, &reserve) ||
                __builtin_add_overflow(info.cost, reserve, &reserve))
                return UINT64_MAX;
            return reserve;
        }
        if (info.start < pc)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* ---- sides ------------------------------------------------------------------------------ */

const char *lock_machine;

static void open_jits(struct lock_pair *pair)
{
    const struct javm_jit_options options[LOCK_STORED] = {
        [LOCK_FULL] = {.code_bytes = 1 << 26, .machine = lock_machine},
        [LOCK_PLAIN] = {.code_bytes = 1 << 26, .plain = true},
        [LOCK_SMALL] = {.code_bytes = 1 << 19}, /* plans fill it: then the interpreter helps */
    };
    for (unsigned i = 0; i < LOCK_STORED; i++) {
        struct javm_error err;
        if (javm_jit_create(&options[i], &pair->jits[i], &err) != JAVM_OK) {
            fprintf(stderr, "lockstep: recompiler: %s\n", err.text);
            exit(2);
        }
    }
}

void lock_pair_open(struct lock_pair *pair, enum javm_engine first, enum javm_engine second,
                    const struct lock_pair *share)
{
    *pair = (struct lock_pair){.engines = {first, second}};
    for (unsigned i = 0; i < 2; i++) {
        REQUIRE(javm_memory_create(&pair->memories[i], NULL) == JAVM_OK);
        REQUIRE(javm_memory_create(&pair->spare[i], NULL) == JAVM_OK);
    }
    pair->borrowed = share != NULL;
    if (share != NULL)
        memcpy(pair->jits, share->jits, sizeof pair->jits);
    else if (first == JAVM_ENGINE_JIT || second == JAVM_ENGINE_JIT)
        open_jits(pair);
}

void lock_pair_close(struct lock_pair *pair)
{
    for (unsigned i = 0; i < 2; i++) {
        javm_memory_destroy(pair->memories[i]);
        javm_memory_destroy(pair->spare[i]);
    }
    for (unsigned i = 0; i < LOCK_JITS && !pair->borrowed; i++)
        javm_jit_destroy(pair->jits[i]);
    free(pair->legs);
}

static void attach(struct javm_memory *memory, const struct lock_layout *layout, bool warm)
{
    const struct memory_layout all = {.regions = layout->regions,
                                      .count = layout->count,
                                      .scratch = layout->scratch,
                                      .scratch_data = layout->scratch_data,
                                      .space = layout->space,
                                      .id = layout->id,
                                      .constant = layout->constant};
    REQUIRE((warm ? memory_attach_warm(memory, &all)
                  : javm_memory_attach(memory, layout->regions, layout->count)) == JAVM_OK);
}

static void open_native(const struct lock_pair *pair, struct lock_program *program, unsigned jit)
{
    if (program->natives[jit] == NULL && pair->jits[jit] != NULL)
        REQUIRE(javm_native_open(pair->jits[jit], NULL, program->code, program->code_len,
                                 &program->key, NULL, &program->natives[jit], NULL) == JAVM_OK);
}

void lock_natives_open(const struct lock_pair *pair, struct lock_program *program)
{
    for (unsigned jit = 0; jit < LOCK_JITS; jit++)
        open_native(pair, program, jit);
}

static void engage(struct lock_pair *pair, unsigned side, enum javm_engine engine)
{
    struct javm_exec *exec = &pair->exec[side];
    if (engine == JAVM_ENGINE_JIT)
        open_native(pair, pair->program, pair->jit);
    exec->engine = engine;
    exec->program = pair->program->program;
    exec->native = pair->program->natives[pair->jit];
    exec->memory = pair->memories[side];
}

void lock_begin(struct lock_pair *pair, struct lock_program *program,
                const struct lock_layout *layout, const struct lock_state *state, unsigned jit,
                struct random *how)
{
    const bool same = pair->program == program && pair->layout.id == layout->id &&
                      pair->layout.scratch_data == layout->scratch_data;
    if (same && chance(how, 85)) {
        javm_memory_reset(pair->memories[0]);
        javm_memory_reset(pair->memories[1]);
    } else {
        pair->turn ^= 1;
        pair->attached[pair->turn] = *layout;
        if (chance(how, 50)) /* what the driver does after a call; it depends on the gas */
            memory_finish(pair->memories[1], chance(how, 70) ? UINT32_MAX : 0);
        else if (chance(how, 5))
            REQUIRE(memory_drop(pair->memories[1]));
        pair->layout = *layout;
        attach(pair->memories[0], &pair->attached[pair->turn], false);
        attach(pair->memories[1], &pair->attached[pair->turn], chance(how, 70));
    }
    pair->program = program;
    pair->start = *state;
    pair->jit = jit;
    pair->leg_count = 0;
    for (unsigned side = 0; side < 2; side++) {
        struct javm_exec *exec = &pair->exec[side];
        *exec = (struct javm_exec){.pc = state->pc, .gas = state->gas, .heap = program->heap};
        memcpy(exec->regs, state->regs, sizeof exec->regs);
        engage(pair, side, pair->engines[side]);
    }
}

static void remember(struct lock_pair *pair, const struct lock_leg *leg)
{
    if (pair->leg_count == pair->leg_room) {
        const size_t room = pair->leg_room * 2 + 64;
        struct lock_leg *legs = realloc(pair->legs, room * sizeof *legs);
        REQUIRE(legs != NULL);
        pair->legs = legs;
        pair->leg_room = room;
    }
    pair->legs[pair->leg_count++] = *leg;
}

void lock_finish(struct javm_exec *exec, uint64_t deadline)
{
    for (;;) {
        const uint64_t gas = exec->gas;
        javm_exec_run(exec, deadline);
        if (exec->exit != JAVM_EXIT_NONE)
            return;
        if (exec->gas == gas) /* one block wants more than a slice: it needs time */
            deadline = UINT64_MAX;
    }
}

bool lock_run(struct lock_pair *pair, const struct lock_leg *leg, enum lock_depth depth)
{
    bool wrote[2];
    remember(pair, leg);
    pair->cases++;
    engage(pair, 1, leg->other_engine ? pair->engines[0] : pair->engines[1]);
    for (unsigned side = 0; side < 2; side++) {
        struct javm_exec *exec = &pair->exec[side];
        wrote[side] = leg->write_at != 0 &&
                      javm_memory_write(exec->memory, leg->write_at, &leg->write_value, 4);
        exec->gas = leg->gas;
        if (side == 0)
            pair->before = *exec;
        lock_finish(exec, leg->deadline);
        REQUIRE(!exec->failed && !exec->memory->failed); /* the host's memory: says nothing */
    }
    pair->exits[pair->exec[0].exit]++;
    return wrote[0] == wrote[1] &&
           lock_compare(&pair->exec[0], &pair->exec[1], &pair->layout, depth, NULL);
}

/* ---- comparing -------------------------------------------------------------------------- */

struct differences {
    FILE *out;
    bool any;
};

static void differ(struct differences *d, const char *what, uint64_t a, uint64_t b)
{
    if (a == b)
        return;
    d->any = true;
    if (d->out != NULL)
        fprintf(d->out, "  %s: %" PRIu64 " (0x%" PRIx64 ") and %" PRIu64 " (0x%" PRIx64 ")\n", what,
                a, a, b, b);
}

static void compare_exec(struct differences *d, const struct javm_exec *a,
                         const struct javm_exec *b)
{
    if (a->exit != b->exit) {
        d->any = true;
        if (d->out != NULL)
            fprintf(d->out, "  exit: %s and %s\n", javm_exit_name(a->exit),
                    javm_exit_name(b->exit));
    }
    differ(d, "exit_arg", (uint64_t)a->exit_arg, (uint64_t)b->exit_arg);
    differ(d, "pc", a->pc, b->pc);
    differ(d, "gas", a->gas, b->gas);
    differ(d, "heap", a->heap.top, b->heap.top);
    if (memcmp(a->regs, b->regs, sizeof a->regs) != 0) {
        char name[8];
        for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++) {
            snprintf(name, sizeof name, "x%u", slot_to_x[i]);
            differ(d, name, a->regs[i], b->regs[i]);
        }
    }
    if (a->exit == JAVM_EXIT_PAGE_FAULT && b->exit == JAVM_EXIT_PAGE_FAULT) {
        differ(d, "fault_addr", a->fault_addr, b->fault_addr);
        differ(d, "fault_write", a->fault_write, b->fault_write);
    }
}

static void initial_page(const struct javm_region *region, uint32_t index, uint8_t *bytes)
{
    const uint64_t at = (uint64_t)index << JAVM_PAGE_SHIFT;
    const uint8_t *from = NULL;
    size_t len = JAVM_PAGE_SIZE;
    if (region->kind == JAVM_REGION_DATA && index < javm_data_pages(region->data))
        from = javm_data_page(region->data, index);
    if (region->kind == JAVM_REGION_BYTES && at < region->len) {
        from = region->bytes + at;
        if (region->len - at < len)
            len = (size_t)(region->len - at);
    }
    memset(bytes, 0, JAVM_PAGE_SIZE);
    if (from != NULL)
        memcpy(bytes, from, len);
}

static void compare_page(struct differences *d, uint32_t page, const uint8_t *a, const uint8_t *b)
{
    if (a == b || memcmp(a, b, JAVM_PAGE_SIZE) == 0)
        return;
    unsigned at = 0;
    while (a[at] == b[at])
        at++;
    char name[32];
    snprintf(name, sizeof name, "byte at 0x%08" PRIx64, ((uint64_t)page << JAVM_PAGE_SHIFT) + at);
    differ(d, name, a[at], b[at]);
}

static void compare_all_pages(struct differences *d, const struct javm_memory *a,
                              const struct javm_memory *b, const struct lock_layout *layout)
{
    uint8_t initial[JAVM_PAGE_SIZE];
    for (uint32_t r = 0; r < layout->count; r++) {
        const struct javm_region *region = &layout->regions[r];
        for (uint32_t i = 0; i < region->pages; i++) {
            const uint8_t *in_a = javm_memory_page(a, region->first_page + i);
            const uint8_t *in_b = javm_memory_page(b, region->first_page + i);
            if (in_a == NULL && in_b == NULL)
                continue;
            if (in_a == NULL || in_b == NULL)
                initial_page(region, i, initial);
            compare_page(d, region->first_page + i, in_a != NULL ? in_a : initial,
                         in_b != NULL ? in_b : initial);
        }
    }
}

/* The engines have to agree about which pages are dirty, and about their content. */
static void compare_dirty(struct differences *d, struct javm_memory *a, struct javm_memory *b)
{
    const uint32_t *in_a, *in_b;
    const size_t count_a = javm_memory_dirty(a, &in_a), count_b = javm_memory_dirty(b, &in_b);
    size_t i = 0, j = 0;
    while (i < count_a || j < count_b) {
        if (i < count_a && j < count_b && in_a[i] == in_b[j]) {
            const uint8_t *page_a = javm_memory_page(a, in_a[i]);
            const uint8_t *page_b = javm_memory_page(b, in_b[j]);
            differ(d, "content of a dirty page", page_a != NULL, page_b != NULL);
            if (page_a != NULL && page_b != NULL)
                compare_page(d, in_a[i], page_a, page_b);
            i++;
            j++;
        } else if (j == count_b || (i < count_a && in_a[i] < in_b[j])) {
            differ(d, "dirty page", in_a[i++], UINT64_MAX);
        } else {
            differ(d, "dirty page", UINT64_MAX, in_b[j++]);
        }
    }
}

bool lock_compare(const struct javm_exec *a, const struct javm_exec *b,
                  const struct lock_layout *layout, enum lock_depth depth, FILE *out)
{
    struct differences d = {.out = out};
    compare_exec(&d, a, b);
    if (depth >= LOCK_DIRTY)
        compare_dirty(&d, a->memory, b->memory);
    if (depth == LOCK_ALL)
        compare_all_pages(&d, a->memory, b->memory, layout);
    return !d.any;
}

/* ---- the comparison itself -------------------------------------------------------------- */

static void expect_difference(struct lock_pair *pair, enum lock_depth depth)
{
    REQUIRE(!lock_compare(&pair->exec[0], &pair->exec[1], &pair->layout, depth, NULL));
    pair->exec[1] = pair->exec[0];
    pair->exec[1].memory = pair->memories[1];
}

void lock_self_test(void)
{
    /* sd x5, 0(x10); ld x6, 0(x11): a write, a touch, a fault. */
    static const uint8_t code[] = {0x23, 0x30, 0x55, 0x00, 0x03, 0xB3, 0x05, 0x00};
    const struct javm_program_key key = {0};
    struct random random = {.state = 1};
    struct lock_pair pair;
    struct lock_program program;
    lock_pair_open(&pair, JAVM_ENGINE_INTERP, JAVM_ENGINE_INTERP, NULL);
    lock_program_open(&program, code, sizeof code, &key);
    program.layout.regions[program.layout.count++] =
        (struct javm_region){.first_page = 0x10000, .pages = 3, .writable = true};
    program.layout.space = program.layout.id = UINT64_MAX;
    program.state = (struct lock_state){.gas = 1000};
    program.state.regs[2] = 77;
    program.state.regs[7] = JAVM_DATA_BASE;
    program.state.regs[8] = 0x2FFFFFFC;
    const struct lock_leg leg = {.gas = 1000};
    lock_begin(&pair, &program, &program.layout, &program.state, 0, &random);
    REQUIRE(lock_run(&pair, &leg, LOCK_ALL));
    REQUIRE(pair.exec[0].exit == JAVM_EXIT_PAGE_FAULT);
    pair.exec[1].exit = JAVM_EXIT_PANIC;
    expect_difference(&pair, LOCK_REGISTERS);
    pair.exec[1].exit_arg++;
    expect_difference(&pair, LOCK_REGISTERS);
    pair.exec[1].pc++;
    expect_difference(&pair, LOCK_REGISTERS);
    pair.exec[1].gas--;
    expect_difference(&pair, LOCK_REGISTERS);
    pair.exec[1].fault_addr++;
    expect_difference(&pair, LOCK_REGISTERS);
    pair.exec[1].fault_write = !pair.exec[1].fault_write;
    expect_difference(&pair, LOCK_REGISTERS);
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++) {
        pair.exec[1].regs[i] ^= UINT64_C(1) << 63;
        expect_difference(&pair, LOCK_REGISTERS);
    }
    const uint8_t byte = 0x55;
    REQUIRE(javm_memory_write(pair.memories[1], JAVM_DATA_BASE + 9, &byte, 1));
    expect_difference(&pair, LOCK_DIRTY);
    expect_difference(&pair, LOCK_ALL);
    lock_begin(&pair, &program, &program.layout, &program.state, 0, &random);
    REQUIRE(lock_run(&pair, &leg, LOCK_ALL));
    REQUIRE(javm_memory_write(pair.memories[1], JAVM_DATA_BASE + 0x1009, &byte, 1));
    expect_difference(&pair, LOCK_DIRTY);
    /* A byte that changed in a page nobody was said to have written. */
    lock_begin(&pair, &program, &program.layout, &program.state, 0, &random);
    REQUIRE(lock_run(&pair, &leg, LOCK_ALL));
    REQUIRE(javm_memory_read(pair.memories[1], JAVM_CODE_BASE, &(uint8_t){0}, 1));
    struct javm_region *region = &pair.layout.regions[0];
    region->bytes = code + 1;
    region->len = sizeof code - 1;
    REQUIRE(!lock_compare(&pair.exec[0], &pair.exec[1], &pair.layout, LOCK_ALL, NULL));
    lock_pair_close(&pair);
    lock_program_close(&program);
}
