/* What code of an attacker can do in the process that runs guests: nothing. The service here runs
 * the bytes that it is sent, which is more than any bug of a code generator gives.
 *
 * Would catch: a system call too many in the filter, memory that becomes executable, a limit that
 * can be gone around, descriptors or environment of the host that a child has, a host that hangs,
 * crashes or believes what a child writes over the whole region. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/require.h"
#include "vm/nub/cell.h"
#include "vm/nub/sanitized.h"

enum { FN_RUN, FN_FILL, FN_FILL_BEHIND, FN_SCRIBBLE, FN_SPIN, FN_LIE };

#define LIMIT (UINT64_C(512) << 20)
#define STEP  (UINT64_C(16) << 20)

/* ---- the child -------------------------------------------------------------------------- */

static uint8_t *executable; /* as if it were the recompiler's */

static uint64_t run_bytes(const uint8_t *bytes, size_t len)
{
    uint64_t (*code)(void);
    memcpy(executable, bytes, len);
    memcpy(&code, &executable, sizeof code);
    return code();
}

/* Dirty memory until there is no more. `behind`: what is full is made read-only, and so leaves the
 * account. */
static uint64_t fill(bool behind)
{
    uint64_t total = 0;
    for (;; total += STEP) {
        uint8_t *more =
            mmap(NULL, STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (more == MAP_FAILED)
            return total;
        for (uint64_t at = 0; at < STEP; at += JAVM_PAGE_SIZE)
            more[at] = 1;
        if (behind)
            (void)mprotect(more, STEP, PROT_READ);
    }
}

static void scribble(struct nub_region *region, uint64_t seed)
{
    struct random random = {seed};
    const size_t head = NUB_LANES_AT + region->lane_count * sizeof *region->lanes;
    for (unsigned round = 0; round < 50; round++) {
        uint8_t *bytes = (uint8_t *)region->head;
        for (size_t i = 0; i < head; i += 4) {
            const uint32_t word = (uint32_t)random_u64(&random);
            const uint32_t value = random_below(&random, 2) != 0 ? word : word % 8;
            memcpy(bytes + i, &value, 4);
        }
        memset(region->in, 0xFF, 4096);
        __atomic_store_n(&region->head->call, (uint32_t)random_below(&random, 3), __ATOMIC_RELEASE);
        nub_bell_ring(&region->head->answer, &region->head->host_sleeps);
    }
}

static void lie(struct nub_region *region)
{
    region->head->answer_len = UINT64_MAX;
    region->head->progress = UINT64_MAX;
}

static void call(void *state, uint32_t fn, const uint8_t *payload, size_t len,
                 struct nub_answer *answer)
{
    uint64_t value = 0;
    (void)state;
    switch (fn) {
    case FN_RUN:
        value = run_bytes(payload, len);
        break;
    case FN_FILL:
    case FN_FILL_BEHIND:
        value = fill(fn == FN_FILL_BEHIND);
        break;
    case FN_SCRIBBLE:
        memcpy(&value, payload, sizeof value);
        scribble(answer->region, value);
        raise(SIGKILL);
        break;
    case FN_SPIN:
        for (volatile uint64_t i = 0;; i++)
            continue;
    case FN_LIE:
        lie(answer->region);
        __atomic_store_n(&answer->region->head->call, NUB_CALL_DONE, __ATOMIC_RELEASE);
        nub_bell_ring(&answer->region->head->answer, &answer->region->head->host_sleeps);
        for (volatile uint64_t i = 0;; i++)
            continue;
    default:
        break;
    }
    nub_answer_put(answer, &value, sizeof value);
}

static void invoke(void *state, const struct javm_nub_invoke *packet,
                   struct javm_nub_result *result)
{
    (void)state;
    *result = (struct javm_nub_result){.return_value = packet->args[0]};
}

static enum javm_status start(const void *options, struct nub_region *region,
                              struct nub_service *service, struct javm_error *err)
{
    (void)options;
    (void)region;
    *service = (struct nub_service){.call = call, .invoke = invoke};
    executable = mmap(NULL, JAVM_PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return executable != MAP_FAILED ? JAVM_OK
                                    : javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory");
}

static enum javm_status start_late(const void *options, struct nub_region *region,
                                   struct nub_service *service, struct javm_error *err)
{
    usleep(100000);
    return start(options, region, service, err);
}

/* ---- the host --------------------------------------------------------------------------- */

static const struct nub_program PROGRAM = {start, NULL};
static const struct nub_program LATE = {start_late, NULL};

struct jail {
    struct nub_nursery *nursery;
    struct nub_cell cell;
};

static void jail_open_with(struct jail *jail, const struct nub_program *program,
                           uint64_t watchdog_ns)
{
    struct javm_error err = {.text = ""};
    REQUIRE(nub_nursery_open(program, &jail->nursery, &err) == JAVM_OK);
    const struct nub_cell_options options = {.program = program,
                                             .nursery = jail->nursery,
                                             .lanes = 4,
                                             .in_bytes = 65536,
                                             .out_bytes = 65536,
                                             .memory_bytes = LIMIT,
                                             .watchdog_ns = watchdog_ns};
    REQUIRE(nub_cell_open(&options, &jail->cell, &err) == JAVM_OK);
    cr_assert_eq(nub_cell_start(&jail->cell, &err), JAVM_OK, "%s", err.text);
}

static void jail_open(struct jail *jail, uint64_t watchdog_ns)
{
    jail_open_with(jail, &PROGRAM, watchdog_ns);
}

static void jail_close(struct jail *jail)
{
    nub_cell_close(&jail->cell);
    nub_nursery_close(jail->nursery);
}

/* mov reg, imm64 for the number and six arguments; syscall; ret. */
static size_t assemble(uint8_t *code, long number, const uint64_t *args)
{
    static const uint8_t MOVES[7][2] = {{0x48, 0xB8}, {0x48, 0xBF}, {0x48, 0xBE}, {0x48, 0xBA},
                                        {0x49, 0xBA}, {0x49, 0xB8}, {0x49, 0xB9}};
    size_t len = 0;
    for (unsigned i = 0; i < 7; i++) {
        const uint64_t value = i == 0 ? (uint64_t)number : args[i - 1];
        memcpy(code + len, MOVES[i], 2);
        memcpy(code + len + 2, &value, 8);
        len += 10;
    }
    memcpy(code + len, "\x0f\x05\xc3", 3);
    return len + 3;
}

static enum javm_status attack(struct jail *jail, long number, const uint64_t *args, int64_t *value)
{
    uint8_t code[128];
    struct javm_error err;
    const size_t len = assemble(code, number, args);
    const enum javm_status status = nub_cell_call(&jail->cell, FN_RUN, code, len, &err);
    if (status == JAVM_OK) {
        cr_assert_eq(jail->cell.answer_len, 8);
        memcpy(value, jail->cell.answer, 8);
    } else {
        cr_assert_eq(status, JAVM_E_CRASHED, "%s", err.text);
        cr_assert_eq(nub_cell_start(&jail->cell, &err), JAVM_OK, "%s", err.text);
    }
    return status;
}

Test(nub_sandbox, forbidden)
{
    static const char PATH[] = "/etc/passwd";
    const uint64_t path = (uintptr_t)PATH; /* the child has the same addresses */
    const uint64_t self = (uint64_t)getpid();
    const struct {
        const char *what;
        long number;
        uint64_t args[6];
    } ATTACKS[] = {
        {"open a file", SYS_open, {path, 0}},
        {"openat", SYS_openat, {(uint64_t)-100, path, 0}},
        {"openat2", SYS_openat2, {(uint64_t)-100, path, path, 24}},
        {"io_uring", SYS_io_uring_setup, {8, path}},
        {"make a socket", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
        {"a pair of sockets", SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, path}},
        {"connect", SYS_connect, {3, path, 16}},
        {"signal the host", SYS_kill, {self, SIGKILL}},
        {"signal everybody", SYS_kill, {(uint64_t)-1, SIGKILL}},
        {"signal a thread", SYS_tgkill, {self, self, SIGKILL}},
        {"signal by descriptor", SYS_pidfd_send_signal, {3, SIGKILL}},
        {"open a process", SYS_pidfd_open, {self, 0}},
        {"trace", SYS_ptrace, {16, self}},
        {"read another process", SYS_process_vm_readv, {self, path, 1, path, 1}},
        {"write another process", SYS_process_vm_writev, {self, path, 1, path, 1}},
        {"run a program", SYS_execve, {path, 0, 0}},
        {"fork", SYS_fork, {0}},
        {"clone", SYS_clone, {SIGCHLD}},
        {"clone3", SYS_clone3, {path, 88}},
        {"executable memory", SYS_mmap, {0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0}},
        {"make memory executable", SYS_mprotect, {path & ~UINT64_C(4095), 4096, 5}},
        {"make memory executable with a key",
         SYS_pkey_mprotect,
         {path & ~UINT64_C(4095), 4096, 5, 0}},
        {"shared memory", SYS_mmap, {0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, (uint64_t)-1, 0}},
        {"map a file", SYS_mmap, {0, 4096, 1, MAP_PRIVATE, 0, 0}},
        {"a stack that no limit counts",
         SYS_mmap,
         {0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, (uint64_t)-1, 0}},
        {"a memory file", SYS_memfd_create, {path, 0}},
        {"segments", SYS_shmget, {0, 4096, 0666}},
        {"write", SYS_write, {2, path, 4}},
        {"read", SYS_read, {0, path, 4}},
        {"raise limits", SYS_prlimit64, {0, RLIMIT_DATA, path, 0}},
        {"prctl", SYS_prctl, {PR_SET_DUMPABLE, 1}},
        {"another FS base", SYS_arch_prctl, {0x1002, path}},
        {"become root", SYS_setuid, {0}},
        {"unshare", SYS_unshare, {0x10000000}},
        {"bpf", SYS_bpf, {0, path, 16}},
        {"userfaultfd", SYS_userfaultfd, {0}},
        {"handlers", SYS_rt_sigaction, {SIGSYS, 0, 0, 8}},
        {"the other numbers of 32 bits", SYS_openat | 0x40000000, {(uint64_t)-100, path, 0}},
    };
    struct jail jail;
    jail_open(&jail, 0);
    for (size_t i = 0; i < sizeof ATTACKS / sizeof *ATTACKS; i++) {
        int64_t value = 0;
        cr_expect_eq(attack(&jail, ATTACKS[i].number, ATTACKS[i].args, &value), JAVM_E_CRASHED,
                     "%s: it came back with %lld", ATTACKS[i].what, (long long)value);
    }
    jail_close(&jail);
    REQUIRE_NO_LEAKS();
}

/* The bytes do run: what is allowed comes back. And no number but these does. */
Test(nub_sandbox, allowed)
{
    static const long ALLOWED[] = {SYS_futex,          SYS_madvise,     SYS_munmap,
                                   SYS_clock_gettime,  SYS_brk,         SYS_sched_yield,
                                   SYS_rt_sigprocmask, SYS_sigaltstack, SYS_mremap};
    static const long ENDS[] = {SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_restart_syscall};
    const uint64_t map[6] = {0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0};
    const uint64_t none[6] = {0, 0, 0, 0, 0, 0};
    struct jail jail;
    int64_t value = 0;
    jail_open(&jail, 0);
    cr_expect_eq(attack(&jail, SYS_mmap, map, &value), JAVM_OK);
    cr_expect(value > 0 && value % 4096 == 0);
    cr_expect_eq(attack(&jail, SYS_mremap, map, &value), JAVM_OK);
    cr_expect_eq(value, -ENOMEM);
    unsigned came_back = 0;
    for (long number = 0; number < 470; number++) {
        bool ends = false, allowed = false;
        for (size_t i = 0; i < sizeof ENDS / sizeof *ENDS; i++)
            ends = ends || ENDS[i] == number;
        for (size_t i = 0; i < sizeof ALLOWED / sizeof *ALLOWED; i++)
            allowed = allowed || ALLOWED[i] == number;
        if (number == 335 || number == 336) /* the kernel's own, for probes: no filter sees them */
            continue;
        if (ends || number == SYS_mmap || number == SYS_mprotect)
            continue;
        const enum javm_status status = attack(&jail, number, none, &value);
        cr_expect_eq(status == JAVM_OK, allowed, "system call %ld", number);
        came_back += status == JAVM_OK;
    }
    cr_expect_eq(came_back, sizeof ALLOWED / sizeof *ALLOWED);
    jail_close(&jail);
    REQUIRE_NO_LEAKS();
}

/* Nothing of the host's but the region: no descriptor, session and group of its own, hidden. */
Test(nub_sandbox, stripped)
{
    char path[64], text[4096];
    struct jail jail;
    jail_open(&jail, 0);
    const pid_t pid = jail.cell.child.pid;
    cr_expect_eq(getsid(pid), pid);
    cr_expect_eq(getpgid(pid), pid);
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    const size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    cr_expect_not_null(strstr(text, "NoNewPrivs:\t1"));
    cr_expect_not_null(strstr(text, "Seccomp:\t2"));
    cr_expect_not_null(strstr(text, "CapEff:\t0000000000000000"));
    cr_expect_not_null(strstr(text, "CapPrm:\t0000000000000000"));
    cr_expect_not_null(strstr(text, "FDSize:\t"));
    snprintf(path, sizeof path, "/proc/%d/fd/0", (int)pid);
    cr_expect_neq(access(path, F_OK), 0);
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)pid);
    file = fopen(path, "r");
    cr_assert_not_null(file);
    cr_assert_not_null(fgets(text, sizeof text, file));
    fclose(file);
    cr_expect_str_eq(text, "1000\n");
    jail_close(&jail);
}

