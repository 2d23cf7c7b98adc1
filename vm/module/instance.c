/* Instances: linking, memory, calls. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vm/module/module.h"

#define TO_HOST UINT64_C(0xFFFF0000) /* a jump there returns to the host */
#define SPACE   (UINT64_C(1) << 32)

enum { RA = 0, A0 = 7 };

struct javm_pvm_instance {
    const struct javm_pvm_module *module;
    struct javm_memory *memory; /* owned */
    struct javm_pvm_memory layout;
    const uint8_t *input; /* borrowed */
    uint64_t input_len;
    bool attached;  /* memory shows this layout, but for what was written and the heap */
    bool running;   /* somewhere up the stack */
    bool resumable; /* exec stands where the program can go on */
    bool asking;    /* before that, the function for `number` has to answer */
    uint32_t number;
    struct javm_exec exec;
    struct javm_pvm_import fallback;    /* function NULL: there is none */
    struct javm_pvm_import functions[]; /* one for each import */
};

const char *javm_pvm_end_name(enum javm_pvm_end end)
{
    static const char *const NAMES[] = {"returned",  "trap",    "panic", "page_fault", "out_of_gas",
                                        "host_call", "stopped", "ecall", "timeout"};
    return (unsigned)end < sizeof NAMES / sizeof *NAMES ? NAMES[end] : "unknown";
}

/* ---- linking ---------------------------------------------------------------------------- */

static const struct javm_pvm_import *answer_to(const struct javm_pvm_symbol *import,
                                               const struct javm_pvm_import *functions,
                                               size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (functions[i].name != NULL && strlen(functions[i].name) == import->name_len &&
            memcmp(functions[i].name, import->name, import->name_len) == 0)
            return &functions[i];
    for (size_t i = 0; i < count; i++)
        if (functions[i].name == NULL)
            return &functions[i];
    return NULL;
}

uint32_t javm_pvm_missing(const struct javm_pvm_program *program,
                          const struct javm_pvm_import *functions, size_t count, uint32_t *missing,
                          size_t room)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < program->import_count; i++) {
        if (answer_to(&program->imports[i], functions, count) != NULL)
            continue;
        if (found < room)
            missing[found] = i;
        found++;
    }
    return found;
}

/* In quotes, if there is room; what is not plain ASCII becomes a '?'. */
static bool put_name(char *text, size_t size, const struct javm_pvm_symbol *symbol)
{
    size_t at = strlen(text);
    if (size - at < (size_t)symbol->name_len + sizeof " \"\"")
        return false;
    if (at > 0)
        text[at++] = ' ';
    text[at++] = '"';
    for (uint32_t i = 0; i < symbol->name_len; i++)
        text[at++] = symbol->name[i] < ' ' || symbol->name[i] > '~' ? '?' : (char)symbol->name[i];
    text[at++] = '"';
    text[at] = '\0';
    return true;
}

static enum javm_status report_missing(const struct javm_pvm_program *program,
                                       const struct javm_pvm_import *functions, size_t count,
                                       uint32_t missing, struct javm_error *err)
{
    char names[140] = "", more[40] = "";
    uint32_t named = 0;
    for (uint32_t i = 0; i < program->import_count; i++)
        if (answer_to(&program->imports[i], functions, count) == NULL)
            named += put_name(names, sizeof names, &program->imports[i]);
    if (named < missing)
        snprintf(more, sizeof more, " and %" PRIu32 " more", missing - named);
    return javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE,
                     "%" PRIu32 " of %" PRIu32 " imports have no function: %s%s", missing,
                     program->import_count, names, more);
}

static enum javm_status link_all(struct javm_pvm_instance *instance,
                                 const struct javm_pvm_import *functions, size_t count,
                                 struct javm_error *err)
{
    const struct javm_pvm_program *program = instance->module->program;
    const uint32_t missing = javm_pvm_missing(program, functions, count, NULL, 0);
    if (missing > 0)
        return report_missing(program, functions, count, missing, err);
    for (uint32_t i = 0; i < program->import_count; i++)
        instance->functions[i] = *answer_to(&program->imports[i], functions, count);
    for (size_t i = count; i-- > 0;)
        if (functions[i].name == NULL)
            instance->fallback = functions[i];
    return JAVM_OK;
}

/* ---- living ----------------------------------------------------------------------------- */

