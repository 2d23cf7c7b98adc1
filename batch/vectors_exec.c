#include "batch/vectors_exec.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t slot_to_x[JAVM_NUM_SLOTS] = {1,  2,  5,  6,  7,  8, 9, 10,
                                                  11, 12, 13, 14, 15, 3, 4};

static void compare_state(const struct vector *v, const struct javm_exec *exec,
                          struct report *report)
{
    if (exec->exit != v->expected.exit)
        report_mismatch(report, "exit: got %s, want %s", javm_exit_name(exec->exit),
                        javm_exit_name(v->expected.exit));
    if (exec->exit_arg != v->expected.exit_arg)
        report_mismatch(report, "exit_arg: got %lld, want %lld", (long long)exec->exit_arg,
                        (long long)v->expected.exit_arg);
    report_compare(report, "pc", exec->pc, v->expected.pc);
    report_compare(report, "gas", exec->gas, v->expected.gas);
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        if (exec->regs[i] != v->expected.regs[i])
            report_mismatch(report, "regs[%u] (x%u): got 0x%llx, want 0x%llx", i, slot_to_x[i],
                            (unsigned long long)exec->regs[i],
                            (unsigned long long)v->expected.regs[i]);
    if (v->expected.exit != JAVM_EXIT_PAGE_FAULT || exec->exit != JAVM_EXIT_PAGE_FAULT ||
        !v->expected.fault_known)
        return;
    report_compare(report, "fault_addr", exec->fault_addr, v->expected.fault_addr);
    if (exec->fault_write != v->expected.fault_write)
        report_mismatch(report, "fault_write: got %s, want %s",
                        exec->fault_write ? "true" : "false",
                        v->expected.fault_write ? "true" : "false");
}

/* Lay the runs that reach into the page over it. *next is the first run that may; it only moves
 * forward. */
static void overlay(const struct vector *v, uint32_t page, size_t *next, uint8_t *bytes)
{
    const uint64_t first = (uint64_t)page << JAVM_PAGE_SHIFT;
    while (*next < v->expected.run_count) {
        const struct vector_run *run = &v->expected.runs[*next];
        const uint64_t run_end = (uint64_t)run->addr + run->len;
        if (run->addr >= first + JAVM_PAGE_SIZE)
            break;
        const uint64_t low = run->addr > first ? run->addr : first;
        const uint64_t high = run_end < first + JAVM_PAGE_SIZE ? run_end : first + JAVM_PAGE_SIZE;
        if (low < high)
            memcpy(bytes + (low - first), run->bytes + (low - run->addr), (size_t)(high - low));
        if (run_end > first + JAVM_PAGE_SIZE)
            break; /* it goes on in the next page */
        ++*next;
    }
}

static void initial_page(const struct javm_region *region, uint32_t page, uint8_t *bytes)
{
    const uint64_t at = (uint64_t)(page - region->first_page) << JAVM_PAGE_SHIFT;
    size_t len = 0;
    if (region->kind == JAVM_REGION_BYTES && at < region->len)
        len = region->len - at < JAVM_PAGE_SIZE ? (size_t)(region->len - at) : JAVM_PAGE_SIZE;
    if (len != 0)
        memcpy(bytes, region->bytes + at, len);
    memset(bytes + len, 0, JAVM_PAGE_SIZE - len);
}

static bool is_dirty(struct javm_memory *memory, uint32_t page)
{
    const uint32_t *pages;
    const size_t count = javm_memory_dirty(memory, &pages);
    for (size_t i = 0; i < count; i++)
        if (pages[i] == page)
            return true;
    return false;
}

static void compare_page(struct javm_memory *memory, uint32_t page, const uint8_t *initial,
                         const uint8_t *want, struct report *report)
{
    const uint8_t *got = javm_memory_page(memory, page);
    if (got == NULL)
        got = initial;
    if (memcmp(got, want, JAVM_PAGE_SIZE) != 0) {
        unsigned at = 0;
        while (got[at] == want[at])
            at++;
        report_mismatch(report, "memory at 0x%llx: got %02x, want %02x",
                        ((unsigned long long)page << JAVM_PAGE_SHIFT) + at, got[at], want[at]);
    } else if (memcmp(got, initial, JAVM_PAGE_SIZE) != 0 && !is_dirty(memory, page)) {
        report_mismatch(report, "memory at 0x%llx: the page changed and is not reported as dirty",
                        (unsigned long long)page << JAVM_PAGE_SHIFT);
    }
}

/* Every page that was touched, or that the runs say was changed: read-only ones and code too. */
static void compare_memory(const struct vector *v, struct javm_memory *memory,
                           struct report *report)
{
    uint8_t initial[JAVM_PAGE_SIZE], want[JAVM_PAGE_SIZE];
    size_t next = 0;
    for (size_t r = 0; r < v->region_count; r++) {
        const struct javm_region *region = &v->regions[r];
        for (uint32_t i = 0; i < region->pages; i++) {
            const uint32_t page = region->first_page + i;
            const bool touched = javm_memory_page(memory, page) != NULL;
            const bool named = next < v->expected.run_count &&
                               v->expected.runs[next].addr >> JAVM_PAGE_SHIFT <= page;
            if (!touched && !named)
                continue;
            initial_page(region, page, initial);
            memcpy(want, initial, sizeof want);
            overlay(v, page, &next, want);
            compare_page(memory, page, initial, want, report);
        }
    }
}

/* The vector's code for the runner's engine, and the state that it starts from. */
static bool prepare(const struct vector_runner *runner, struct javm_exec *exec,
                    struct javm_error *err)
{
    const struct vector *v = &runner->vector;
    struct javm_program *program;
    *exec = (struct javm_exec){.memory = runner->memory,
                               .engine = runner->engine,
                               .pc = v->entry_pc,
                               .gas = v->gas,
                               .heap = v->heap};
    memcpy(exec->regs, v->regs, sizeof exec->regs);
    if (exec->engine == JAVM_ENGINE_JIT)
        return javm_native_open(runner->jit, NULL, v->code, v->code_len, &v->key, NULL,
                                &exec->native, err) == JAVM_OK;
    if (javm_program_decode(v->code, v->code_len, &v->key, &program, err) != JAVM_OK)
        return false;
    exec->program = program;
    return true;
}

static void release(const struct javm_exec *exec)
{
    if (exec->engine == JAVM_ENGINE_JIT)
        javm_native_close(exec->native);
    else
        javm_program_free((struct javm_program *)(uintptr_t)exec->program);
}

bool vector_execute(struct vector_runner *runner, const struct fields *json,
                    const struct json_node *node, struct report *report, struct problem *problem)
{
    struct vector *v = &runner->vector;
    struct javm_exec exec;
    struct javm_error err;
    const bool pvm = json_member(json->nodes, node, "bitmask") != NULL;
    if (!(pvm ? vector_parse_pvm(v, json, node, problem) : vector_parse(v, json, node, problem)))
        return false;
    if (!prepare(runner, &exec, &err))
        return problem_at(problem, node->offset, "%s", err.text);
    if (javm_memory_attach(runner->memory, v->regions, v->region_count) != JAVM_OK) {
        release(&exec);
        return problem_at(problem, node->offset, "out of memory");
    }
    javm_exec_run(&exec, 0);
    const bool failed = exec.failed;
    if (!failed) {
        compare_state(v, &exec, report);
        compare_memory(v, runner->memory, report);
    }
    javm_memory_reset(runner->memory);
    release(&exec);
    return !failed || problem_at(problem, node->offset, "out of memory");
}
