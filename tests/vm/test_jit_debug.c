/* What unwinders are told about generated code.
 *
 * Would catch: a rule of unwinding that is wrong at any single instruction of the stubs or of guest
 * code, the stack of return addresses empty, full and begun anew included; a callee-saved register
 * that is restored from another's place; tables that outlive their arena; a fault in generated code
 * that reaches the handler before ours without a way back to the caller; blocks missing from perf's
 * map, lines of several threads mixed, code that perf takes for a file's and never looks up; a map
 * written through a link or a pipe that somebody else laid there, or beyond the limit of file
 * sizes. */
#include <criterion/criterion.h>

#include <execinfo.h>
#include <signal.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include "tests/vm/jit_debug_guests.h"
#include "vm/jit_context.h"
#include "vm/jit_run.h"

/* ---- a caller that is known by its registers -------------------------------------------- */

/* Calls function(argument) with a number of its own in each callee-saved register; with `step`, a
 * trap follows each instruction from the call to the return. */
void marked_call(void (*function)(void *), void *argument, bool step);
extern const char marked_call_end[];
__asm__(".text\n"
        ".type marked_call, @function\n"
        "marked_call:\n"
        "    .cfi_startproc\n"
        "    push %rbx\n    .cfi_adjust_cfa_offset 8\n    .cfi_rel_offset %rbx, 0\n"
        "    push %rbp\n    .cfi_adjust_cfa_offset 8\n    .cfi_rel_offset %rbp, 0\n"
        "    push %r12\n    .cfi_adjust_cfa_offset 8\n    .cfi_rel_offset %r12, 0\n"
        "    push %r13\n    .cfi_adjust_cfa_offset 8\n    .cfi_rel_offset %r13, 0\n"
        "    push %r14\n    .cfi_adjust_cfa_offset 8\n    .cfi_rel_offset %r14, 0\n"
        "    push %r15\n    .cfi_adjust_cfa_offset 8\n    .cfi_rel_offset %r15, 0\n"
        "    mov %rdi, %rax\n"
        "    mov %rsi, %rdi\n"
        "    mov $1003, %ebx\n"
        "    mov $1006, %ebp\n"
        "    mov $1012, %r12d\n"
        "    mov $1013, %r13d\n"
        "    mov $1014, %r14d\n"
        "    mov $1015, %r15d\n"
        "    pushfq\n    .cfi_adjust_cfa_offset 8\n"
        "    test %edx, %edx\n"
        "    jz 1f\n"
        "    orl $0x100, (%rsp)\n"
        "    popfq\n"
        "    pushfq\n" /* the flags, or the alignment, stay on the stack */
        "1:  call *%rax\n"
        "    andl $~0x100, (%rsp)\n"
        "    popfq\n    .cfi_adjust_cfa_offset -8\n"
        "    pop %r15\n    .cfi_adjust_cfa_offset -8\n    .cfi_restore %r15\n"
        "    pop %r14\n    .cfi_adjust_cfa_offset -8\n    .cfi_restore %r14\n"
        "    pop %r13\n    .cfi_adjust_cfa_offset -8\n    .cfi_restore %r13\n"
        "    pop %r12\n    .cfi_adjust_cfa_offset -8\n    .cfi_restore %r12\n"
        "    pop %rbp\n    .cfi_adjust_cfa_offset -8\n    .cfi_restore %rbp\n"
        "    pop %rbx\n    .cfi_adjust_cfa_offset -8\n    .cfi_restore %rbx\n"
        "    ret\n"
        "    .cfi_endproc\n"
        "marked_call_end:\n"
        ".size marked_call, . - marked_call\n");

static bool in_marked_call(uintptr_t address)
{
    return address - (uintptr_t)&marked_call < (uintptr_t)marked_call_end - (uintptr_t)&marked_call;
}

/* ---- walking ---------------------------------------------------------------------------- */

static const struct javm_jit *watched; /* whose code the handlers look for */
static bool whole;                     /* the frame behind generated code has to be marked_call's */

static bool in_arena(uintptr_t address)
{
    return watched != NULL &&
           address - (uintptr_t)watched->arena->executable < watched->arena->bytes;
}

