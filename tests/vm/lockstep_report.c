/* What to do about a difference: show it, find out whether one run alone shows it, leave out of the
 * program what it does not need, and keep it as a vector. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vm/lockstep.h"
#include "vm/pvm2.h"

#define CODE_PAGE (JAVM_CODE_BASE >> JAVM_PAGE_SHIFT)
#define TRIALS    4000u

/* The last leg by itself: everything it starts from. */
struct lone {
    uint8_t *code;
    uint64_t code_len;
    struct javm_program_key key;
    struct javm_region regions[LOCK_REGIONS]; /* data; each owns its bytes */
    uint32_t count;
    uint64_t regs[JAVM_NUM_SLOTS], pc, gas, deadline;
    struct javm_exec ends[2]; /* of the last run */
};

/* ---- taking it out of the case ---------------------------------------------------------- */

static void copy_region(struct lone *lone, struct javm_memory *memory,
                        const struct javm_region *region)
{
    const uint32_t address = region->first_page << JAVM_PAGE_SHIFT;
    uint64_t len = (uint64_t)region->pages << JAVM_PAGE_SHIFT;
    uint8_t *bytes = malloc(len);
    REQUIRE(bytes != NULL && javm_memory_read(memory, address, bytes, len));
    while (len != 0 && bytes[len - 1] == 0)
        len--;
    lone->regions[lone->count++] = (struct javm_region){.first_page = region->first_page,
                                                        .pages = region->pages,
                                                        .kind = JAVM_REGION_BYTES,
                                                        .writable = region->writable,
                                                        .bytes = bytes,
                                                        .len = len};
}

/* Memory as it was before the last leg: the interpreter once more. */
static void take_out(struct lock_pair *pair, struct lone *lone)
{
    const struct lock_program *program = pair->program;
    struct javm_memory *memory = pair->spare[0];
    struct javm_exec exec = {.program = program->program, .memory = memory, .pc = pair->start.pc};
    *lone = (struct lone){.code_len = program->code_len, .key = program->key};
    lone->code = malloc(program->code_len + 1);
    REQUIRE(lone->code != NULL);
    memcpy(lone->code, program->code, program->code_len);
    REQUIRE(javm_memory_attach(memory, pair->layout.regions, pair->layout.count) == JAVM_OK);
    memcpy(exec.regs, pair->start.regs, sizeof exec.regs);
    for (size_t i = 0; i < pair->leg_count; i++) {
        const struct lock_leg *leg = &pair->legs[i];
        if (leg->write_at != 0)
            javm_memory_write(memory, leg->write_at, &leg->write_value, 4);
        lone->deadline = leg->deadline;
        if (i + 1 == pair->leg_count)
            break;
        exec.gas = leg->gas;
        lock_finish(&exec, leg->deadline);
    }
    memcpy(lone->regs, pair->before.regs, sizeof lone->regs);
    lone->pc = pair->before.pc;
    lone->gas = pair->before.gas;
    for (uint32_t i = 0; i < pair->layout.count; i++)
        if (i != 0 || pair->layout.regions[0].first_page != CODE_PAGE)
            copy_region(lone, memory, &pair->layout.regions[i]);
    REQUIRE(javm_memory_attach(memory, NULL, 0) == JAVM_OK);
}

static void clear(struct lone *lone)
{
    for (uint32_t i = 0; i < lone->count; i++)
        free((void *)(uintptr_t)lone->regions[i].bytes);
    free(lone->code);
}

/* Run it on both sides with nothing left over from before. True when they agree. */
static bool agrees(struct lock_pair *pair, struct lone *lone, FILE *out)
{
    struct lock_program program;
    lock_program_open(&program, lone->code, lone->code_len, &lone->key);
    struct lock_layout *layout = &program.layout;
    memcpy(layout->regions + layout->count, lone->regions, lone->count * sizeof *lone->regions);
    layout->count += lone->count;
    for (unsigned side = 0; side < 2; side++) {
        struct javm_exec *exec = &lone->ends[side];
        *exec = (struct javm_exec){.program = program.program,
                                   .memory = pair->spare[side],
                                   .engine = pair->engines[side],
                                   .pc = lone->pc,
                                   .gas = lone->gas};
        memcpy(exec->regs, lone->regs, sizeof exec->regs);
        REQUIRE(javm_memory_attach(exec->memory, layout->regions, layout->count) == JAVM_OK);
        if (exec->engine == JAVM_ENGINE_JIT)
            REQUIRE(javm_native_open(pair->jits[pair->jit], NULL, program.code, program.code_len,
                                     &program.key, NULL, &exec->native, NULL) == JAVM_OK);
        lock_finish(exec, lone->deadline);
    }
    const bool same = lock_compare(&lone->ends[0], &lone->ends[1], layout, LOCK_ALL, out);
    for (unsigned side = 0; side < 2; side++) {
        REQUIRE(javm_memory_attach(pair->spare[side], NULL, 0) == JAVM_OK);
        if (lone->ends[side].native != NULL)
            javm_native_close(lone->ends[side].native);
    }
    lock_program_close(&program);
    return same;
}

