/* What it costs to call a warm instance of a PVM module, to be called by it, to reset it. */
#include "bench/bench_modules.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/image.h"
#include "javm/module.h"

/* A code blob of gp: at 0 it returns, at 2 it asks the host and returns. */
static const uint8_t blob[] = {0, 1, 6, 50, 0, 10, 0, 50, 0, 0x15};

struct module_bench {
    struct javm_pvm_instance *instance;
    uint64_t pc;
};

static enum javm_pvm_answer answer(void *context, struct javm_pvm_host_call *call)
{
    (void)context;
    call->regs[7]++;
    return JAVM_PVM_ANSWERED;
}

static void run_call(void *context)
{
    const struct module_bench *b = context;
    struct javm_pvm_call call = {.args = {1}, .arg_count = 1, .gas = 1000};
    if (javm_pvm_instance_call(b->instance, b->pc, &call, NULL) != JAVM_OK ||
        call.end != JAVM_PVM_RETURNED)
        abort();
}

static void run_deadline(void *context)
{
    const struct module_bench *b = context;
    struct javm_pvm_call call = {.gas = 1000, .deadline_ns = UINT64_MAX};
    if (javm_pvm_instance_call(b->instance, b->pc, &call, NULL) != JAVM_OK)
        abort();
}

static void run_reset(void *context)
{
    const struct module_bench *b = context;
    if (javm_pvm_instance_reset(b->instance, NULL, 0, NULL) != JAVM_OK)
        abort();
    run_call(context);
}

static struct javm_pvm_instance *make(const struct javm_pvm_program *program,
                                      enum javm_engine engine)
{
    const struct javm_pvm_import any = {NULL, answer, NULL};
    struct javm_pvm_module_options options = {.engine = engine};
    struct javm_pvm_module *module;
    struct javm_pvm_instance *instance;
    struct javm_error err = {.text = ""};
    if (engine == JAVM_ENGINE_JIT)
        bench_check(javm_jit_create(NULL, &options.jit, &err), "recompiler", &err);
    bench_check(javm_pvm_module_open(program, &options, &module, &err), "module", &err);
    bench_check(javm_pvm_instance_create(module, &any, 1, &instance, &err), "instance", &err);
    return instance;
}

void bench_module_rows(struct bench *rows)
{
    static const char *const columns[] = {"interpreter", "recompiler"};
    static const struct {
        const char *name;
        void (*run)(void *context);
        uint64_t pc;
    } kinds[BENCH_MODULE_ROWS / 2] = {{"a call that returns", run_call, 0},
                                      {"... with a deadline", run_deadline, 0},
                                      {"... that asks the host once", run_call, 2},
                                      {"... of an instance that is reset before", run_reset, 0}};
    static struct javm_pvm_program program;
    static struct module_bench benches[BENCH_MODULE_ROWS];
    struct javm_error err = {.text = ""};
    bench_check(javm_pvm_load(blob, sizeof blob, JAVM_PVM_CODE_GP, &program, &err), "blob", &err);
    for (unsigned i = 0; i < BENCH_MODULE_ROWS; i++) {
        const unsigned kind = i / 2, engine = i % 2;
        benches[i].instance = make(&program, (enum javm_engine)engine);
        benches[i].pc = kinds[kind].pc;
        rows[i] = (struct bench){.section = "modules",
                                 .column = columns[engine],
                                 .run = kinds[kind].run,
                                 .context = &benches[i]};
        snprintf(rows[i].name, sizeof rows[i].name, "%s", kinds[kind].name);
    }
}