struct walk {
    unsigned frames, arena_at, marked_at; /* arena_at, marked_at: 0 is none */
    bool registers;
};

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *ctx)
{
    struct walk *walk = ctx;
    const uintptr_t ip = _Unwind_GetIP(context);
    walk->frames++;
    if (in_arena(ip) && walk->arena_at == 0)
        walk->arena_at = walk->frames;
    if (!in_marked_call(ip))
        return walk->frames == 64 ? _URC_END_OF_STACK : _URC_NO_REASON;
    static const int saved[] = {3, 6, 12, 13, 14, 15}; /* DWARF's numbers; rbx, rbp */
    walk->marked_at = walk->frames;
    walk->registers = true;
    for (size_t i = 0; i < CODE(saved); i++)
        walk->registers &= _Unwind_GetGR(context, saved[i]) == 1000u + (unsigned)saved[i];
    return _URC_END_OF_STACK;
}

/* From a handler that interrupted generated code at `rip`. */
static void check_walk(uintptr_t rip)
{
    struct walk walk = {0};
    _Unwind_Backtrace(visit, &walk);
    if (walk.arena_at != 0 && walk.registers && (!whole || walk.marked_at == walk.arena_at + 1))
        return;
    fprintf(stderr, "at arena + %llx: %u frames, generated code at %u, the caller at %u%s\n",
            (unsigned long long)(rip - (uintptr_t)watched->arena->executable), walk.frames,
            walk.arena_at, walk.marked_at, walk.registers ? "" : ", its registers are wrong");
    abort();
}

/* ---- after each instruction ------------------------------------------------------------- */

static uint64_t steps;
static bool seen[JIT_STUB_BYTES]; /* instructions of the stubs */
static bool seen_full, seen_empty;

static void on_step(int signal, siginfo_t *info, void *ucontext)
{
    const greg_t *regs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    const uintptr_t rip = (uintptr_t)regs[REG_RIP];
    (void)signal;
    (void)info;
    if (!in_arena(rip))
        return;
    steps++;
    const uintptr_t at = rip - (uintptr_t)watched->arena->executable;
    const uint64_t rsp = (uint64_t)regs[REG_RSP];
    if (at < JIT_STUB_BYTES) {
        seen[at] = true;
        seen_empty |= at == watched->bottom_stub && rsp % MEMORY_STACK_BYTES == 0;
    } else {
        seen_full |= rsp % MEMORY_STACK_BYTES == 0;
    }
    check_walk(rip);
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    REQUIRE(sigaction(signal, &action, NULL) == 0);
}

static uint64_t run_deep(struct guest *g, bool step)
{
    guest_start(g, GUEST_DEEP, 20, 3, 1000000);
    steps = 0;
    marked_call(guest_run, g, step);
    cr_assert_eq(g->m.exec.exit, JAVM_EXIT_HOST_CALL);
    cr_assert_eq(machine_x(&g->m, 2), GUEST_STACK);
    return steps;
}

/* What was run before, once more by hand: nothing is left to compile or to touch. `calls`: how many
 * are on the stack of return addresses already. */
static struct jit_context *prepare(struct guest *g, uint32_t pc, uint64_t calls)
{
    struct jit_context *c = (struct jit_context *)(void *)(g->m.memory->base + MEMORY_CONTEXT);
    c->target = (uintptr_t)g->jit->arena->executable + g->m.exec.native->table[pc / 2];
    c->host[jit_host_reg[slot_of(2)]] = GUEST_STACK;
    c->host[jit_host_reg[slot_of(10)]] = 20;
    c->host[jit_host_reg[slot_of(11)]] = 3;
    c->host[HOST_GAS] = 1000000;
    c->host[RSP] = jit_stack_bottom(c) - 8 * calls;
    return c;
}

static void enter(void *context)
{
    jit_enter(context, (uintptr_t)watched->arena->executable + watched->enter_stub);
}

/* The trap behind a fault comes when the exit's first instruction has run: its second, the jump. */
static bool passed(enum jit_reason reason)
{
    return memchr(&seen[watched->exit_stubs[reason]], true, 18) != NULL;
}

