/* Signals that are not the guest's: the recompiler takes the faults of its guests, and nothing
 * else.
 *
 * Would catch: a fault of the host that is swallowed, or that looks like one of a guest; a handler
 * that was there before and is not called any more, or is called for a guest's fault; a process
 * that goes on where it should have died; a signal in the middle of generated code that changes
 * what the guest computes. */
#include <criterion/criterion.h>

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/vm/support.h"

/* Handlers are installed once in a process: each scenario has one of its own. Returns how it ended.
 */
static int in_child(void (*scenario)(int), int argument)
{
    int status;
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        scenario(argument);
        _exit(0);
    }
    REQUIRE(waitpid(child, &status, 0) == child);
    return status;
}

/* ---- a guest ---------------------------------------------------------------------------- */

struct guest {
    uint32_t code[7];
    struct javm_jit *jit;
    struct javm_native *native;
    struct javm_exec exec;
    struct machine machine; /* its memory, and the interpreter's program */
};

static void guest_open(struct guest *g)
{
    /* 0: loads from x10. 8: adds 3 to x5 and stores it, x11 times. */
    const uint32_t code[] = {LD(5, 0, 10),     REPLY,           ADDI(5, 5, 3), SD(5, 0, 10),
                             ADDI(11, 11, -1), BNE(11, 0, -12), REPLY};
    const struct javm_program_key key = {0};
    memcpy(g->code, code, sizeof code);
    REQUIRE(javm_jit_create(NULL, &g->jit, NULL) == JAVM_OK);
    REQUIRE(javm_native_open(g->jit, NULL, (const uint8_t *)g->code, sizeof g->code, &key, NULL,
                             &g->native, NULL) == JAVM_OK);
    machine_open(&g->machine, g->code, sizeof g->code, &one_page, 1);
    g->exec = (struct javm_exec){
        .native = g->native, .memory = g->machine.memory, .engine = JAVM_ENGINE_JIT};
}

static void guest_close(struct guest *g)
{
    machine_close(&g->machine);
    javm_native_close(g->native);
    javm_jit_destroy(g->jit);
}

static enum javm_exit load_from(struct guest *g, uint64_t address)
{
    g->exec.pc = 0;
    g->exec.gas = 1000;
    g->exec.regs[slot_of(10)] = address;
    javm_exec_run(&g->exec, 0);
    return g->exec.exit;
}

/* A guest's own faults, of both kinds. */
static void run_guest(struct guest *g)
{
    javm_memory_reset(g->machine.memory);
    REQUIRE(load_from(g, RW_BASE) == JAVM_EXIT_HOST_CALL);
    REQUIRE(load_from(g, 64) == JAVM_EXIT_PAGE_FAULT);
    REQUIRE(g->exec.fault_addr == 64);
}

/* ---- handlers that were there before ---------------------------------------------------- */

static sigjmp_buf back;
static volatile sig_atomic_t calls, last_signal;
static void *volatile last_address;

static void old_handler(int number)
{
    calls++;
    last_signal = number;
    siglongjmp(back, 1);
}

static void new_handler(int number, siginfo_t *info, void *context)
{
    REQUIRE(context != NULL);
    last_address = info->si_addr;
    old_handler(number);
}

static void install(bool with_info)
{
    struct sigaction action = {.sa_flags = SA_ONSTACK | SA_NODEFER};
    if (with_info) {
        action.sa_flags |= SA_SIGINFO;
        action.sa_sigaction = new_handler;
    } else {
        action.sa_handler = old_handler;
    }
    REQUIRE(sigaction(SIGSEGV, &action, NULL) == 0);
    REQUIRE(sigaction(SIGBUS, &action, NULL) == 0);
}

/* The host reads what it may not; true when the handler saw just that. */
static bool handled(const volatile uint8_t *address, int number, bool with_info)
{
    const int before = calls;
    if (sigsetjmp(back, 1) == 0) {
        (void)*address;
        return false;
    }
    return calls == before + 1 && last_signal == number &&
           (!with_info || last_address == (const volatile void *)address);
}

static uint8_t *page_without_access(void)
{
    uint8_t *page = mmap(NULL, JAVM_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED);
    return page;
}

