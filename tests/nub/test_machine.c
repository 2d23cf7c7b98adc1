/* What code of an attacker can do in ring 3 of the machine that runs guests: nothing to the process
 * around it, which could do nothing to the host either. The child runs the bytes that it is sent in
 * the place of a program's compiled code, which is more than any bug of a code generator gives.
 *
 * Would catch: memory of the process, of another guest or of the guest kernel that ring 3 can see;
 * pages that can be written or run that should not; an instruction that reaches ring 0, the
 * hypervisor's user or the host; a way out that is believed; state that a run leaves for the next;
 * an ioctl too many in the filter; a host that hangs or dies with its executor. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <unistd.h>

#include "tests/nub/prison.h"
#include "tests/require.h"
#include "vm/jit_context.h"
#include "vm/nub/cell.h"

#define LIMIT     (UINT64_C(512) << 20)
#define KERNEL_AT UINT64_C(0xFFFF800000000000)

static const struct nub_program PROGRAM = {prison_start, NULL};

struct jail {
    struct nub_nursery *nursery;
    struct nub_cell cell;
    struct prison_map map;
    uint64_t watchdog_ns; /* of attacks; what is ours has all the time there is */
};

static void revive(struct jail *jail)
{
    struct javm_error err = {.text = ""};
    cr_assert_eq(nub_cell_start(&jail->cell, &err), JAVM_OK, "%s", err.text);
    cr_assert_eq(nub_cell_call(&jail->cell, FN_WHERE, NULL, 0, &err), JAVM_OK, "%s", err.text);
    cr_assert_eq(jail->cell.answer_len, sizeof jail->map);
    memcpy(&jail->map, jail->cell.answer, sizeof jail->map);
}

static void jail_open(struct jail *jail, uint64_t watchdog_ns)
{
    struct javm_error err = {.text = ""};
    const int device = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (device < 0)
        cr_skip_test("/dev/kvm is missing or not ours to open");
    close(device);
    jail->watchdog_ns = watchdog_ns;
    REQUIRE(nub_nursery_open(&PROGRAM, &jail->nursery, &err) == JAVM_OK);
    const struct nub_cell_options options = {.program = &PROGRAM,
                                             .nursery = jail->nursery,
                                             .in_bytes = 65536,
                                             .out_bytes = 65536,
                                             .memory_bytes = LIMIT};
    REQUIRE(nub_cell_open(&options, &jail->cell, &err) == JAVM_OK);
    revive(jail);
}

static void jail_close(struct jail *jail)
{
    nub_cell_close(&jail->cell);
    nub_nursery_close(jail->nursery);
}

/* ---- bytes ------------------------------------------------------------------------------ */

struct bytes {
    uint8_t at[1024];
    size_t len;
};

static void put(struct bytes *b, const char *bytes, size_t len)
{
    REQUIRE(b->len + len <= sizeof b->at);
    memcpy(b->at + b->len, bytes, len);
    b->len += len;
}
#define PUT(b, text) put(b, text, sizeof text - 1)

static void put_value(struct bytes *b, uint64_t value, size_t len)
{
    char bytes[8];
    memcpy(bytes, &value, 8);
    put(b, bytes, len);
}

static void put_rax(struct bytes *b, uint64_t value)
{
    PUT(b, "\x48\xB8");
    put_value(b, value, 8);
}

/* Out, as generated code goes: rax is told. */
static void put_out(const struct jail *jail, struct bytes *b)
{
    PUT(b, "\x31\xC9\x65\xFF\x24\x25"); /* xor ecx, ecx; jmp gs:[exits] */
    put_value(b, jail->map.exits, 4);
}

/* What it comes to; a dead child is replaced. */
static enum javm_status attack(struct jail *jail, const struct bytes *b, struct prison_end *end)
{
    struct javm_error err;
    jail->cell.options.watchdog_ns = jail->watchdog_ns;
    const enum javm_status status = nub_cell_call(&jail->cell, FN_RUN, b->at, b->len, &err);
    jail->cell.options.watchdog_ns = 0;
    if (status == JAVM_OK) {
        cr_assert_eq(jail->cell.answer_len, sizeof *end);
        memcpy(end, jail->cell.answer, sizeof *end);
    } else {
        cr_assert_eq(status, JAVM_E_CRASHED, "%s", err.text);
        revive(jail);
    }
    return status;
}

