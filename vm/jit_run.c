/* Running generated code: in, out with a reason, what the reason asks for, in again. */
#if defined(__x86_64__)
#include "vm/jit_run.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/interp.h"
#include "vm/jit_compile.h"
#include "vm/kvm/machine.h"
#include "vm/pvm_exec.h"

static uint64_t code_address(const struct javm_jit *jit, uint32_t at)
{
    return (uintptr_t)jit->arena->executable + at;
}

static uint64_t stack_top(const struct jit_context *c)
{
    return c->base + (uint64_t)(int64_t)MEMORY_STACK_TOP;
}

uint64_t jit_stack_bottom(const struct jit_context *c)
{
    return stack_top(c) - 8;
}

/* ---- finding code ----------------------------------------------------------------------- */

/* Native address of the block at `pc`. 0: it is no block start; 1: it cannot be compiled. */
static uint64_t find_block(struct javm_native *n, uint64_t pc)
{
    if (!jit_has_place(&n->front, pc))
        return 0;
    /* Acquire: pairs with the release in jit_publish. */
    uint32_t at = atomic_load_explicit(jit_place(n, pc), memory_order_acquire);
    if (at != 0)
        return code_address(n->jit, at);
    uint64_t found = 1;
    struct jit_compiler *compiler = NULL;
    pthread_mutex_lock(&n->lock);
    at = atomic_load_explicit(jit_place(n, pc), memory_order_relaxed);
    if (at != 0) {
        found = code_address(n->jit, at);
    } else if (!jit_is_start(n, pc)) {
        found = 0;
    } else if ((compiler = jit_compiler_take(n->jit)) != NULL) {
        struct jit_region *region = jit_compile(compiler, n, (uint32_t)pc);
        if (region != NULL) {
            jit_publish(n, region);
            found = code_address(n->jit, region->code_at + region->blocks[0].native);
        }
        jit_compiler_put(n->jit, compiler);
    }
    pthread_mutex_unlock(&n->lock);
    return found;
}

/* The guest pc of a native address that is a site. */
static bool find_site(struct javm_native *n, uint64_t native, uint32_t *pc)
{
    const uint64_t at = native - (uintptr_t)n->jit->arena->executable;
    bool found = false;
    pthread_mutex_lock(&n->lock);
    for (const struct jit_region *r = n->regions; r != NULL && !found; r = r->next) {
        if (at < r->code_at || at - r->code_at >= r->code_len)
            continue;
        uint32_t low = 0, high = r->site_count;
        while (low < high) {
            const uint32_t middle = low + (high - low) / 2;
            if (r->sites[middle].native < at - r->code_at)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < r->site_count && r->sites[low].native == at - r->code_at) {
            *pc = r->sites[low].pc;
            found = true;
        }
    }
    pthread_mutex_unlock(&n->lock);
    return found;
}

/* What the gate of the block at `pc` subtracted. */
static uint64_t gate_of(const struct javm_native *n, uint64_t pc)
{
    const struct front_run run = front_run_at(&n->front, pc);
    uint64_t reserve;
    return jit_need(&n->front.key, run.cost, run.stores, &reserve);
}

/* ---- registers -------------------------------------------------------------------------- */

static uint64_t get_slot(const struct jit_context *c, uint8_t slot)
{
    if (slot < HOT_REGS)
        return c->host[jit_host_reg[slot]];
    return slot == IR_ZERO ? 0 : c->cold[slot - HOT_REGS];
}

static void set_slot(struct jit_context *c, uint8_t slot, uint64_t value)
{
    if (slot < HOT_REGS)
        c->host[jit_host_reg[slot]] = value;
    else if (slot < IR_ZERO)
        c->cold[slot - HOT_REGS] = value;
}

static void evaluate(struct jit_context *c, const struct ir_insn *insn)
{
    set_slot(c, insn->rd,
             ir_eval(insn, get_slot(c, insn->rd), get_slot(c, insn->ra), get_slot(c, insn->rb)));
}

static void take_registers(const struct jit_context *c, struct javm_exec *exec)
{
    for (uint8_t i = 0; i < JAVM_NUM_SLOTS; i++)
        exec->regs[i] = get_slot(c, i);
    exec->gas = c->host[HOST_GAS];
}

/* ---- reasons ---------------------------------------------------------------------------- */