/* A mapping behind the end of its file. */
static uint8_t *page_without_file(void)
{
    const int fd = memfd_create("empty", 0);
    REQUIRE(fd >= 0);
    uint8_t *page = mmap(NULL, JAVM_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
    REQUIRE(page != MAP_FAILED);
    close(fd);
    return page;
}

static void check_chain(int with_info)
{
    struct guest g;
    uint8_t *const bad = page_without_access(), *const gone = page_without_file();
    install(with_info != 0);
    REQUIRE(handled(bad, SIGSEGV, with_info));
    guest_open(&g);
    REQUIRE(handled(bad, SIGSEGV, with_info)); /* before any guest has run in this thread */
    for (int i = 0; i < 3; i++) {
        const int before = calls;
        run_guest(&g);
        REQUIRE(calls == before);
        REQUIRE(handled(bad, SIGSEGV, with_info));
        REQUIRE(handled(gone, SIGBUS, with_info));
        /* The host in the guest's memory is the host's fault, too. */
        const uint8_t *page = javm_memory_page(g.machine.memory, RW_BASE >> JAVM_PAGE_SHIFT);
        REQUIRE(page != NULL && handled(page - RW_BASE, SIGSEGV, with_info));
        if (sigsetjmp(back, 1) == 0) /* one that is sent, not met */
            raise(SIGSEGV);
        REQUIRE(last_signal == SIGSEGV && calls == before + 4);
    }
    guest_close(&g);
    REQUIRE(handled(bad, SIGSEGV, with_info));
}

Test(escape_signals, handler_with_info_is_called)
{
    cr_assert_eq(in_child(check_chain, true), 0);
}

Test(escape_signals, handler_without_info_is_called)
{
    cr_assert_eq(in_child(check_chain, false), 0);
}

/* ---- without a handler the process dies ------------------------------------------------- */

/* Shared with the child: it came to where it should die. */
static volatile int *arrived;

enum way { BEFORE_GUEST, AFTER_GUEST, IN_GUEST_MEMORY, SENT, BUS, IGNORED };

static void die(int way)
{
    struct guest g;
    signal(SIGSEGV, way == IGNORED ? SIG_IGN : SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    const volatile uint8_t *bad = page_without_access();
    guest_open(&g);
    if (way != BEFORE_GUEST)
        run_guest(&g);
    if (way == BUS)
        bad = page_without_file();
    if (way == IN_GUEST_MEMORY)
        bad = javm_memory_page(g.machine.memory, RW_BASE >> JAVM_PAGE_SHIFT) - RW_BASE;
    *arrived = way;
    if (way == SENT)
        kill(getpid(), SIGSEGV);
    else
        (void)*bad;
}

Test(escape_signals, default_action_kills)
{
    static const int expected[] = {SIGSEGV, SIGSEGV, SIGSEGV, SIGSEGV, SIGBUS, SIGSEGV};
    arrived =
        mmap(NULL, sizeof *arrived, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(arrived != MAP_FAILED);
    for (int way = BEFORE_GUEST; way <= IGNORED; way++) {
        *arrived = -1;
        const int status = in_child(die, way);
        cr_expect_eq(*arrived, way);
        cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == expected[way], "way %d: status %x",
                  way, (unsigned)status);
    }
}

/* ---- signals in the middle -------------------------------------------------------------- */

static volatile sig_atomic_t ticks;

static void tick(int number)
{
    (void)number;
    ticks++;
}

static void run_interrupted(int unused)
{
    (void)unused;
    const struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
    const struct sigaction action = {.sa_handler = tick, .sa_flags = SA_ONSTACK | SA_RESTART};
    struct guest g;
    guest_open(&g);
    run_guest(&g);
    REQUIRE(sigaction(SIGALRM, &action, NULL) == 0);
    REQUIRE(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (int i = 0; i < 2000 && (ticks < 300 || i < 20); i++) {
        javm_memory_reset(g.machine.memory);
        g.exec.pc = 8;
        g.exec.gas = UINT64_C(1) << 40;
        g.exec.regs[slot_of(5)] = 0;
        g.exec.regs[slot_of(10)] = RW_BASE;
        g.exec.regs[slot_of(11)] = 300000;
        javm_exec_run(&g.exec, 0);
        uint64_t stored;
        REQUIRE(g.exec.exit == JAVM_EXIT_HOST_CALL);
        REQUIRE(g.exec.regs[slot_of(5)] == 900000 && g.exec.regs[slot_of(11)] == 0);
        REQUIRE(javm_memory_read(g.machine.memory, RW_BASE, &stored, sizeof stored));
        REQUIRE(stored == 900000);
    }
    REQUIRE(setitimer(ITIMER_REAL, &never, NULL) == 0);
    REQUIRE(ticks > 20);
    guest_close(&g);
}

Test(escape_signals, interrupted_guests_go_on)
{
    cr_assert_eq(in_child(run_interrupted, 0), 0);
}