/* Memory ends at the limit; who goes around the account is seen and killed. */
Test(nub_sandbox, memory)
{
    struct jail jail;
    struct javm_error err;
    uint64_t total;
    if (NUB_SANITIZED) /* there are no limits then: the plain builds test them */
        return;
    jail_open(&jail, 0);
    cr_assert_eq(nub_cell_call(&jail.cell, FN_FILL, NULL, 0, &err), JAVM_OK, "%s", err.text);
    memcpy(&total, jail.cell.answer, sizeof total);
    cr_expect(total <= LIMIT && total > LIMIT / 2, "%llu bytes", (unsigned long long)total);
    cr_assert_eq(nub_cell_start(&jail.cell, &err), JAVM_OK, "%s", err.text);
    cr_expect_eq(nub_cell_call(&jail.cell, FN_FILL_BEHIND, NULL, 0, &err), JAVM_E_CRASHED);
    jail_close(&jail);
}

/* A child that does not come back. */
Test(nub_sandbox, watchdog)
{
    struct jail jail;
    struct javm_error err;
    jail_open(&jail, 30000000);
    cr_expect_eq(nub_cell_call(&jail.cell, FN_SPIN, NULL, 0, &err), JAVM_E_CRASHED);
    cr_expect(!nub_cell_lives(&jail.cell));
    jail_close(&jail);
}