static void end_run(struct javm_exec *exec, const struct jit_context *c, enum javm_exit exit,
                    uint64_t pc)
{
    take_registers(c, exec);
    exec->exit = exit;
    exec->pc = pc;
}

static bool decode(const struct javm_native *n, uint64_t pc, struct ir_step *step)
{
    return front_next(&n->front, pc, step);
}

/* An ecalli, the most frequent end of a run by far, by its bits alone. */
static bool is_ecalli(const struct javm_native *n, uint64_t pc, int64_t *number)
{
    uint32_t word;
    if (front_is_pvm(&n->front) || n->front.len < sizeof word || pc > n->front.len - sizeof word)
        return false;
    memcpy(&word, n->front.code + pc, sizeof word);
    word = le32toh(word);
    *number = (int32_t)word >> 20;
    return (word & 0xFFFFFu) == 0x200Bu;
}

/* An instruction that ends the run, or the end of the code. */
static void stop(struct javm_exec *exec, const struct jit_context *c, uint64_t pc)
{
    struct ir_step step;
    if (is_ecalli(exec->native, pc, &exec->exit_arg)) {
        end_run(exec, c, JAVM_EXIT_HOST_CALL, pc);
        return;
    }
    exec->exit_arg = 0;
    enum javm_exit exit = JAVM_EXIT_PANIC;
    if (decode(exec->native, pc, &step) && step.executes) {
        if (step.insn.op == IR_TRAP)
            exit = JAVM_EXIT_TRAP;
        else if (step.insn.op == IR_ECALL_JAR)
            exit = JAVM_EXIT_ECALL_JAR;
        else if (step.insn.op == IR_ECALLI)
            exit = JAVM_EXIT_HOST_CALL;
        if (exit == JAVM_EXIT_HOST_CALL)
            exec->exit_arg = step.insn.imm;
    }
    end_run(exec, c, exit, pc);
}

/* A load or store at native address `at` that needs the memory's help. True: go on there. False:
 * the run has ended. */
static bool touch(struct javm_exec *exec, struct jit_context *c, uint64_t at)
{
    struct javm_native *n = exec->native;
    struct ir_step step;
    struct jit_plan plan;
    uint32_t pc = 0;
    uint64_t cost;
    if (!find_site(n, at, &pc) || !decode(n, pc, &step))
        abort(); /* generated code faulted where it has no access: nothing can be trusted */
    /* A fused pair computes the address without writing it anywhere: the first one's result. */
    struct ir_insn first = {.op = IR_END};
    uint64_t a = get_slot(c, step.insn.ra);
    while (ir_access_width(step.insn.op) == 0) {
        const struct ir_insn before = step.insn;
        pc += step.len;
        if (!decode(n, pc, &step))
            abort();
        if (!jit_scaled_sum(&before, &step.insn, &first) && first.op == IR_END)
            first = before;
        a = ir_eval(&first, 0, get_slot(c, first.ra), get_slot(c, first.rb));
    }
    const uint64_t address = a + (uint64_t)ir_displacement(&step.insn);
    const bool write = ir_writes_memory(step.insn.op);
    if (memory_touch_charged(exec->memory, (uint32_t)address, ir_access_width(step.insn.op), write,
                             n->front.key.cow_cost, &cost)) {
        c->host[HOST_GAS] -= cost; /* the block's reserve covers it */
        c->target = at;
        return true;
    }
    jit_plan_of(&step.insn, &plan);
    if (first.op != IR_END)
        evaluate(c, &first);
    else
        for (unsigned i = 0; i < plan.count; i++)
            c->host[plan.host[i]] = c->spill[i];
    end_run(exec, c, JAVM_EXIT_PAGE_FAULT, pc);
    exec->exit_arg = (int64_t)((uint32_t)address & ~(JAVM_PAGE_SIZE - 1));
    exec->fault_addr = (uint32_t)address;
    exec->fault_write = write;
    return false;
}

/* The rest of the run in the interpreter: what cannot be compiled. */
static void interpret(struct javm_exec *exec)
{
    struct javm_native *n = exec->native;
    pthread_mutex_lock(&n->lock);
    if (n->program == NULL && javm_program_decode(n->front.code, n->front.len, &n->front.key,
                                                  &n->program, NULL) != JAVM_OK)
        n->program = NULL;
    const struct javm_program *program = n->program;
    pthread_mutex_unlock(&n->lock);
    if (program == NULL) {
        exec->failed = true;
        return;
    }
    exec->program = program;
    interp_run(exec);
}

