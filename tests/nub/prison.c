#include "tests/nub/prison.h"

#include <sys/ioctl.h>

#include "tests/vm/support.h"
#include "vm/jit_context.h"

/* a0 = 999, stored and loaded again, and 1 more. */
static uint32_t program[6];

static struct {
    struct javm_jit *jit;
    struct javm_native *native;
    struct javm_memory *memory, *other;
    struct javm_region regions[2];
    struct nub_region region;
} prison;

static uint64_t own_data = 0x5EC2E7;

static struct javm_exec run_in(struct javm_memory *memory)
{
    struct javm_exec exec = {
        .native = prison.native, .memory = memory, .engine = JAVM_ENGINE_JIT, .gas = 1000000};
    REQUIRE(javm_memory_attach(memory, prison.regions, 2) == JAVM_OK);
    javm_exec_run(&exec, 0);
    return exec;
}

static uint8_t *code(void)
{
    return prison.jit->arena->writable + prison.native->regions->code_at;
}

static unsigned slot_of_host(unsigned r)
{
    unsigned slot = 0;
    while (jit_host_reg[slot] != r)
        slot++;
    return slot;
}

static struct prison_end run_bytes(const uint8_t *bytes, size_t len)
{
    uint8_t saved[4096];
    const uint32_t room = prison.native->regions->code_len;
    const size_t part = room < sizeof saved ? room : sizeof saved;
    memcpy(saved, code(), part);
    REQUIRE(len <= JIT_CHUNK_MIN / 2);
    uint8_t *behind = prison.jit->arena->writable + prison.native->regions->code_at + part;
    memcpy(code(), bytes, len < part ? len : part);
    if (len > part)
        memcpy(behind, bytes + part, len - part);
    const struct javm_exec exec = run_in(prison.memory);
    memcpy(code(), saved, part);
    return (struct prison_end){(uint64_t)exec.exit, exec.regs[slot_of_host(RAX)]};
}

static struct prison_map map(void)
{
    const uint64_t here = (uintptr_t)&here;
    struct prison_map map = {.base = (uintptr_t)prison.memory->base,
                             .other = (uintptr_t)prison.other->base,
                             .own = (uintptr_t)&own_data,
                             .stack = here,
                             .shared = (uintptr_t)prison.region.head,
                             .writable = (uintptr_t)prison.jit->arena->writable,
                             .executable = (uintptr_t)prison.jit->arena->executable,
                             .table = (uintptr_t)prison.native->table,
                             .exits = (uint64_t)(int64_t)CONTEXT_AT(exits[JIT_STOP])};
    map.gate = map.executable + prison.jit->gate;
    map.code = map.executable + prison.native->regions->code_at;
    REQUIRE(javm_jit_machine(prison.jit, &map.vm, &map.vcpu));
    return map;
}

static void call(void *state, uint32_t fn, const uint8_t *payload, size_t len,
                 struct nub_answer *answer)
{
    (void)state;
    if (fn == FN_WHERE) {
        const struct prison_map where = map();
        nub_answer_put(answer, &where, sizeof where);
    } else if (fn == FN_RUN) {
        const struct prison_end end = run_bytes(payload, len);
        nub_answer_put(answer, &end, sizeof end);
    } else if (fn == FN_CLEAN) {
        const struct javm_exec exec = run_in(prison.memory);
        const struct prison_end end = {(uint64_t)exec.exit, exec.regs[slot_of(10)]};
        nub_answer_put(answer, &end, sizeof end);
    } else { /* in the child itself, as if from there */
        int32_t descriptor;
        uint32_t request;
        memcpy(&descriptor, payload, 4);
        memcpy(&request, payload + 4, 4);
        static uint8_t room[65536];
        const int64_t value = ioctl(descriptor, request, room);
        nub_answer_put(answer, &value, sizeof value);
    }
}

enum javm_status prison_start(const void *options, struct nub_region *region,
                              struct nub_service *service, struct javm_error *err)
{
    const uint32_t words[] = {ADDI(10, 0, 999), LUI(11, RW_BASE), SD(10, 8, 11),
                              LD(10, 8, 11),    ADDI(10, 10, 1),  REPLY};
    const struct javm_program_key key = {0};
    (void)options;
    prison.region = *region;
    memcpy(program, words, sizeof words);
    *service = (struct nub_service){.call = call};
    const struct javm_jit_options jit = {.machine = "/dev/kvm"};
    enum javm_status status = javm_jit_create(&jit, &prison.jit, err);
    if (status != JAVM_OK)
        return status;
    prison.regions[0] = (struct javm_region){.first_page = JAVM_CODE_BASE >> JAVM_PAGE_SHIFT,
                                             .pages = 1,
                                             .kind = JAVM_REGION_BYTES,
                                             .bytes = (const uint8_t *)program,
                                             .len = sizeof program};
    prison.regions[1] = one_page;
    REQUIRE(javm_native_open(prison.jit, NULL, (const uint8_t *)program, sizeof program, &key, NULL,
                             &prison.native, NULL) == JAVM_OK);
    REQUIRE(javm_memory_create(&prison.memory, NULL) == JAVM_OK);
    REQUIRE(javm_memory_create(&prison.other, NULL) == JAVM_OK);
    /* Both have a window, and pages that were touched. */
    REQUIRE(run_in(prison.other).regs[slot_of(10)] == CLEAN_RESULT);
    REQUIRE(run_in(prison.memory).regs[slot_of(10)] == CLEAN_RESULT);
    service->machine.used =
        javm_jit_machine(prison.jit, &service->machine.vm, &service->machine.vcpu);
    return JAVM_OK;
}
