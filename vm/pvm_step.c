/* The evaluator of single instructions, for gp's last gas. */
#include <string.h>

#include "vm/memory.h"
#include "vm/pvm_exec.h"

static uint64_t get(const struct javm_exec *exec, uint8_t r)
{
    return r < JAVM_NUM_SLOTS ? exec->regs[r] : 0;
}

static uint64_t extend(uint16_t op, uint64_t raw)
{
    switch (op) {
    case IR_LB:
        return (uint64_t)(int64_t)(int8_t)raw;
    case IR_LH:
        return (uint64_t)(int64_t)(int16_t)raw;
    case IR_LW:
        return (uint64_t)(int64_t)(int32_t)raw;
    default:
        return raw;
    }
}

/* False: a fault. */
static bool access_memory(struct javm_exec *exec, const struct ir_insn *insn)
{
    const uint32_t address = (uint32_t)(get(exec, insn->ra) + (uint64_t)ir_displacement(insn));
    const uint32_t width = ir_access_width(insn->op);
    const bool write = ir_writes_memory(insn->op);
    uint32_t fresh = 0;
    if (!memory_touch(exec->memory, address, width, write, &fresh)) {
        exec->exit = JAVM_EXIT_PAGE_FAULT;
        exec->fault_addr = address;
        exec->fault_write = write;
        return false;
    }
    uint8_t *const at = exec->memory->base + address;
    uint64_t value = 0;
    if (!write) {
        memcpy(&value, at, width);
        exec->regs[insn->rd] = extend(insn->op, value);
        return true;
    }
    value =
        ir_shape_of(insn->op) == IR_STORE_IMM ? (uint64_t)(int64_t)insn->hi : get(exec, insn->rb);
    memcpy(at, &value, width);
    return true;
}

void pvm_exec_step(struct javm_exec *exec, const struct front *front)
{
    struct ir_step step;
    for (; exec->gas != 0; exec->gas--, exec->pc += step.len) {
        pvm_next(front, exec->pc, &step);
        const struct ir_insn *insn = &step.insn;
        const enum ir_shape shape = ir_shape_of(insn->op);
        if (insn->op == IR_MEMSET) { /* its block is affordable, its bytes are not: the end */
            (void)pvm_memset(exec, front, &exec->regs[7], &exec->gas, true);
            break;
        }
        if (ir_writes_memory(insn->op) || shape == IR_LOAD) {
            if (!access_memory(exec, insn)) {
                exec->gas--;
                break;
            }
        } else if (insn->op == IR_SBRK) {
            exec->regs[insn->rd] = memory_grow(exec->memory, &exec->heap, get(exec, insn->ra));
        } else if (shape <= IR_SHAPE_LI) {
            exec->regs[insn->rd] =
                ir_eval(insn, get(exec, insn->rd), get(exec, insn->ra), get(exec, insn->rb));
        }
        if (exec->memory->failed)
            break;
    }
    exec->failed = exec->memory->failed;
}