/* A program that nobody touched runs as ever. */
static void expect_clean(struct jail *jail, const char *after)
{
    struct javm_error err;
    struct prison_end end;
    cr_assert_eq(nub_cell_call(&jail->cell, FN_CLEAN, NULL, 0, &err), JAVM_OK, "after %s: %s",
                 after, err.text);
    memcpy(&end, jail->cell.answer, sizeof end);
    cr_expect_eq(end.exit, JAVM_EXIT_HOST_CALL, "after %s", after);
    cr_expect_eq(end.rax, CLEAN_RESULT, "after %s", after);
}

/* ---- tests ------------------------------------------------------------------------------ */

/* The bytes do run, in ring 3, and what they may see they see. */
Test(nub_machine, allowed)
{
    struct jail jail;
    struct prison_end end;
    jail_open(&jail, 0);
    const struct {
        const char *what;
        const char *code; /* 7 bytes at most, ends at its first zero */
        uint64_t rax, value, mask;
    } ALLOWED[] = {
        {"a number", "\x90", 12345, 12345, ~UINT64_C(0)},
        {"the ring", "\x48\x8C\xC8", 0, 3, 3}, /* mov rax, cs */
        {"its page", "\x48\x8B", jail.map.base + 0x10000008, 999, ~UINT64_C(0)},
        {"its code", "\x48\x8B", jail.map.code, 0, 0},
        {"its table", "\x48\x8B", jail.map.table, 0, 0},
    };
    for (size_t i = 0; i < sizeof ALLOWED / sizeof *ALLOWED; i++) {
        struct bytes b = {.len = 0};
        put_rax(&b, ALLOWED[i].rax);
        put(&b, ALLOWED[i].code, strlen(ALLOWED[i].code));
        if (ALLOWED[i].code[1] == '\x8B')
            put(&b, "", 1); /* mov rax, [rax] */
        put_out(&jail, &b);
        if (i == 2) { /* the page is opened by whoever touches it first, here by this */
            struct bytes store = {.len = 0};
            put_rax(&store, 999);
            PUT(&store, "\x65\x48\xA3"); /* mov gs:[0x10000008], rax */
            put_value(&store, 0x10000008, 8);
            put(&store, (const char *)b.at, b.len);
            b = store;
        }
        cr_expect_eq(attack(&jail, &b, &end), JAVM_OK, "%s", ALLOWED[i].what);
        cr_expect_eq(end.rax & ALLOWED[i].mask, ALLOWED[i].value & ALLOWED[i].mask, "%s: %llx",
                     ALLOWED[i].what, (unsigned long long)end.rax);
        expect_clean(&jail, ALLOWED[i].what);
    }
    jail_close(&jail);
    REQUIRE_NO_LEAKS();
}

/* Memory that is not this guest's: reading, writing and running each end the child. */
Test(nub_machine, memory)
{
    struct jail jail;
    struct prison_end end;
    jail_open(&jail, 0);
    enum { READ = 1, WRITE = 2, RUN = 4, ALL = 7 };
    struct place {
        const char *what;
        uint64_t at;
        unsigned forbidden;
    };
    static const char *const CODE[] = {"\x48\x8B\x08", "\x48\x89\x08", "\xFF\xE0"};
    for (unsigned number = 0; number < 15; number++) {
        for (unsigned way = 0; way < 3; way++) {
            const struct prison_map *m = &jail.map; /* another one after each death */
            const struct place PLACES[] = {
                {"data of the process", m->own, ALL},
                {"its stack", m->stack, ALL},
                {"the region it shares with the host", m->shared, ALL},
                {"code where it is written", m->writable, ALL},
                {"another guest's page", m->other + 0x10000008, ALL},
                {"another guest's context", m->other + (uint64_t)(int64_t)MEMORY_CONTEXT, ALL},
                {"the guest kernel's code", KERNEL_AT, ALL},
                {"its tables", KERNEL_AT + 0x1000, ALL},
                {"its stack", KERNEL_AT + 0x2F00, ALL},
                {"behind it", KERNEL_AT + 0x3000, ALL},
                {"compiled code", m->code & ~UINT64_C(4095), WRITE},
                {"tables of compiled code", m->table, WRITE | RUN},
                {"the access bytes", m->base + (uint64_t)(int64_t)MEMORY_ACCESS, WRITE | RUN},
                {"the context", m->base + (uint64_t)(int64_t)MEMORY_CONTEXT, RUN},
                {"an address that cannot be", UINT64_C(0x8000000000000000), ALL},
            };
            const struct place *place = &PLACES[number];
            struct bytes b = {.len = 0};
            if (!(place->forbidden & 1u << way))
                continue;
            put_rax(&b, place->at);
            put(&b, CODE[way], strlen(CODE[way]));
            put_out(&jail, &b);
            cr_expect_eq(attack(&jail, &b, &end), JAVM_E_CRASHED, "%s, way %u", place->what, way);
        }
    }
    jail_close(&jail);
    REQUIRE_NO_LEAKS();
}