enum javm_status javm_pvm_instance_create(const struct javm_pvm_module *module,
                                          const struct javm_pvm_import *functions, size_t count,
                                          struct javm_pvm_instance **instance,
                                          struct javm_error *err)
{
    const uint32_t imports = module->program->import_count;
    struct javm_pvm_instance *i = calloc(1, sizeof *i + imports * sizeof *i->functions);
    if (i == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "instance: out of memory");
    i->module = module;
    i->exec.program = module->decoded;
    i->exec.native = module->native;
    i->exec.engine = module->engine;
    enum javm_status status = link_all(i, functions, count, err);
    if (status == JAVM_OK)
        status = javm_memory_create(&i->memory, err);
    i->exec.memory = i->memory;
    if (status == JAVM_OK)
        status = javm_pvm_instance_reset(i, NULL, 0, err);
    if (status != JAVM_OK) {
        javm_pvm_instance_destroy(i);
        return status;
    }
    *instance = i;
    return JAVM_OK;
}

void javm_pvm_instance_destroy(struct javm_pvm_instance *instance)
{
    if (instance == NULL)
        return;
    javm_memory_destroy(instance->memory);
    free(instance);
}

static enum javm_status attach(struct javm_pvm_instance *instance, struct javm_error *err)
{
    struct javm_region regions[sizeof instance->layout.regions / sizeof *instance->layout.regions];
    const unsigned count = instance->layout.region_count;
    for (unsigned i = 0; i < count; i++) {
        const struct javm_pvm_region *r = &instance->layout.regions[i];
        regions[i] =
            (struct javm_region){.first_page = (uint32_t)(r->start / JAVM_PAGE_SIZE),
                                 .pages = (uint32_t)(r->size / JAVM_PAGE_SIZE),
                                 .kind = r->content_len > 0 ? JAVM_REGION_BYTES : JAVM_REGION_ZERO,
                                 .writable = r->writable,
                                 .bytes = r->content,
                                 .len = r->content_len};
    }
    if (javm_memory_attach(instance->memory, regions, count) != JAVM_OK)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "instance: no memory for its pages");
    instance->attached = true;
    return JAVM_OK;
}

static enum javm_status busy(struct javm_error *err)
{
    return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE,
                     "the instance is running: a function that it called cannot call or reset it");
}

enum javm_status javm_pvm_instance_reset(struct javm_pvm_instance *instance, const uint8_t *input,
                                         uint64_t input_len, struct javm_error *err)
{
    const struct javm_pvm_setup setup = {input, input_len, instance->module->page_size};
    struct javm_pvm_memory layout;
    if (instance->running)
        return busy(err);
    instance->resumable = false;
    const enum javm_status status =
        javm_pvm_memory(instance->module->program, &setup, &layout, err);
    if (status != JAVM_OK)
        return status;
    const bool same = instance->attached && input_len == 0 && instance->input_len == 0 &&
                      instance->exec.heap.top == layout.heap_start;
    instance->layout = layout;
    instance->input_len = input_len;
    instance->exec.heap = (struct javm_heap){
        .top = layout.heap_start, .limit = layout.heap_end, .page = instance->module->page_size};
    memset(instance->exec.regs, 0, sizeof instance->exec.regs);
    if (same) {
        javm_memory_reset(instance->memory);
        return JAVM_OK;
    }
    instance->attached = false;
    return attach(instance, err);
}

const struct javm_pvm_memory *javm_pvm_instance_memory(const struct javm_pvm_instance *instance)
{
    return &instance->layout;
}

static bool fits(uint64_t address, uint64_t len)
{
    return address < SPACE && len <= SPACE - address;
}

bool javm_pvm_instance_read(struct javm_pvm_instance *instance, uint64_t address, void *to,
                            uint64_t len)
{
    return fits(address, len) && javm_memory_read(instance->memory, (uint32_t)address, to, len);
}

bool javm_pvm_instance_write(struct javm_pvm_instance *instance, uint64_t address, const void *from,
                             uint64_t len)
{
    return fits(address, len) && javm_memory_write(instance->memory, (uint32_t)address, from, len);
}

uint64_t *javm_pvm_instance_regs(struct javm_pvm_instance *instance)
{
    return instance->exec.regs;
}

static uint64_t heap_end(const struct javm_heap *heap)
{
    const uint64_t page = heap->page == 0 ? JAVM_PAGE_SIZE : heap->page;
    return (heap->top + page - 1) / page * page;
}