enum step { GO_ON, ENDED, STUCK };

/* Go to a guest offset, or panic at the jump that wanted to. */
static enum step jump(struct javm_exec *exec, struct jit_context *c, uint64_t target,
                      uint64_t jump_pc)
{
    const uint64_t found = find_block(exec->native, target);
    if (found == 0) {
        end_run(exec, c, JAVM_EXIT_PANIC, jump_pc);
        return ENDED;
    }
    if (found == 1) {
        take_registers(c, exec);
        exec->pc = target;
        return STUCK;
    }
    c->target = found;
    return GO_ON;
}

/* In a machine it is the guest who says so. */
static bool is_slot(struct javm_native *n, uint64_t at)
{
    bool found = false;
    if (n->jit->machine == NULL)
        return true;
    pthread_mutex_lock(&n->lock);
    for (const struct jit_region *r = n->regions; r != NULL && !found; r = r->next) {
        const uint64_t from = at - r->code_at - r->slots_at;
        found =
            from % sizeof(struct jit_slot) == 0 && from / sizeof(struct jit_slot) < r->slot_count;
    }
    pthread_mutex_unlock(&n->lock);
    return found;
}

static enum step through_slot(struct javm_exec *exec, struct jit_context *c)
{
    const struct javm_jit *jit = exec->native->jit;
    const uint64_t at = c->host[HOST_TEMP] - (uintptr_t)jit->arena->executable;
    if (!is_slot(exec->native, at))
        abort();
    struct jit_slot *slot = (struct jit_slot *)(void *)(jit->arena->writable + at);
    /* Acquire: pairs with the release in jit_reset_slots, for the other fields. Generated code came
     * here by loads of the machine, which acquire, but the compiler does not know of them. */
    (void)__atomic_load_n(&slot->native, __ATOMIC_ACQUIRE);
    const enum step next = jump(exec, c, slot->target, slot->pc);
    if (next == GO_ON) /* whoever reads the old address comes here too */
        __atomic_store_n(&slot->native, c->target, __ATOMIC_RELEASE);
    return next;
}

/* PVM: a jump through the jump table that generated code does not know the way of. */
static enum step djump(struct javm_exec *exec, struct jit_context *c)
{
    const struct javm_native *n = exec->native;
    const uint32_t at = c->jump_target;
    struct ir_step step;
    if (at == PVM_HALT) {
        end_run(exec, c, JAVM_EXIT_HALT, c->jump_pc);
        return ENDED;
    }
    if (!decode(n, c->jump_pc, &step))
        abort();
    if (step.insn.op == IR_LI_DJUMP)
        set_slot(c, step.insn.rd, (uint64_t)(int64_t)step.insn.lo);
    if (at == 0 || at % 2 != 0 || at / 2 > n->front.key.jump_count) {
        end_run(exec, c, JAVM_EXIT_PANIC, c->jump_pc);
        return ENDED;
    }
    const enum step next = jump(exec, c, n->jumps[at / 2 - 1], c->jump_pc);
    if (next == GO_ON) /* relaxed would do for us: release is for other threads, as in the table */
        atomic_store_explicit(&n->ways[at / 2 - 1],
                              (uint32_t)(c->target - (uintptr_t)n->jit->arena->executable),
                              memory_order_release);
    return next;
}

/* True: the run has ended. */
static bool fill_in_c(struct javm_exec *exec, struct jit_context *c)
{
    uint64_t regs[] = {get_slot(c, 7), get_slot(c, 8), get_slot(c, 9)}, gas = c->host[HOST_GAS];
    const bool ends = !pvm_memset(exec, &exec->native->front, regs, &gas, false);
    set_slot(c, 7, regs[0]);
    set_slot(c, 9, regs[2]);
    c->host[HOST_GAS] = gas;
    return ends;
}