/* Instructions. Those that are nobody's in ring 3 end the child; some that tell things come back
 * where the processor has no way to forbid them. */
Test(nub_machine, instructions)
{
    static const struct {
        const char *what, *code;
        size_t len;
        bool may_return;
    } CODE[] = {
#define C(what, text) {what, text, sizeof text - 1, false}
#define MAYBE(what, text)                 \
    {                                     \
        what, text, sizeof text - 1, true \
    }
        C("syscall", "\x0F\x05"),
        C("sysenter", "\x0F\x34"),
        C("int 0x80", "\xCD\x80"),
        C("int 0x20", "\xCD\x20"),
        C("int 14", "\xCD\x0E"),
        C("int 2", "\xCD\x02"),
        C("int3", "\xCC"),
        C("icebp", "\xF1"),
        C("ud2 elsewhere", "\x0F\x0B"),
        C("a division by zero", "\x31\xC9\xF7\xF1"),
        C("hlt", "\xF4"),
        C("cli", "\xFA"),
        C("sti", "\xFB"),
        C("out to the way out", "\xE6\x10"),
        C("out", "\xE6\x80"),
        C("out dx", "\x66\xBA\x10\x00\xEF"),
        C("in", "\xE4\x60"),
        C("rep outsb", "\x66\xBA\x10\x00\xF3\x6E"),
        C("mov cr0", "\x0F\x20\xC0"),
        C("to cr0", "\x0F\x22\xC0"),
        C("mov cr3", "\x0F\x20\xD8"),
        C("to cr3", "\x0F\x22\xD8"),
        C("to cr4", "\x0F\x22\xE0"),
        C("mov dr7", "\x0F\x21\xF8"),
        C("rdmsr", "\x0F\x32"),
        C("wrmsr", "\x0F\x30"),
        C("lgdt", "\x0F\x01\x10"),
        C("lidt", "\x0F\x01\x18"),
        C("lldt", "\x31\xC0\x0F\x00\xD0"),
        C("ltr", "\x0F\x00\xD8"),
        C("lmsw", "\x0F\x01\xF0"),
        C("clts", "\x0F\x06"),
        C("invlpg", "\x0F\x01\x38"),
        C("invd", "\x0F\x08"),
        C("wbinvd", "\x0F\x09"),
        C("swapgs", "\x0F\x01\xF8"),
        C("sysretq", "\x48\x0F\x07"),
        C("sysexit", "\x48\x0F\x35"),
        C("xsetbv", "\x0F\x01\xD1"),
        C("vmrun", "\x0F\x01\xD8"),
        C("vmload", "\x0F\x01\xDA"),
        C("stgi", "\x0F\x01\xDC"),
        C("vmxoff", "\x0F\x01\xC4"),
        C("mov ss of ring 0", "\x66\xB8\x18\x00\x8E\xD0"),
        C("mov ds of the TSS", "\x66\xB8\x40\x00\x8E\xD8"),
        C("iretq to ring 0", "\x6A\x18\x54\x6A\x02\x6A\x10\x6A\x00\x48\xCF"),
        C("far return to ring 0", "\x6A\x10\x6A\x00\x48\xCB"),
        C("far return to ring 0 by another index", "\x6A\x13\x6A\x00\x48\xCB"),
        C("far call by the TSS", "\x6A\x40\x6A\x00\xFF\x1C\x24"),
        C("far jump to no selector", "\x6A\x50\x6A\x00\x48\xFF\x2C\x24"),
        C("the flag that steps", "\x9C\x81\x0C\x24\x00\x01\x00\x00\x9D\x90"),
        C("ports by the flags", "\x9C\x81\x0C\x24\x00\x30\x00\x00\x9D\xE6\x80"),
        MAYBE("vmcall", "\x0F\x01\xC1"),
        MAYBE("vmmcall", "\x0F\x01\xD9"),
        MAYBE("cpuid", "\x31\xC0\x53\x0F\xA2\x5B"),
        MAYBE("cpuid of the hypervisor", "\xB8\x00\x00\x00\x40\x53\x0F\xA2\x5B"),
        MAYBE("rdtsc", "\x0F\x31"),
        MAYBE("rdtscp", "\x0F\x01\xF9"),
        MAYBE("rdpmc", "\x31\xC9\x0F\x33"),
        MAYBE("sgdt", "\x0F\x01\x04\x24"),
        MAYBE("sidt", "\x0F\x01\x0C\x24"),
        MAYBE("sldt", "\x0F\x00\xC0"),
        MAYBE("str", "\x0F\x00\xC8"),
        MAYBE("smsw", "\x0F\x01\xE0"),
        MAYBE("xgetbv", "\x31\xC9\x0F\x01\xD0"),
        MAYBE("x87", "\xD9\xE8"),
        MAYBE("sse", "\x0F\x57\xC0"),
        MAYBE("avx", "\xC5\xF8\x57\xC0"),
        MAYBE("wrgsbase, which is set anew", "\xF3\x48\x0F\xAE\xD8"),
        MAYBE("null in fs", "\x31\xC0\x8E\xE0"),
        MAYBE("alignment checks", "\x9C\x81\x0C\x24\x00\x00\x04\x00\x9D"),
        MAYBE("a nested task", "\x9C\x81\x0C\x24\x00\x40\x00\x00\x9D"),
        MAYBE("string direction", "\xFD"),
        MAYBE("monitor", "\x31\xC9\x31\xD2\x0F\x01\xC8"),
        MAYBE("rdrand", "\x48\x0F\xC7\xF0"),
    };
    struct jail jail;
    struct prison_end end;
    jail_open(&jail, 2000000000);
    for (size_t i = 0; i < sizeof CODE / sizeof *CODE; i++) {
        struct bytes b = {.len = 0};
        put_rax(&b, 0);
        put(&b, CODE[i].code, CODE[i].len);
        put_out(&jail, &b);
        const enum javm_status status = attack(&jail, &b, &end);
        cr_expect(status == JAVM_E_CRASHED || CODE[i].may_return, "%s came back", CODE[i].what);
        expect_clean(&jail, CODE[i].what);
    }
    jail_close(&jail);
    REQUIRE_NO_LEAKS();
}