/* Where what is mapped at `at` ends; `at` when nothing is. */
static uint64_t mapped_to(const struct javm_pvm_instance *instance, uint64_t at)
{
    const struct javm_heap *heap = &instance->exec.heap;
    for (unsigned i = 0; i < instance->layout.region_count; i++) {
        const struct javm_pvm_region *r = &instance->layout.regions[i];
        if (at >= r->start && at - r->start < r->size)
            return r->start + r->size;
    }
    const bool in_heap = at >= instance->layout.heap_start && at < heap_end(heap);
    return in_heap && heap->top > instance->layout.heap_start ? heap_end(heap) : at;
}

static bool is_readable(const struct javm_pvm_instance *instance, uint64_t address, uint64_t len)
{
    uint64_t at = address, next;
    while (at < address + len && (next = mapped_to(instance, at)) > at)
        at = next;
    return at >= address + len;
}

enum javm_status javm_pvm_instance_output(struct javm_pvm_instance *instance, uint64_t limit,
                                          uint8_t **bytes, uint64_t *len, struct javm_error *err)
{
    const uint64_t *regs = instance->exec.regs;
    const uint64_t address = regs[A0], n = regs[A0 + 1];
    /* Whether it can be read comes first: what cannot is empty, however long it claims to be. */
    const bool there =
        fits(address, n) && n > 0 && instance->attached && is_readable(instance, address, n);
    if (there && n > limit)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE,
                         "result: %" PRIu64 " bytes, at most %" PRIu64 " are taken", n, limit);
    *len = there ? n : 0;
    *bytes = malloc(*len > 0 ? (size_t)*len : 1);
    if (*bytes == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "result: no memory for %" PRIu64 " bytes",
                         n);
    if (there && !javm_pvm_instance_read(instance, address, *bytes, n)) {
        free(*bytes);
        *bytes = NULL;
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "result: no memory for its pages");
    }
    return JAVM_OK;
}

struct javm_hash javm_pvm_instance_hash(const struct javm_pvm_instance *instance)
{
    const struct javm_exec *exec = &instance->exec;
    const uint32_t *pages;
    const size_t count = instance->attached ? javm_memory_dirty(instance->memory, &pages) : 0;
    const struct javm_bytes own[] = {{exec->regs, sizeof instance->layout.regs},
                                     {&exec->pc, sizeof exec->pc},
                                     {&exec->heap.top, sizeof exec->heap.top}};
    struct javm_hash hash = javm_hash_pieces(own, sizeof own / sizeof *own);
    for (size_t i = 0; i < count; i++) {
        const struct javm_bytes page[] = {
            {hash.bytes, sizeof hash.bytes},
            {&pages[i], sizeof pages[i]},
            {javm_memory_page(instance->memory, pages[i]), JAVM_PAGE_SIZE}};
        hash = javm_hash_pieces(page, sizeof page / sizeof *page);
    }
    return hash;
}

/* ---- calls ------------------------------------------------------------------------------ */

static const struct javm_pvm_symbol *import_of(const struct javm_pvm_instance *instance)
{
    const struct javm_pvm_program *program = instance->module->program;
    return instance->number < program->import_count ? &program->imports[instance->number] : NULL;
}

/* Have the host answer ecalli `number`. True: the program goes on. */
static bool ask(struct javm_pvm_instance *instance, struct javm_pvm_call *call)
{
    const struct javm_pvm_symbol *import = import_of(instance);
    const struct javm_pvm_import *to =
        import != NULL ? &instance->functions[instance->number] : &instance->fallback;
    struct javm_pvm_host_call host = {.instance = instance,
                                      .import = import,
                                      .number = instance->number,
                                      .regs = instance->exec.regs,
                                      .gas = instance->exec.gas};
    const enum javm_pvm_answer answer =
        to->function != NULL ? to->function(to->context, &host) : JAVM_PVM_DECLINE;
    if (host.gas < instance->exec.gas)
        instance->exec.gas = host.gas;
    instance->asking = answer == JAVM_PVM_NO_GAS;
    call->number = instance->number;
    call->import = import;
    switch (answer) {
    case JAVM_PVM_ANSWERED:
        return true;
    case JAVM_PVM_NO_GAS:
        call->end = JAVM_PVM_OUT_OF_GAS;
        break;
    case JAVM_PVM_STOP:
        call->end = JAVM_PVM_STOPPED;
        break;
    case JAVM_PVM_TRAP:
        call->end = JAVM_PVM_TRAPPED;
        break;
    default:
        call->end = JAVM_PVM_HOST_CALL;
        break;
    }
    return false;
}

