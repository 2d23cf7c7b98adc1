/* What was seen of runs: written down, compared, shown. */
#include <inttypes.h>

#include "tests/vm/kernel_fuzz.h"

const char *fuzz_operation_name(uint32_t op)
{
    static const char *const names[OPERATIONS] = {
        "REPLY",      "MGMT_COPY",  "MGMT_MOVE",   "MGMT_DROP",    "MGMT_CNODE_SWAP",
        "CNODE_MINT", "GET_WIDE",   "SET_WIDE",    NULL,           NULL,
        NULL,         NULL,         NULL,          NULL,           NULL,
        NULL,         "HOST_YIELD", "SET_IMAGE",   "DERIVE_SPAWN", "MAKE_IMAGE",
        "SAME_TYPE",  "TYPE_OF",    "READ_DATA",   "MINT_DATA",    "FILE_OPEN",
        "FILE_SAVE",  "CALL",       "CALL_RESUME", "DROP_RESUME",  "IMAGE_HASH_CHAIN",
        "CALL_PAUSED"};
    if (op >= ASK_OP)
        return "(asks)";
    return op < OPERATIONS && names[op] != NULL ? names[op] : "(none)";
}

/* ---- records ---------------------------------------------------------------------------- */

void trace_add(struct fuzz_world *world, const struct record *record)
{
    struct trace *trace = &world->trace;
    const size_t at = trace->count++;
    if (trace->count > trace->room) {
        trace->room = trace->room != 0 ? trace->room * 2 : 1024;
        trace->records = realloc(trace->records, trace->room * sizeof *trace->records);
        REQUIRE(trace->records != NULL);
    }
    trace->records[at] = *record;
    if (world->against != NULL && world->differs == SIZE_MAX && world->wrong[0] == '\0' &&
        (at >= world->against->count ||
         memcmp(record, &world->against->records[at], sizeof *record) != 0)) {
        world->differs = world->show = at;
        check_fail(world, "the engines differ at record %zu", at);
    }
    if (world->wrong[0] != '\0' && world->differs == SIZE_MAX)
        world->differs = world->show = at;
    if (at == world->show && !world->silent && record->phase != PHASE_RESULT)
        state_print(world, stdout);
}

static void record_print(const struct record *r, FILE *out)
{
    static const char *const phases[] = {"before", "after ", "result"};
    fprintf(out, "%s %-16s pc %-5" PRIu64 " gas %-6" PRIu64 " used %-6" PRIu64 " entries %u:%u",
            phases[r->phase], r->phase == PHASE_RESULT ? "" : fuzz_operation_name(r->op), r->pc,
            r->gas, r->used, r->depth, r->running);
    for (unsigned i = 0; i < 6; i++)
        fprintf(out, " %" PRIx64, r->regs[i]);
    fprintf(out, " state %016" PRIx64 " memory %016" PRIx64 "\n", r->state, r->memory);
}

void trace_print(const struct trace *trace, size_t around, FILE *out)
{
    const size_t first = around > 12 ? around - 12 : 0;
    for (size_t i = first; i < trace->count && i <= around + 2; i++) {
        fprintf(out, "%c%5zu ", i == around ? '>' : ' ', i);
        record_print(&trace->records[i], out);
    }
}

/* ---- states ----------------------------------------------------------------------------- */

static void value_print(struct fuzz_world *world, const char *name, const struct value *value,
                        FILE *out)
{
    static const char *const names[W_COUNT] = {"-",     "Data",   "CNode",  "Image",    "Type",
                                               "Idle",  "Paused", "sender", "receiver", "Gas",
                                               "Quota", "File",   "other",  "RESERVED"};
    fprintf(out, " %s=%s:%08" PRIx64, name, names[view_what(world->base.dir, value)],
            digest_value(world->digests, world->base.dir, value) >> 32);
}