/* Everything that ring 3 can write is written, and then a reason given: whatever the child makes of
 * it, it does not touch what it should not, and the next run is as ever. */
Test(nub_machine, lies)
{
    struct jail jail;
    struct prison_end end;
    struct random random = {7};
    unsigned returned = 0;
    jail_open(&jail, 2000000000);
    for (unsigned round = 0; round < 120 * stress_factor(); round++) {
        struct bytes b = {.len = 0};
        const int32_t keep = CONTEXT_AT(exits[0]);
        const uint32_t context = (uint32_t)sizeof(struct jit_context);
        for (unsigned i = 0; i < 40; i++) { /* mov qword gs:[disp32], imm32 */
            const int32_t at = CONTEXT_AT(host) + (int32_t)random_below(&random, context / 8) * 8;
            uint64_t value = random_u64(&random);
            if (random_below(&random, 2) != 0)
                value = random_below(&random, 64);
            if (at >= keep && random_below(&random, 4) != 0)
                continue;
            PUT(&b, "\x65\x48\xC7\x04\x25");
            put_value(&b, (uint32_t)at, 4);
            put_value(&b, value, 4);
        }
        /* A register that reasons are told by: random, or an address that could be one. */
        const uint64_t rcx[] = {random_u64(&random), random_below(&random, 64), jail.map.own,
                                jail.map.code + random_below(&random, 512),
                                jail.map.writable + 8 * random_below(&random, 100)};
        const int32_t reason = CONTEXT_AT(exits) + 8 * (int32_t)(1 + random_below(&random, 8));
        PUT(&b, "\x48\xB9");
        put_value(&b, rcx[random_below(&random, 5)], 8);
        PUT(&b, "\x65\xFF\x24\x25");
        put_value(&b, (uint32_t)reason, 4);
        returned += attack(&jail, &b, &end) == JAVM_OK;
        expect_clean(&jail, "lies");
    }
    cr_expect_gt(returned, 0);
    jail_close(&jail);
    REQUIRE_NO_LEAKS();
}