/* ---- cutting down ----------------------------------------------------------------------- */

/* Nothing instead of the instructions in [from, to), of the same lengths. */
static void blank(uint8_t *code, const uint32_t *offsets, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        static const uint8_t nop[] = {0x13, 0, 0, 0}, short_nop[] = {0x01, 0};
        const size_t len = offsets[i + 1] - offsets[i];
        memcpy(code + offsets[i], len == 2 ? short_nop : nop, len);
    }
}

static void shrink_code(struct lock_pair *pair, struct lone *lone, unsigned *trials)
{
    uint32_t *offsets = malloc((lone->code_len / 2 + 2) * sizeof *offsets);
    uint8_t *kept = malloc(lone->code_len + 1);
    struct pvm2_insn insn;
    size_t count = 0;
    uint64_t at = 0;
    REQUIRE(offsets != NULL && kept != NULL);
    for (; pvm2_decode(lone->code, lone->code_len, at, &insn); at += insn.len)
        offsets[count++] = (uint32_t)at;
    offsets[count] = (uint32_t)at;
    for (size_t size = count; size != 0; size /= 2) {
        for (size_t from = 0; from < count && *trials != 0; from += size, --*trials) {
            memcpy(kept, lone->code, lone->code_len);
            blank(lone->code, offsets, from, from + size < count ? from + size : count);
            if (memcmp(kept, lone->code, lone->code_len) != 0 && agrees(pair, lone, NULL))
                memcpy(lone->code, kept, lone->code_len);
        }
    }
    free(kept);
    free(offsets);
}

static void shrink(struct lock_pair *pair, struct lone *lone)
{
    unsigned trials = TRIALS;
    const uint64_t much = lone->gas;
    if (much > 10000000) { /* what is left of the program may run for ever */
        lone->gas = 10000000;
        if (agrees(pair, lone, NULL)) {
            lone->gas = much;
            return;
        }
    }
    shrink_code(pair, lone, &trials);
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++) {
        const uint64_t value = lone->regs[i];
        lone->regs[i] = 0;
        if (agrees(pair, lone, NULL))
            lone->regs[i] = value;
    }
    const uint64_t gas = lone->gas;
    lone->gas = 1000;
    if (gas <= 1000 || agrees(pair, lone, NULL))
        lone->gas = gas;
    shrink_code(pair, lone, &trials);
}

/* ---- printing --------------------------------------------------------------------------- */

static void print_state(const struct lone *lone)
{
    printf("  pc %" PRIu64 ", gas %" PRIu64 ", deadline %" PRIu64 ", footprint %" PRIu64
           ", cow_cost %" PRIu64 "\n  registers (slots)",
           lone->pc, lone->gas, lone->deadline, lone->key.footprint_pages, lone->key.cow_cost);
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        printf(" %" PRIx64, lone->regs[i]);
    printf("\n  memory");
    for (uint32_t i = 0; i < lone->count; i++)
        printf(" %05x+%u%s", lone->regions[i].first_page, lone->regions[i].pages,
               lone->regions[i].writable ? "w" : "r");
    printf("\n");
}

static bool is_nop(const struct pvm2_insn *insn)
{
    return insn->op == PVM2_ADDI && insn->rd == 0 && insn->rs1 == 0 && insn->imm == 0;
}

/* Is it worth a line? Long programs are shown around the places that matter. */
static bool shown(uint64_t at, const struct pvm2_insn *insn, bool start, const struct lone *lone)
{
    const uint64_t places[3] = {lone->pc, lone->ends[0].pc, lone->ends[1].pc};
    for (unsigned i = 0; i < 3; i++)
        if (at == places[i])
            return true;
    if (is_nop(insn) && !start)
        return false;
    for (unsigned i = 0; i < 3; i++)
        if (at + 120 > places[i] && at < places[i] + 60)
            return true;
    return lone->code_len <= 1000;
}