static void entry_print(struct fuzz_world *world, uint32_t i, FILE *out)
{
    const struct entry *e = &world->vm->entries[i];
    if (e->kind == ENTRY_REFERENCE) {
        fprintf(out, "  [%u] refers to %u: key %" PRIx64 " %s\n", i, e->owner,
                javm_key_pack(&e->key), e->by_kernel ? "by the kernel" : "");
        return;
    }
    fprintf(out,
            "  [%u] owner %d home %" PRIx64 " scope %d active %u replaced %" PRIx64
            " unpaid %" PRIu64 " pc %" PRIu64 " gas %" PRIu64 "\n      regs",
            i, (int)e->owner, e->owner != NO_ENTRY ? e->home : 0, (int)e->scope, e->active,
            e->replaced, e->unpaid, e->exec.pc, e->exec.gas);
    for (unsigned k = 0; k < JAVM_NUM_SLOTS; k++)
        fprintf(out, " %" PRIx64, e->exec.regs[k]);
    fprintf(out, "\n     ");
    value_print(world, "slot0", &e->slot0, out);
    value_print(world, "given", &e->given, out);
    struct slots root = view_node(e->instance->root);
    for (uint32_t k = 0; k < root.count; k++) {
        struct javm_key key;
        struct value value;
        char name[24];
        view_slot(&root, k, &key, &value);
        snprintf(name, sizeof name, "%" PRIx64, javm_key_pack(&key));
        value_print(world, name, &value, out);
    }
    fprintf(out, "\n");
}

void state_print(struct fuzz_world *world, FILE *out)
{
    const struct javm_vm *vm = world->vm;
    fprintf(out, "%s, %u of %u entries, budget %" PRIu64 " spent %" PRIu64 " loaded %" PRIu64 "\n",
            vm->engine == JAVM_ENGINE_JIT ? "recompiler" : "interpreter", vm->depth, vm->max_depth,
            vm->budget, vm->spent, vm->loaded);
    for (uint32_t i = 0; i < vm->depth; i++)
        entry_print(world, i, out);
}

/* ---- coverage --------------------------------------------------------------------------- */

void coverage_add(struct coverage *to, const struct coverage *from)
{
    /* Nothing but counters of one type. */
    uint64_t *sums = (uint64_t *)to;
    const uint64_t *more = (const uint64_t *)from;
    for (size_t i = 0; i < sizeof *to / sizeof *sums; i++)
        sums[i] += more[i];
}

static void faults_print(const char *title, const uint64_t *faults, FILE *out)
{
    fprintf(out, "%s", title);
    for (int i = 1; i <= JAVM_FAULT_STORAGE; i++)
        if (faults[i] != 0)
            fprintf(out, " %s %" PRIu64, javm_fault_name((enum javm_fault)i), faults[i]);
    fprintf(out, "\n");
}

void coverage_print(const struct coverage *c, FILE *out)
{
    static const char *const ends[] = {"halt", "paused", "faulted", "host_call", "timeout"};
    uint64_t done = 0, faulted = 0;
    for (uint32_t op = 0; op < OPERATIONS; op++) {
        uint64_t all = 0;
        for (int i = 0; i <= JAVM_FAULT_STORAGE; i++)
            all += c->faulted[op][i];
        done += c->done[op];
        faulted += all;
        if (c->done[op] + all == 0)
            continue;
        fprintf(out, "%-16s %10" PRIu64 " done", fuzz_operation_name(op), c->done[op]);
        faults_print(all != 0 ? ", faulted:" : "", c->faulted[op], out);
    }
    fprintf(out,
            "%" PRIu64 " operations done, %" PRIu64 " faulted; %" PRIu64
            " callees refused, %" PRIu64 " images made; yields caught: %" PRIu64
            ", raised by the kernel %" PRIu64 "\n",
            done, faulted, c->refused, c->images, c->caught, c->kernel_caught);
    fprintf(out, "yields to the kernel:");
    for (unsigned i = 0; i < 64; i++)
        if (c->served[i] != 0)
            fprintf(out, " ce%02x %" PRIu64, i, c->served[i]);
    fprintf(out, "\nends:");
    for (int i = 0; i <= JAVM_END_TIMEOUT; i++)
        fprintf(out, " %s %" PRIu64, ends[i], c->ends[i]);
    faults_print("; with", c->end_faults, out);
    faults_print("faults between operations:", c->other_faults, out);
    fprintf(out,
            "the host: resumed %" PRIu64 ", detached and attached %" PRIu64 ", dropped %" PRIu64
            ", kept %" PRIu64 ", attached %" PRIu64 "; refused %" PRIu64 "\nentries:",
            c->resumes, c->detached, c->dropped, c->kept, c->attached, c->errors);
    for (unsigned i = 1; i <= FUZZ_DEPTH; i++)
        fprintf(out, " %" PRIu64, c->depths[i]);
    fprintf(out, "\n%" PRIu64 " cases, %" PRIu64 " runs, %" PRIu64 " operations looked at\n",
            c->cases, c->runs, c->checks);
}