/* Out with another base of GS, by the last instruction of the way: it is not the next run's. */
Test(nub_machine, base)
{
    static const char *const CODE[] = {"\x31\xC0\x8E\xE8",      /* mov gs, eax */
                                       "\x6A\x2B\x58\x8E\xE8",  /* ss in gs */
                                       "\xF3\x48\x0F\xAE\xD8"}; /* wrgsbase rax */
    struct jail jail;
    struct prison_end end;
    jail_open(&jail, 0);
    for (unsigned i = 0; i < 3; i++) {
        struct bytes b = {.len = 0};
        put_rax(&b, 0);
        PUT(&b, "\x65\xC7\x04\x25"); /* mov dword gs:[reason], JIT_STOP */
        put_value(&b, (uint32_t)CONTEXT_AT(reason), 4);
        put_value(&b, JIT_STOP, 4);
        put(&b, CODE[i], strlen(CODE[i]));
        put_rax(&b, jail.map.gate);
        PUT(&b, "\xFF\xE0");
        const enum javm_status status = attack(&jail, &b, &end);
        cr_expect(status == JAVM_OK || i == 2, "way %u", i);
        expect_clean(&jail, "another base");
    }
    jail_close(&jail);
    REQUIRE_NO_LEAKS();
}

Test(nub_machine, random_bytes)
{
    struct jail jail;
    struct prison_end end;
    struct random random = {1};
    jail_open(&jail, 300000000);
    for (unsigned round = 0; round < 100 * stress_factor(); round++) {
        struct bytes b = {.len = 256};
        for (size_t i = 0; i < b.len; i++)
            b.at[i] = (uint8_t)random_u64(&random);
        (void)attack(&jail, &b, &end);
        expect_clean(&jail, "random bytes");
    }
    jail_close(&jail);
    REQUIRE_NO_LEAKS();
}

/* It does not come back. */
Test(nub_machine, watchdog)
{
    struct jail jail;
    struct prison_end end;
    const struct bytes loop = {{0xEB, 0xFE}, 2};
    jail_open(&jail, 100000000);
    cr_expect_eq(attack(&jail, &loop, &end), JAVM_E_CRASHED);
    expect_clean(&jail, "a loop");
    jail_close(&jail);
}

/* Outside of the machine the child has two system calls more, at its two descriptors. */
Test(nub_machine, filter)
{
    struct jail jail;
    struct javm_error err;
    jail_open(&jail, 0);
    static const struct {
        const char *what;
        bool at_vm;
        uint32_t request;
    } FORBIDDEN[] = {
        {"registers", false, (uint32_t)KVM_SET_REGS},
        {"a reading of registers", false, (uint32_t)KVM_GET_SREGS},
        {"features", false, (uint32_t)KVM_SET_CPUID2},
        {"a processor", true, (uint32_t)KVM_CREATE_VCPU},
        {"interrupts", true, (uint32_t)KVM_CREATE_IRQCHIP},
        {"a device", true, (uint32_t)KVM_CREATE_DEVICE},
        {"what is run, of the vm", true, (uint32_t)KVM_RUN},
        {"memory, of the processor", false, (uint32_t)KVM_SET_USER_MEMORY_REGION},
        {"another descriptor's number", true, 0x5401},
    };
    for (size_t i = 0; i < sizeof FORBIDDEN / sizeof *FORBIDDEN; i++) {
        const uint32_t payload[2] = {(uint32_t)(FORBIDDEN[i].at_vm ? jail.map.vm : jail.map.vcpu),
                                     FORBIDDEN[i].request};
        cr_expect_eq(nub_cell_call(&jail.cell, FN_IOCTL, payload, sizeof payload, &err),
                     JAVM_E_CRASHED, "%s", FORBIDDEN[i].what);
        revive(&jail);
    }
    const uint32_t none[2] = {9, (uint32_t)KVM_RUN}; /* a descriptor that is not there */
    cr_expect_eq(nub_cell_call(&jail.cell, FN_IOCTL, none, sizeof none, &err), JAVM_E_CRASHED);
    jail_close(&jail);
}