static void print_code(const struct lone *lone)
{
    struct javm_program *program;
    struct pvm2_insn insn;
    char text[64];
    bool gap = false;
    uint64_t block = 0;
    REQUIRE(javm_program_decode_pvm2(lone->code, lone->code_len, &lone->key, &program, NULL) ==
            JAVM_OK);
    for (uint64_t at = 0; pvm2_decode(lone->code, lone->code_len, at, &insn); at += insn.len) {
        const bool start = javm_program_is_start(program, at);
        struct javm_block_info info = {0};
        if (start)
            javm_program_block(program, block++, &info);
        if (!shown(at, &insn, start, lone)) {
            gap = true;
            continue;
        }
        if (gap)
            printf("  ...\n");
        gap = false;
        pvm2_format(&insn, text, sizeof text);
        printf("%s %6" PRIx64 "  %0*x%*s %-32s", start ? "*" : " ", at, insn.len * 2,
               insn.len == 2 ? insn.raw & 0xFFFF : insn.raw, 8 - insn.len * 2, "", text);
        if (start)
            printf(" ; gas %" PRIu64, info.cost);
        printf("%s%s%s\n", at == lone->pc ? " <- entry" : "",
               at == lone->ends[0].pc ? " <- first" : "",
               at == lone->ends[1].pc ? " <- second" : "");
    }
    javm_program_free(program);
}

/* ---- vectors ---------------------------------------------------------------------------- */

static void put_hex(FILE *file, const uint8_t *bytes, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++)
        fprintf(file, "%02x", bytes[i]);
}

static void put_regs(FILE *file, const uint64_t *regs)
{
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        fprintf(file, "%s%" PRIu64, i == 0 ? "\"regs\":[" : ",", regs[i]);
    fprintf(file, "],");
}

/* The interpreter says what is expected. */
static void put_expected(FILE *file, struct javm_exec *exec)
{
    const uint32_t *pages;
    javm_exec_run(exec, 0);
    fprintf(file,
            "\"expected\":{\"exit\":\"%s\",\"exit_arg\":%" PRId64 ",\"pc\":%" PRIu64
            ",\"gas\":%" PRIu64 ",",
            javm_exit_name(exec->exit), exec->exit_arg, exec->pc, exec->gas);
    put_regs(file, exec->regs);
    if (exec->exit == JAVM_EXIT_PAGE_FAULT)
        fprintf(file, "\"fault_addr\":%" PRIu64 ",\"fault_write\":%s,", exec->fault_addr,
                exec->fault_write ? "true" : "false");
    fprintf(file, "\"memory\":[");
    const size_t dirty = javm_memory_dirty(exec->memory, &pages);
    for (size_t i = 0; i < dirty; i++) {
        fprintf(file, "%s{\"addr\":%" PRIu64 ",\"hex\":\"", i == 0 ? "" : ",",
                (uint64_t)pages[i] << JAVM_PAGE_SHIFT);
        put_hex(file, javm_memory_page(exec->memory, pages[i]), JAVM_PAGE_SIZE);
        fprintf(file, "\"}");
    }
    fprintf(file, "]}");
}

static void keep_vector(struct lock_pair *pair, const struct lone *lone, const char *path)
{
    struct lock_program program;
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        return;
    }
    fprintf(file, "[{\"name\":\"lockstep\",\"code\":\"");
    put_hex(file, lone->code, lone->code_len);
    fprintf(file,
            "\",\"entry_pc\":%" PRIu64 ",\"gas\":%" PRIu64 ",\"footprint_pages\":%" PRIu64
            ",\"cow_cost\":%" PRIu64 ",",
            lone->pc, lone->gas, lone->key.footprint_pages, lone->key.cow_cost);
    put_regs(file, lone->regs);
    fprintf(file, "\"memory\":[");
    for (uint32_t i = 0; i < lone->count; i++) {
        const struct javm_region *region = &lone->regions[i];
        fprintf(file, "%s{\"addr\":%" PRIu64 ",\"len\":%" PRIu64 ",\"writable\":%s,\"hex\":\"",
                i == 0 ? "" : ",", (uint64_t)region->first_page << JAVM_PAGE_SHIFT,
                (uint64_t)region->pages << JAVM_PAGE_SHIFT, region->writable ? "true" : "false");
        put_hex(file, region->bytes, region->len);
        fprintf(file, "\"}");
    }
    fprintf(file, "],");
    lock_program_open(&program, lone->code, lone->code_len, &lone->key);
    struct lock_layout *layout = &program.layout;
    memcpy(layout->regions + layout->count, lone->regions, lone->count * sizeof *lone->regions);
    layout->count += lone->count;
    struct javm_memory *memory = pair->spare[0];
    REQUIRE(javm_memory_attach(memory, layout->regions, layout->count) == JAVM_OK);
    struct javm_exec exec = {
        .program = program.program, .memory = memory, .pc = lone->pc, .gas = lone->gas};
    memcpy(exec.regs, lone->regs, sizeof exec.regs);
    put_expected(file, &exec);
    fprintf(file, "}]\n");
    REQUIRE(javm_memory_attach(memory, NULL, 0) == JAVM_OK);
    lock_program_close(&program);
    if (fclose(file) == 0)
        printf("  kept as %s\n", path);
    else
        perror(path);
}

