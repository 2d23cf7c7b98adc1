/* What generated code needs of the system: GS, an alternate signal stack, the fault handler.
 *
 * A fault of generated code is always synchronous, in the thread that runs it, so that the handler
 * finds what it needs in the thread's own `running`. It only notes where the fault was and goes to
 * the exit stub: what there is to do is done outside of it (jit_run.c). */
#if defined(__x86_64__)
#include "vm/jit_run.h"

#include <asm/prctl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define SIGNAL_STACK (UINT64_C(64) << 10)

/* The context of the guest that this thread is running. Volatile: read by the handler. */
static _Thread_local struct jit_context *volatile running;

static struct sigaction previous[2]; /* SIGSEGV, SIGBUS; written once, before any guest runs */

/* ---- GS --------------------------------------------------------------------------------- */

#define HWCAP2_FSGSBASE 2u

static bool has_fsgsbase;

static void set_gs(uint64_t base)
{
    if (has_fsgsbase)
        __asm__ volatile("wrgsbase %0" : : "r"(base) : "memory");
    else
        syscall(SYS_arch_prctl, ARCH_SET_GS, base);
}

static uint64_t get_gs(void)
{
    uint64_t base = 0;
    if (has_fsgsbase)
        __asm__ volatile("rdgsbase %0" : "=r"(base) : : "memory");
    else
        syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
    return base;
}

void jit_enter(struct jit_context *context, uint64_t enter)
{
    const uint64_t gs = get_gs();
    void (*stub)(void);
    memcpy(&stub, &enter, sizeof stub);
    running = context;
    set_gs(context->base);
    stub();
    set_gs(gs);
    running = NULL;
}

/* ---- signal stack ----------------------------------------------------------------------- */

static pthread_key_t stack_key; /* frees this thread's signal stack; the value is its address */
static _Thread_local bool thread_ready;

static void drop_stack(void *stack)
{
    const stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    munmap(stack, SIGNAL_STACK);
}

bool jit_thread_ready(void)
{
    if (thread_ready)
        return true;
    stack_t now;
    if (sigaltstack(NULL, &now) != 0)
        return false;
    if (now.ss_flags & SS_DISABLE || now.ss_size < SIGNAL_STACK / 4) {
        void *stack = mmap(NULL, SIGNAL_STACK, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (stack == MAP_FAILED)
            return false;
        const stack_t fresh = {.ss_sp = stack, .ss_size = SIGNAL_STACK};
        if (sigaltstack(&fresh, NULL) != 0 || pthread_setspecific(stack_key, stack) != 0) {
            munmap(stack, SIGNAL_STACK);
            return false;
        }
    }
    thread_ready = true;
    return true;
}

/* ---- faults ----------------------------------------------------------------------------- */

static void pass_on(int signal, siginfo_t *info, void *ucontext)
{
    struct sigaction *old = &previous[signal == SIGBUS];
    if (old->sa_flags & SA_SIGINFO) {
        old->sa_sigaction(signal, info, ucontext);
    } else if (old->sa_handler == SIG_DFL || old->sa_handler == SIG_IGN) {
        /* The instruction runs again and ends the process as if we were not here. A signal that was
         * sent is raised again. */
        const struct sigaction standard = {.sa_handler = SIG_DFL};
        sigaction(signal, &standard, NULL);
        if (info->si_code <= 0)
            raise(signal);
    } else {
        old->sa_handler(signal);
    }
}

static void on_fault(int signal, siginfo_t *info, void *ucontext)
{
    struct jit_context *c = running;
    greg_t *const regs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    if (c != NULL && info->si_code > 0) {
        const uint64_t rip = (uint64_t)regs[REG_RIP];
        const uint64_t address = (uintptr_t)info->si_addr;
        const uint64_t stack_low =
            c->base + (uint64_t)(int64_t)(MEMORY_STACK_TOP - MEMORY_STACK_BYTES);
        if (rip - c->code_base < c->jit->arena->bytes) {
            if (address < stack_low && stack_low - address <= 4096) {
                /* The stack of return addresses is full: it starts anew, the call is made again. */
                regs[REG_RSP] = (greg_t)jit_stack_bottom(c);
                return;
            }
            if (address + MEMORY_GUARD - c->base < (UINT64_C(1) << 32) + 2 * MEMORY_GUARD) {
                c->fault_native = rip;
                c->fault_address = address;
                c->fault_error = (uint32_t)regs[REG_ERR];
                regs[REG_RIP] = (greg_t)c->exits[JIT_FAULT];
                return;
            }
        }
    }
    pass_on(signal, info, ucontext);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int install_error;

static void install(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    has_fsgsbase = (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) != 0;
    install_error = pthread_key_create(&stack_key, drop_stack);
    if (install_error == 0 && (sigaction(SIGSEGV, &action, &previous[0]) != 0 ||
                               sigaction(SIGBUS, &action, &previous[1]) != 0))
        install_error = errno;
}

enum javm_status jit_signals_install(struct javm_error *err)
{
    pthread_once(&once, install);
    if (install_error != 0)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "recompiler: cannot handle faults: %s",
                         strerror(install_error));
    return JAVM_OK;
}
#endif