static enum javm_pvm_end end_of(const struct javm_exec *exec)
{
    switch (exec->exit) {
    case JAVM_EXIT_HALT:
        return JAVM_PVM_RETURNED;
    case JAVM_EXIT_TRAP:
        return JAVM_PVM_TRAPPED;
    case JAVM_EXIT_PAGE_FAULT:
        return JAVM_PVM_FAULT;
    case JAVM_EXIT_OUT_OF_GAS:
        return JAVM_PVM_OUT_OF_GAS;
    case JAVM_EXIT_ECALL_JAR:
        return JAVM_PVM_ECALLED;
    case JAVM_EXIT_NONE:
        return JAVM_PVM_TIMEOUT;
    default:
        return JAVM_PVM_PANIC;
    }
}

/* Calls to the host are short: the engine, which looks at the clock now and then, may never do. */
static bool is_late(uint64_t deadline_ns)
{
    struct timespec now;
    if (deadline_ns == 0)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec >= deadline_ns;
}

/* Up to an end. False: out of memory. */
static bool run(struct javm_pvm_instance *instance, struct javm_pvm_call *call)
{
    struct javm_exec *exec = &instance->exec;
    for (;;) {
        if (!instance->asking) {
            javm_exec_run(exec, call->deadline_ns);
            if (exec->failed)
                return false;
            if (exec->exit != JAVM_EXIT_HOST_CALL) {
                call->end = end_of(exec);
                return true;
            }
            instance->number = (uint32_t)exec->exit_arg;
        }
        if (!ask(instance, call))
            return true;
        if (is_late(call->deadline_ns)) {
            call->end = JAVM_PVM_TIMEOUT;
            return true;
        }
    }
}

/* The access begins at fault_addr and may reach into the page that refused. */
static uint64_t first_refused(const struct javm_exec *exec)
{
    const uint64_t page = (uint64_t)exec->exit_arg;
    return exec->fault_addr - page < JAVM_PAGE_SIZE ? exec->fault_addr : page;
}

static enum javm_status finish(struct javm_pvm_instance *instance, struct javm_pvm_call *call,
                               struct javm_error *err)
{
    struct javm_exec *exec = &instance->exec;
    exec->gas = call->gas;
    instance->resumable = false;
    instance->running = true;
    const bool good = run(instance, call);
    instance->running = false;
    if (!good) {
        instance->attached = instance->asking = false;
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "instance: no memory for its pages");
    }
    instance->resumable = call->end >= JAVM_PVM_FAULT;
    call->gas = exec->gas;
    call->value = exec->regs[A0];
    call->value2 = exec->regs[A0 + 1];
    call->pc = exec->pc;
    call->addr = call->end == JAVM_PVM_FAULT ? first_refused(exec) : 0;
    call->write = call->end == JAVM_PVM_FAULT && exec->fault_write;
    return JAVM_OK;
}

enum javm_status javm_pvm_instance_call(struct javm_pvm_instance *instance, uint64_t pc,
                                        struct javm_pvm_call *call, struct javm_error *err)
{
    uint64_t *regs = instance->exec.regs;
    if (instance->running)
        return busy(err);
    if (!instance->attached)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE,
                         "the instance ran out of memory and has to be reset");
    if (call->arg_count > JAVM_PVM_MAX_ARGS)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE, "%u arguments, at most %u are possible",
                         call->arg_count, JAVM_PVM_MAX_ARGS);
    memcpy(regs, instance->layout.regs, sizeof instance->layout.regs);
    regs[RA] = TO_HOST;
    for (unsigned i = 0; i < call->arg_count; i++)
        regs[A0 + i] = call->args[i];
    instance->exec.pc = pc;
    instance->asking = false;
    call->number = 0;
    call->import = NULL;
    return finish(instance, call, err);
}

enum javm_status javm_pvm_instance_call_export(struct javm_pvm_instance *instance, const char *name,
                                               struct javm_pvm_call *call, struct javm_error *err)
{
    const struct javm_pvm_symbol *symbol =
        javm_pvm_export(instance->module->program, name, strlen(name));
    if (symbol == NULL)
        return javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE, "there is no export \"%.100s\"", name);
    return javm_pvm_instance_call(instance, symbol->pc, call, err);
}

enum javm_status javm_pvm_instance_resume(struct javm_pvm_instance *instance,
                                          struct javm_pvm_call *call, struct javm_error *err)
{
    if (instance->running)
        return busy(err);
    if (!instance->resumable)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE,
                         "the last call did not end where it could go on");
    call->number = 0;
    call->import = NULL;
    return finish(instance, call, err);
}