/* The watchdog is for guests: who takes longer to start is not killed. */
Test(nub_sandbox, late)
{
    struct jail jail;
    jail_open_with(&jail, &LATE, 20000000);
    cr_expect(nub_cell_lives(&jail.cell));
    jail_close(&jail);
}

Test(nub_sandbox, lies)
{
    struct jail jail;
    struct javm_error err;
    jail_open(&jail, 0);
    cr_expect_eq(nub_cell_call(&jail.cell, FN_LIE, NULL, 0, &err), JAVM_E_CRASHED);
    cr_expect_eq(jail.cell.answer_len + jail.cell.progress, 0);
    cr_expect(!nub_cell_lives(&jail.cell));
    jail_close(&jail);
}

/* Random bytes all over the region, while the host waits for a call and has jobs in all lanes. */
Test(nub_sandbox, scribbled)
{
    struct jail jail;
    struct javm_error err;
    unsigned refused = 0;
    jail_open(&jail, 0);
    for (uint64_t seed = 1; seed <= 60 * stress_factor(); seed++) {
        const struct javm_nub_invoke packet = {.args = {seed}};
        for (uint32_t lane = 0; lane < 4; lane++)
            nub_cell_submit(&jail.cell, lane, seed + lane, &packet);
        const enum javm_status status =
            nub_cell_call(&jail.cell, FN_SCRIBBLE, &seed, sizeof seed, &err);
        refused += status != JAVM_OK;
        cr_expect(status != JAVM_OK || jail.cell.answer_len <= jail.cell.region.out_bytes);
        cr_expect_eq(memchr(err.text, '\0', sizeof err.text) == NULL, 0);
        for (uint32_t lane = 0; lane < 4; lane++) {
            struct javm_nub_result result = {0};
            if (nub_cell_take(&jail.cell, lane, seed + lane, &result) == JAVM_OK)
                cr_expect(result.exit_reason <= JAVM_NUB_EXIT_MAX && result.exit_reason != 5);
        }
        cr_assert_eq(nub_cell_start(&jail.cell, &err), JAVM_OK, "%s", err.text);
    }
    cr_expect_gt(refused, 0);
    jail_close(&jail);
    REQUIRE_NO_LEAKS();
}