/* ---- the whole case --------------------------------------------------------------------- */

/* All legs once more, with new native code and memory that nothing else was run in. */
static bool case_agrees(const struct lock_pair *pair, struct random *random)
{
    struct lock_pair again = {.engines = {pair->engines[0], pair->engines[1]},
                              .memories = {pair->spare[0], pair->spare[1]}};
    struct lock_program program;
    struct lock_layout layout = pair->layout;
    bool same = true;
    memcpy(again.jits, pair->jits, sizeof again.jits);
    lock_program_open(&program, pair->program->code, pair->program->code_len, &pair->program->key);
    if (program.code_len != 0)
        layout.regions[0].bytes = program.code;
    lock_layout_number(&layout);
    lock_begin(&again, &program, &layout, &pair->start, pair->jit, random);
    for (size_t i = 0; i < pair->leg_count && same; i++)
        same = lock_run(&again, &pair->legs[i], LOCK_ALL);
    for (unsigned side = 0; side < 2; side++)
        REQUIRE(javm_memory_attach(pair->spare[side], NULL, 0) == JAVM_OK);
    lock_program_close(&program);
    free(again.legs);
    return same;
}

static void print_legs(const struct lock_pair *pair)
{
    const size_t first = pair->leg_count > 10 ? pair->leg_count - 10 : 0;
    printf("  legs of the case, the last %zu of %zu:\n", pair->leg_count - first, pair->leg_count);
    for (size_t i = first; i < pair->leg_count; i++) {
        const struct lock_leg *leg = &pair->legs[i];
        printf("    gas %" PRIu64 ", deadline %" PRIu64, leg->gas, leg->deadline);
        if (leg->write_at != 0)
            printf(", the host writes to 0x%x", leg->write_at);
        printf("%s\n", leg->other_engine ? ", with the other engine" : "");
    }
}

/* PVM cases are shown as they are. */
static void print_pvm(const struct lock_pair *pair)
{
    const struct lock_program *program = pair->program;
    printf("  code ");
    put_hex(stdout, program->code, program->code_len);
    printf("\n  bitmask ");
    put_hex(stdout, program->key.bitmask, (program->code_len + 7) / 8);
    printf("\n  jump table");
    for (uint32_t i = 0; i < program->key.jump_count; i++)
        printf(" %u", program->key.jump_table[i]);
    printf("\n  before the last leg: pc %" PRIu64 ", gas %" PRIu64 ", registers", pair->before.pc,
           pair->before.gas);
    for (unsigned i = 0; i < JAVM_NUM_REGS; i++)
        printf(" 0x%" PRIx64, pair->before.regs[i]);
    printf("\n");
}

/* ---- report ----------------------------------------------------------------------------- */

void lock_report(struct lock_pair *pair, const char *keep)
{
    static const char *const variants[LOCK_JITS] = {"full", "plain", "small", "stored"};
    struct lone lone;
    printf("engines differ: source %s, %" PRIu64 " bytes of code, leg %zu of its case%s%s\n",
           pair->program->source, pair->program->code_len, pair->leg_count,
           pair->engines[1] == JAVM_ENGINE_JIT ? ", recompiler " : "",
           pair->engines[1] == JAVM_ENGINE_JIT ? variants[pair->jit] : "");
    lock_compare(&pair->exec[0], &pair->exec[1], &pair->layout, LOCK_ALL, stdout);
    if (pair->program->key.pvm != JAVM_PVM_NONE) {
        print_pvm(pair);
        print_legs(pair);
        fflush(stdout);
        return;
    }
    take_out(pair, &lone);
    print_state(&lone);
    if (agrees(pair, &lone, NULL)) {
        struct random random = {.state = 1};
        unsigned shows = 0;
        for (unsigned i = 0; i < 10; i++)
            shows += !case_agrees(pair, &random);
        print_legs(pair);
        printf("  the last leg alone does not show it; the whole case does, %u times of 10\n",
               shows);
        lone.ends[0] = pair->exec[0];
        lone.ends[1] = pair->exec[1];
    } else {
        shrink(pair, &lone);
        printf("cut down:\n");
        agrees(pair, &lone, stdout);
        print_state(&lone);
    }
    print_code(&lone);
    if (keep != NULL)
        keep_vector(pair, &lone, keep);
    clear(&lone);
    fflush(stdout);
}
