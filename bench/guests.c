/* Rows for every guest, natively and with both engines, and for fresh invocations: all in, and the
 * execution alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/bench_code.h"
#include "bench/bench_kernel.h"
#include "bench/bench_modules.h"
#include "bench/bench_nub.h"
#include "bench/bench_sched.h"
#include "bench/image.h"
#include "guest/native/guest_vm.h"

enum { COLUMNS = 8 }; /* of all sections with a row for each guest */

struct row {
    const struct guest_native *guest;
    const uint64_t *args;
    struct guest_vm *vm;     /* NULL: natively */
    struct javm_exec *alone; /* or so: the engine by itself, in memory that is ready */
};

static uint8_t scratch[65536];
static volatile uint64_t keep; /* results go here, so that no call is optimised away */

static void run_native(void *context)
{
    const struct row *row = context;
    keep = guest_native_run(row->guest, row->args, scratch);
}

static void run_invocation(void *context)
{
    const struct row *row = context;
    struct javm_call_result result;
    struct javm_error err = {.text = ""};
    bench_check(guest_vm_invoke(row->vm, (size_t)(row->guest - guest_natives), row->args,
                                UINT64_MAX / 2, NULL, &result, &err),
                row->guest->name, &err);
    if (result.end != JAVM_END_HALT)
        abort();
    keep = result.value;
}

static void run_alone(void *context)
{
    const struct row *row = context;
    struct javm_exec exec = *row->alone;
    javm_exec_run(&exec, 0);
    if (exec.exit != JAVM_EXIT_HOST_CALL || exec.exit_arg != 0) /* the reply */
        abort();
    keep = exec.regs[7];
}

double bench_native_loop(const char *guest, uint64_t count, const uint64_t args[4])
{
    const struct guest_native *found = guest_native_find(guest);
    if (found == NULL) {
        fprintf(stderr, "%s: no such guest\n", guest);
        exit(2);
    }
    const uint64_t start = bench_now_ns();
    for (uint64_t i = 0; i < count; i++)
        keep = guest_native_run(found, args, scratch);
    return (double)(bench_now_ns() - start) / 1e9;
}

/* The state in which the driver enters a guest. What it borrows is never freed. */
static struct javm_exec *prepare_alone(const char *folder, const struct row *row,
                                       enum javm_engine engine)
{
    struct bench_image *image = malloc(sizeof *image);
    struct javm_exec *exec = calloc(1, sizeof *exec);
    struct javm_error err = {.text = ""};
    size_t count;
    if (image == NULL || exec == NULL)
        abort();
    bench_image_load(folder, row->guest->name, image);
    const struct javm_image *fields = image->image;
    if (engine == JAVM_ENGINE_JIT) {
        struct javm_jit *jit;
        bench_check(javm_jit_create(NULL, &jit, &err), "recompiler", &err);
        bench_check(javm_native_open(jit, NULL, fields->code, fields->code_len, &image->key, NULL,
                                     &exec->native, &err),
                    row->guest->name, &err);
    } else {
        struct javm_program *program;
        bench_check(
            javm_program_decode_pvm2(fields->code, fields->code_len, &image->key, &program, &err),
            row->guest->name, &err);
        exec->program = program;
    }
    struct javm_region *regions = bench_image_regions(image, &count);
    bench_check(javm_memory_create(&exec->memory, &err), "memory", &err);
    bench_check(javm_memory_attach(exec->memory, regions, count), "memory", &err);
    free(regions);
    exec->engine = engine;
    memcpy(exec->regs, fields->endpoints[0].initial_regs, sizeof fields->endpoints[0].initial_regs);
    exec->regs[1] = fields->endpoints[0].stack_top;
    memcpy(&exec->regs[7], row->args, 4 * sizeof *row->args);
    exec->pc = fields->endpoints[0].entry_pc;
    exec->gas = UINT64_MAX / 2;
    return exec;
}

struct context {
    const char *folder;
    struct guest_vm *vms[2]; /* by engine */
    struct guest_vm *pvm[2]; /* the same with the guests as PVM */
    struct bench *table;
    struct row *rows;
    size_t count;
};

static void add(struct context *c, const char *section, const char *name, const char *column,
                void (*run)(void *), struct row row)
{
    struct bench *b = &c->table[c->count];
    c->rows[c->count] = row;
    snprintf(b->name, sizeof b->name, "%s", name);
    b->section = section;
    b->column = column;
    b->run = run;
    b->context = &c->rows[c->count++];
}

static const char *const columns[] = {"interpreter", "recompiler"}; /* by engine */