Test(jit_debug, every_instruction_of_a_run)
{
    struct guest g;
    guest_open(&g, NULL);
    watched = g.jit;
    whole = false;
    handle(SIGTRAP, on_step);
    cr_assert_gt(run_deep(&g, true), 200);
    cr_assert_eq(run_deep(&g, false), 0);
    cr_assert(!seen_full && !seen_empty);
    /* More calls than there is room for: the stack of return addresses is full, and begun anew; it
     * is empty before the guest has returned from all. */
    struct jit_context *c = prepare(&g, GUEST_DEEP, MEMORY_STACK_BYTES / 8 - 10);
    marked_call(enter, c, true);
    cr_assert_eq(c->reason, JIT_STOP);
    cr_assert_eq(c->host[jit_host_reg[slot_of(2)]], GUEST_STACK);
    cr_assert(seen_full && seen_empty);
    /* Pages that are not there yet: faults, and out through their exit, also with the wrong end. */
    javm_memory_reset(g.m.memory);
    guest_start(&g, GUEST_LOOP, 1, 0, 1000);
    g.m.exec.regs[slot_of(2)] = 64;
    marked_call(guest_run, &g, true);
    cr_assert_eq(g.m.exec.exit, JAVM_EXIT_PAGE_FAULT);
    guest_start(&g, GUEST_LOOP, 100, 0, 50);
    marked_call(guest_run, &g, true);
    cr_assert_eq(g.m.exec.exit, JAVM_EXIT_OUT_OF_GAS);
    /* The ways in and out, from the first instruction to the last. */
    cr_assert(seen[watched->enter_stub] && seen[watched->enter_stub - 1]);
    cr_assert(passed(JIT_STOP) && passed(JIT_OUT_OF_GAS) && passed(JIT_SLOT) && passed(JIT_FAULT));
    cr_assert(seen[watched->bottom_stub] && seen[watched->return_stub]);
    guest_close(&g);
    REQUIRE_NO_LEAKS();
}

/* ---- registers, without C code in between ----------------------------------------------- */

static uint64_t gs_base(void)
{
    uint64_t base;
    __asm__ volatile("rdgsbase %0" : "=r"(base));
    return base;
}

static void set_gs_base(uint64_t base)
{
    __asm__ volatile("wrgsbase %0" : : "r"(base) : "memory");
}

Test(jit_debug, registers_of_the_caller)
{
    struct guest g;
    guest_open(&g, NULL);
    guest_start(&g, GUEST_LOOP, 5, 0, 100000);
    guest_run(&g);
    cr_assert_eq(g.m.exec.exit, JAVM_EXIT_HOST_CALL);
    const struct jit_context *c = prepare(&g, GUEST_LOOP, 0);
    const uint8_t *const entry = g.jit->arena->executable + g.jit->enter_stub;
    void (*stub)(void *);
    memcpy(&stub, &entry, sizeof stub);
    watched = g.jit;
    whole = true;
    steps = 0;
    handle(SIGTRAP, on_step);
    const uint64_t gs = gs_base();
    set_gs_base(c->base);
    marked_call(stub, NULL, true);
    set_gs_base(gs);
    cr_assert_eq(c->reason, JIT_STOP);
    cr_assert_gt(steps, 60);
    cr_assert(seen[g.jit->enter_stub] && seen[g.jit->enter_stub - 1]);
    guest_close(&g);
}

/* ---- backtrace() ------------------------------------------------------------------------ */

/* The thread sanitizer puts a timer's signals off until the guest was left, and its stand-in for
 * Criterion has one process, in which ours is no longer the second handler. */
#ifndef TEST_THREADS
static volatile sig_atomic_t caught;

/* As a profiler or a crash reporter would. */
static void check_backtrace(uintptr_t rip)
{
    void *frames[64];
    const int count = backtrace(frames, 64);
    bool arena = false, marked = false;
    for (int i = 0; i < count; i++) {
        arena |= (uintptr_t)frames[i] == rip;
        marked |= arena && in_marked_call((uintptr_t)frames[i]);
    }
    REQUIRE(marked);
    caught++;
}

static void load_unwinder(void)
{
    void *frame;
    backtrace(&frame, 1); /* the first call may allocate */
}

