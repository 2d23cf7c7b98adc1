/* In and out of ring 3. Everything that is exchanged is in the context, which ring 3 can write: who
 * reads it here or in jit_run.c believes none of it. */
#if defined(__x86_64__)
#include "vm/kvm/kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vm/jit_run.h"

#define ERROR_WRITE 2u
#define ERROR_FETCH 16u

/* Until ring 3 has an exception. */
static void run(const struct machine *m)
{
    int done;
    do
        done = ioctl(m->vcpu, KVM_RUN, 0);
    while (done != 0 && errno == EINTR);
    if (done != 0 || m->run->exit_reason != KVM_EXIT_IO || m->run->io.port != EXIT_PORT ||
        m->run->io.direction != KVM_EXIT_IO_OUT)
        abort(); /* the machine has broken down */
}

/* What the processor has to take over before it goes on in the window. */
static void select_window(struct machine *m, struct window *window)
{
    pages_begin(window);
    m->mailbox->cr3 = m->current == window ? 0 : window->root;
    m->current = window;
}

/* What every run touches, so that it need not fault for it. */
static void show_first(struct window *window, const struct jit_context *c)
{
    const uint64_t places[] = {(uintptr_t)c, c->host[RSP], window->machine->enter, c->target,
                               c->table};
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++)
        (void)pages_fill(window, places[i], false, false);
}

/* A page fault. True: ring 3 goes on; else it is the guest's. */
static bool settle_fault(struct window *window, struct jit_context *c)
{
    const struct machine *m = window->machine;
    struct kernel_frame *frame = m->frame;
    const uint64_t address = m->mailbox->cr2, base = (uintptr_t)window->memory->base;
    const uint64_t stack_low = base + (uint64_t)(int64_t)(MEMORY_STACK_TOP - MEMORY_STACK_BYTES);
    if (pages_fill(window, address, frame->error & ERROR_WRITE, frame->error & ERROR_FETCH))
        return true;
    if (frame->rip - m->code.at >= m->code.bytes)
        abort(); /* as any other process that runs what is no code */
    if (address < stack_low && stack_low - address <= 4096) {
        /* The stack of return addresses is full: it starts anew, the call is made again. */
        frame->rsp = base + (uint64_t)(int64_t)MEMORY_STACK_TOP - 8;
        return true;
    }
    if (address + MEMORY_GUARD - base >= (UINT64_C(1) << 32) + 2 * MEMORY_GUARD)
        abort();
    for (unsigned r = 0; r < HOST_REGS; r++)
        c->host[r] = frame->regs[r];
    c->host[RSP] = frame->rsp;
    c->reason = JIT_FAULT;
    c->fault_native = frame->rip;
    c->fault_address = address;
    c->fault_error = (uint32_t)frame->error;
    return false;
}

void machine_enter(struct machine *m, struct javm_memory *memory, struct jit_context *c)
{
    struct window *window = (struct window *)(void *)memory->mirror;
    struct kernel_frame *frame = m->frame;
    if (window->generation != m->generation)
        show_first(window, c);
    if (c->reason == JIT_FAULT) /* what was refused has been opened */
        (void)pages_fill(window, c->fault_address, false, false);
    c->reason = 0;
    /* All of what ring 3 can change of the processor is set anew. */
    m->mailbox->gs = (uintptr_t)memory->base;
    *frame = (struct kernel_frame){.rip = m->enter, .cs = USER_CS, .flags = 2, .ss = USER_SS};
    for (;;) {
        select_window(m, window);
        run(m);
        m->mailbox->gs = 0;
        if (frame->vector == VECTOR_UD && frame->rip == m->gate)
            return;
        if (frame->vector != VECTOR_PF)
            abort();
        if (!settle_fault(window, c))
            return;
    }
}
#endif