/* An instruction that generated code leaves to C. */
static enum step run_in_c(struct javm_exec *exec, struct jit_context *c, uint64_t back)
{
    struct ir_step step;
    if (!decode(exec->native, c->step_pc, &step))
        abort();
    bool ends = false;
    exec->exit = JAVM_EXIT_NONE;
    if (step.insn.op == IR_SBRK) {
        set_slot(c, step.insn.rd,
                 memory_grow(exec->memory, &exec->heap, get_slot(c, step.insn.ra)));
    } else if (step.insn.op == IR_MEMSET) {
        ends = fill_in_c(exec, c);
    } else {
        evaluate(c, &step.insn);
    }
    if (ends || exec->memory->failed) {
        end_run(exec, c, exec->exit, c->step_pc);
        return ENDED;
    }
    c->target = back;
    return GO_ON;
}

static enum step handle(struct javm_exec *exec, struct jit_context *c)
{
    const uint64_t temp = c->host[HOST_TEMP];
    switch ((enum jit_reason)c->reason) {
    case JIT_STOP:
        stop(exec, c, temp);
        return ENDED;
    case JIT_OUT_OF_GAS:
        c->host[HOST_GAS] += gate_of(exec->native, temp);
        end_run(exec, c, JAVM_EXIT_OUT_OF_GAS, temp);
        return ENDED;
    case JIT_BAD_JUMP:
        end_run(exec, c, JAVM_EXIT_PANIC, temp);
        return ENDED;
    case JIT_SLOT:
        return through_slot(exec, c);
    case JIT_JUMP:
        return front_is_pvm(&exec->native->front) ? djump(exec, c)
                                                  : jump(exec, c, c->jump_target & ~1u, c->jump_pc);
    case JIT_FAULT:
        return touch(exec, c, c->fault_native) ? GO_ON : ENDED;
    case JIT_TOUCH:
        return touch(exec, c, temp) ? GO_ON : ENDED;
    case JIT_STEP:
        return run_in_c(exec, c, temp);
    }
    abort();
}

/* ---- entry ------------------------------------------------------------------------------ */

static void lead_to_stubs(struct jit_context *c, const struct javm_jit *jit, uint64_t base)
{
    c->jit = jit;
    c->base = base;
    c->code_base = (uintptr_t)jit->arena->executable;
    for (unsigned i = 0; i < JIT_REASONS; i++)
        c->exits[i] = code_address(jit, jit->exit_stubs[i]);
    c->return_stub = code_address(jit, jit->return_stub);
    c->bottom_stub = code_address(jit, jit->bottom_stub);
    *(uint64_t *)jit_stack_bottom(c) = c->bottom_stub; /* NOLINT(performance-no-int-to-ptr) */
}

void jit_run(struct javm_exec *exec)
{
    struct javm_native *n = exec->native;
    uint8_t *const base = exec->memory->base;
    struct jit_context *c = (struct jit_context *)(void *)(base + MEMORY_CONTEXT);
    exec->exit_arg = 0;
    exec->fault_addr = 0;
    exec->fault_write = false;
    exec->failed = false;
    const uint64_t found = find_block(n, exec->pc);
    if (found == 0) { /* not a block start: nothing is charged, pc stays */
        exec->exit = JAVM_EXIT_PANIC;
        return;
    }
    struct machine *const machine = n->jit->machine;
    if (found == 1 ||
        !(machine != NULL ? machine_ready(machine, exec->memory) : jit_thread_ready())) {
        interpret(exec);
        return;
    }
    if (c->jit != n->jit || machine != NULL) /* there the guest can write here */
        lead_to_stubs(c, n->jit, (uintptr_t)base);
    for (uint8_t i = 0; i < JAVM_NUM_SLOTS; i++)
        set_slot(c, i, exec->regs[i]);
    c->host[HOST_GAS] = exec->gas;
    c->host[RSP] = jit_stack_bottom(c);
    c->cold[IR_ZERO - HOT_REGS] = 0;
    c->table = (uintptr_t)n->table;
    c->limit = (uint32_t)n->front.len;
    c->ways = (uintptr_t)n->ways;
    c->jump_count = n->front.key.jump_count;
    c->target = found;
    enum step next;
    do {
        if (machine != NULL)
            machine_enter(machine, exec->memory, c);
        else
            jit_enter(c, code_address(n->jit, n->jit->enter_stub));
        next = handle(exec, c);
    } while (next == GO_ON);
    if (next == STUCK)
        interpret(exec);
}
#endif