static void add_fresh(struct context *c, enum javm_engine engine)
{
    static const uint64_t small[4] = {64, 0, 1, 0};
    const struct guest_native *nop = guest_native_find("nop"),
                              *blake2b = guest_native_find("blake2b");
    struct row row = {nop, nop->bench, c->vms[engine], NULL};
    add(c, "fresh", "nop, all in", columns[engine], run_invocation, row);
    row.alone = prepare_alone(c->folder, &row, engine);
    add(c, "fresh", "nop, execution alone", columns[engine], run_alone, row);
    row = (struct row){blake2b, small, c->vms[engine], NULL};
    add(c, "fresh", "blake2b of 64 bytes, all in", columns[engine], run_invocation, row);
    row.alone = prepare_alone(c->folder, &row, engine);
    add(c, "fresh", "blake2b of 64 bytes, execution alone", columns[engine], run_alone, row);
}

/* Per operation; the loop around it is the row "nothing". */
static void add_kernel(struct context *c, enum javm_engine engine)
{
    static const char *const names[BENCH_KERNELS] = {
        "nothing: the loop alone", "CALL and REPLY of a small child",
        "DERIVE_SPAWN, first CALL, DROP", "a yield, caught and resumed",
        "a level of 1,000: spawn, CALL, REPLY"};
    for (enum bench_kernel what = 0; what < BENCH_KERNELS; what++) {
        struct bench *b = &c->table[c->count++];
        snprintf(b->name, sizeof b->name, "%s", names[what]);
        b->section = "kernel";
        b->column = columns[engine];
        b->run = bench_kernel_run;
        b->context = bench_kernel_open(what, engine);
        b->items = bench_kernel_rounds();
    }
}

/* Both sets on both engines. */
static void add_sets(struct context *c, const struct guest_native *guest)
{
    static const char *const pvm2[] = {"PVM2 interp.", "PVM2 recomp."}, *const pvm[] = {
                                                                            "PVM interp.",
                                                                            "PVM recomp."};
    struct row row = {guest, guest->bench, NULL, NULL};
    add(c, "sets", guest->name, "native", run_native, row);
    for (enum javm_engine engine = 0; engine < 2; engine++) {
        row.vm = c->vms[engine];
        add(c, "sets", guest->name, pvm2[engine], run_invocation, row);
        row.vm = c->pvm[engine];
        add(c, "sets", guest->name, pvm[engine], run_invocation, row);
    }
}

static struct guest_vm *open_set(const char *folder, enum javm_engine engine)
{
    struct guest_vm *vm = guest_vm_open(folder, &(struct javm_vm_options){.engine = engine});
    if (vm == NULL)
        exit(1);
    return vm;
}

const struct bench *bench_table(const char *images, size_t *count)
{
    enum {
        OTHERS = 8 + 2 * BENCH_KERNELS + BENCH_CODE_ROWS + BENCH_SCHED_ROWS + BENCH_MODULE_ROWS +
                 BENCH_NUB_ROWS
    };
    struct context c = {.folder = images};
    c.table = calloc(guest_native_count * COLUMNS + OTHERS, sizeof *c.table);
    c.rows = calloc(guest_native_count * COLUMNS + OTHERS, sizeof *c.rows);
    if (c.table == NULL || c.rows == NULL)
        abort();
    for (enum javm_engine engine = 0; engine < 2; engine++) {
        char pvm[1024];
        snprintf(pvm, sizeof pvm, "%s/pvm", images);
        c.vms[engine] = open_set(images, engine);
        c.pvm[engine] = open_set(pvm, engine);
        add_fresh(&c, engine);
        add_kernel(&c, engine);
    }
    for (size_t i = 0; i < guest_native_count; i++) {
        const struct guest_native *guest = &guest_natives[i];
        struct row row = {guest, guest->bench, NULL, NULL};
        if (strcmp(guest->name, "nop") == 0) /* natively a return */
            continue;
        add(&c, "programs", guest->name, "native", run_native, row);
        for (enum javm_engine engine = 0; engine < 2; engine++) {
            row.vm = c.vms[engine];
            add(&c, "programs", guest->name, columns[engine], run_invocation, row);
        }
        add_sets(&c, guest);
    }
    bench_code_rows(images, &c.table[c.count]);
    c.count += BENCH_CODE_ROWS;
    bench_sched_rows(&c.table[c.count]);
    c.count += BENCH_SCHED_ROWS;
    bench_module_rows(&c.table[c.count]);
    c.count += BENCH_MODULE_ROWS;
    bench_nub_rows(&c.table[c.count]);
    c.count += BENCH_NUB_ROWS;
    *count = c.count;
    return c.table;
}
