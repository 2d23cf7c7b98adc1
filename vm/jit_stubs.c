/* The code that all generated code shares: ways in and out, and the return that found another link
 * than the one on the stack of return addresses. It lies in the arena's first page. In a machine
 * the context is all that is exchanged, and the way out is an exception at one address (vm/kvm). */
#include "vm/jit_context.h"
#include "vm/x64.h"

static const uint8_t callee_saved[] = {RBX, RBP, R12, R13, R14, R15};

static int32_t host_at(unsigned r)
{
    return CONTEXT_AT(host) + 8 * (int32_t)r;
}

/* void enter(void): GS is set, everything is in the context. */
static void write_enter(struct x64 *e, bool machine)
{
    for (size_t i = 0; i < sizeof callee_saved && !machine; i++)
        x64_push(e, callee_saved[i]);
    if (!machine)
        x64_store_context(e, CONTEXT_AT(host_rsp), RSP);
    for (unsigned r = 0; r < HOST_REGS; r++)
        x64_load_context(e, r, host_at(r));
    x64_jmp_context(e, CONTEXT_AT(target));
}

/* Returns where a machine is left. */
static const uint8_t *write_leave(struct x64 *e, bool machine)
{
    for (unsigned r = 0; r < HOST_REGS; r++)
        x64_store_context(e, host_at(r), r);
    const uint8_t *gate = e->at;
    if (machine) {
        x64_put(e, 0x0B0F, 2); /* ud2 */
        return gate;
    }
    x64_load_context(e, RSP, CONTEXT_AT(host_rsp));
    for (size_t i = sizeof callee_saved; i-- > 0;)
        x64_pop(e, callee_saved[i]);
    x64_put(e, 0xC3, 1);
    return gate;
}

/* jalr x0, 0(x1) by the table. jump_pc is set. */
static void write_return(struct x64 *e, const uint8_t *exit_jump)
{
    x64_lea(e, false, HOST_TEMP, HOST_LINK, -(int32_t)JAVM_CODE_BASE);
    x64_gs(e, false, 0x89, HOST_TEMP, CONTEXT_AT(jump_target));
    x64_gs(e, false, 0x3B, HOST_TEMP, CONTEXT_AT(limit));
    x64_jcc(e, X64_AE);
    x64_patch(e->at, exit_jump);
    x64_alu_imm(e, false, X64_AND, HOST_TEMP, -2);
    x64_alu(e, false, X64_ADD, HOST_TEMP, HOST_TEMP);
    x64_gs(e, true, 0x03, HOST_TEMP, CONTEXT_AT(table));
    x64_put(e, 0x098B, 2);
    x64_gs(e, true, 0x03, HOST_TEMP, CONTEXT_AT(code_base));
    x64_put(e, 0xE1FF, 2);
}

void jit_write_stubs(struct javm_jit *jit)
{
    uint8_t *const begin = jit->arena->writable;
    struct x64 e = {begin};
    uint8_t *to_leave[JIT_REASONS];
    /* The table's "nothing there" is offset 0. */
    static const uint8_t order[] = {JIT_JUMP,     JIT_STOP,  JIT_OUT_OF_GAS, JIT_SLOT,
                                    JIT_BAD_JUMP, JIT_FAULT, JIT_TOUCH,      JIT_STEP};
    _Static_assert(sizeof order == JIT_REASONS - 1, "one each");
    for (size_t i = 0; i < sizeof order; i++) {
        jit->exit_stubs[order[i]] = (uint32_t)(e.at - begin);
        x64_store_context_imm(&e, false, CONTEXT_AT(reason), order[i]);
        x64_jmp(&e);
        to_leave[i] = e.at;
    }
    for (size_t i = 0; i < sizeof order; i++)
        x64_patch(to_leave[i], e.at);
    const bool machine = jit->machine != NULL;
    jit->gate = (uint32_t)(write_leave(&e, machine) - begin);
    jit->enter_stub = (uint32_t)(e.at - begin);
    write_enter(&e, machine);
    jit->bottom_stub = (uint32_t)(e.at - begin);
    /* This address was popped from the bottom of the stack: it stays there. */
    x64_lea(&e, true, RSP, RSP, -8);
    jit->return_stub = (uint32_t)(e.at - begin);
    write_return(&e, begin + jit->exit_stubs[JIT_JUMP]);
}