static void on_time(int signal, siginfo_t *info, void *ucontext)
{
    const uintptr_t rip = (uintptr_t)((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
    (void)signal;
    (void)info;
    if (in_arena(rip))
        check_backtrace(rip);
}

Test(jit_debug, a_timer_at_any_time)
{
    struct guest g;
    const struct itimerval tick = {.it_interval = {.tv_usec = 1000}, .it_value = {.tv_usec = 1000}};
    const struct itimerval none = {0};
    load_unwinder();
    guest_open(&g, NULL);
    watched = g.jit;
    handle(SIGVTALRM, on_time);
    REQUIRE(setitimer(ITIMER_VIRTUAL, &tick, NULL) == 0);
    for (unsigned i = 0; caught < 50; i++) {
        guest_start(&g, i % 2 == 0 ? GUEST_DEEP : GUEST_LOOP, 10000, 100000, UINT64_C(1) << 40);
        marked_call(guest_run, &g, false);
        cr_assert_eq(g.m.exec.exit, JAVM_EXIT_HOST_CALL);
    }
    REQUIRE(setitimer(ITIMER_VIRTUAL, &none, NULL) == 0);
    guest_close(&g);
}

/* Generated code that is damaged: the fault is nobody's guest's and goes to the handler that was
 * there first, which sees who called. It ends the run by way of an exit. */
static void on_damage(int signal, siginfo_t *info, void *ucontext)
{
    greg_t *regs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    (void)signal;
    REQUIRE(in_arena((uintptr_t)regs[REG_RIP]) && info->si_addr == NULL);
    check_backtrace((uintptr_t)regs[REG_RIP]);
    check_walk((uintptr_t)regs[REG_RIP]);
    regs[REG_RIP] =
        (greg_t)(uintptr_t)(watched->arena->executable + watched->exit_stubs[JIT_BAD_JUMP]);
}

Test(jit_debug, a_fault_that_is_passed_on)
{
    struct guest g;
    load_unwinder();
    handle(SIGSEGV, on_damage); /* before ours, which is installed once */
    guest_open(&g, NULL);
    watched = g.jit;
    cr_assert_eq(javm_native_compile(g.m.exec.native, NULL), JAVM_OK);
    static const uint8_t bad[] = {0x31, 0xC9, 0x89, 0x09}; /* xor ecx, ecx; mov [rcx], ecx */
    memcpy(g.jit->arena->writable + g.m.exec.native->table[GUEST_LOOP / 2], bad, sizeof bad);
    guest_start(&g, GUEST_LOOP, 5, 0, 100000);
    marked_call(guest_run, &g, false);
    cr_assert_eq(caught, 1);
    cr_assert_eq(g.m.exec.exit, JAVM_EXIT_PANIC);
    guest_close(&g);
}
#endif

/* ---- what docs/debugging.md tells gdb's users ------------------------------------------- */

_Static_assert(MEMORY_CONTEXT == -0x1001000 && offsetof(struct jit_context, cold) == 128 &&
                   offsetof(struct jit_context, host) == 0,
               "where x3, x4 and the machine's registers are");
_Static_assert(JIT_STOP == 1 && JIT_OUT_OF_GAS == 2 && JIT_SLOT == 3 && JIT_JUMP == 4 &&
                   JIT_BAD_JUMP == 5 && JIT_FAULT == 6 && JIT_TOUCH == 7 && JIT_STEP == 8,
               "reasons");
_Static_assert(HOST_GAS == R15 && HOST_TEMP == RCX, "gas");

Test(jit_debug, registers_as_documented)
{
    static const uint8_t documented[HOT_REGS] = {R12, RBP, R8,  R9,  R10, RBX, RSI,
                                                 RDI, RAX, RDX, R11, R13, R14};
    cr_assert(memcmp(jit_host_reg, documented, sizeof documented) == 0);
}

/* ---- arenas come and go ----------------------------------------------------------------- */

struct jit_descriptor {
    uint32_t version, action;
    const void *relevant;
    const struct code_entry {
        const struct code_entry *next, *prev;
        const char *object;
        uint64_t bytes;
    } * first;
};
extern struct jit_descriptor __jit_debug_descriptor;

static unsigned described(void)
{
    unsigned count = 0;
    const struct code_entry *before = NULL;
    for (const struct code_entry *e = __jit_debug_descriptor.first; e != NULL; e = e->next) {
        cr_assert_eq(e->prev, before);
        cr_assert(memcmp(e->object, "\177ELF", 4) == 0);
        before = e;
        count++;
    }
    return count;
}

void *_Unwind_Find_FDE(const void *pc, void *bases); /* libgcc's; no header has it */

static bool known(const uint8_t *code)
{
    void *bases[3];
    return _Unwind_Find_FDE(code, bases) != NULL;
}

Test(jit_debug, arenas_come_and_go)
{
    struct javm_jit *jits[5];
    const uint8_t *code[5];
    cr_assert_eq(__jit_debug_descriptor.version, 1);
    for (unsigned i = 0; i < 5; i++) {
        REQUIRE(javm_jit_create(NULL, &jits[i], NULL) == JAVM_OK);
        code[i] = jits[i]->arena->executable;
        cr_assert_eq(described(), i + 1);
        cr_assert(known(code[i]) && known(code[i] + jits[i]->arena->bytes - 1));
    }
    static const unsigned order[] = {2, 4, 0, 3, 1}; /* a middle one, the ends, the last */
    for (unsigned i = 0; i < 5; i++) {
        javm_jit_destroy(jits[order[i]]);
        cr_assert_eq(described(), 4 - i);
        cr_assert(!known(code[order[i]]));
        for (unsigned j = i + 1; j < 5; j++)
            cr_assert(known(code[order[j]]));
    }
    REQUIRE_NO_LEAKS();
}
