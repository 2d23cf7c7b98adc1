/* Into VMs and out of them (JAR v2 6.3.3, 7). All ends of a call go through v2_end. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "vm/v2/v2.h"

#define CHARGE 10u

void v2_activate(struct javm_v2 *v2, uint32_t vm)
{
    struct javm_exec *exec = &v2->exec;
    if (v2->active != V2_NOBODY) {
        struct v2_vm *old = &v2->vms[v2->active];
        memcpy(old->regs, exec->regs, sizeof old->regs);
        old->pc = (uint32_t)exec->pc;
        old->gas = exec->gas;
    }
    struct v2_vm *now = &v2->vms[vm];
    memcpy(exec->regs, now->regs, sizeof now->regs);
    exec->pc = now->pc;
    exec->gas = now->gas;
    now->state = VM_RUNNING;
    v2->active = vm;
    exec->memory = v2_window(v2, vm);
    if (!v2_program_use(v2, now->code))
        v2->nomem = true;
}

static bool push(struct javm_v2 *v2, struct v2_frame frame)
{
    if (v2->depth == v2->frame_room) {
        const uint32_t room = v2->frame_room * 2 + 16;
        struct v2_frame *frames = realloc(v2->frames, room * sizeof *frames);
        if (frames == NULL) {
            free(frame.saved);
            v2->nomem = true;
            return false;
        }
        v2->frames = frames;
        v2->frame_room = room;
    }
    v2->frames[v2->depth++] = frame;
    return true;
}

/* The charge, the gas that goes along, and the frame; `cap` says which VM and how much at most. */
static enum v2_outcome enter(struct javm_v2 *v2, const struct v2_cap *cap, uint8_t slot)
{
    const uint32_t caller = v2->active, callee = cap->id;
    const struct v2_place from = {caller, slot};
    struct v2_frame frame = {.caller = caller, .slot = slot};
    if (!v2_pay(v2, CHARGE))
        return V2_UNPAID;
    const uint64_t gas = v2->exec.gas;
    const uint64_t given = cap->has && cap->max_gas < gas ? cap->max_gas : gas;
    if (slot != 0 && v2_cap_at(v2, from)->type != CAP_NONE) {
        const struct v2_place to = {callee, 0};
        if (!v2_save(v2, v2_cap_at(v2, from), &frame.saved))
            return V2_DONE;
        v2_put(v2, to, &(struct v2_cap){.type = CAP_NONE});
        v2_move(v2, from, to);
    }
    if (!push(v2, frame))
        return V2_DONE;
    assert(v2->vms[callee].gas == 0 && "only VMs on the stack have gas");
    v2->exec.gas = gas - given;
    v2->vms[callee].gas = given;
    v2->vms[caller].state = VM_WAITING;
    v2_activate(v2, callee);
    return V2_DONE;
}

enum v2_outcome v2_call(struct javm_v2 *v2, const struct v2_cap *cap)
{
    const struct v2_cap target = *cap;
    struct v2_vm *callee = &v2->vms[target.id];
    uint64_t arguments[4];
    if (callee->state != VM_IDLE)
        return V2_REFUSED;
    memcpy(arguments, v2->exec.regs + 7, sizeof arguments);
    const enum v2_outcome outcome = enter(v2, &target, (uint8_t)v2->exec.regs[12]);
    if (outcome == V2_DONE && !v2->nomem)
        memcpy(v2->exec.regs + 7, arguments, sizeof arguments);
    return outcome;
}

enum v2_outcome v2_resume(struct javm_v2 *v2, struct v2_place at)
{
    const struct v2_cap target = *v2_cap_at(v2, at);
    if (at.vm != v2->active || v2->vms[target.id].state != VM_FAULTED)
        return V2_REFUSED;
    return enter(v2, &target, 0);
}

/* ---- out ------------------------------------------------------------------------------------ */

/* What becomes of the VM, what its caller learns in φ[7], φ[8], and what the invocation ends with
 * where there is no caller. */
enum told { OWN_R7, HUH, LOW, ADDRESS };

static const struct {
    enum vm_state state;
    enum told told;
    uint64_t status;
    enum javm_v2_end end;
} endings[] = {
    [V2_REPLY] = {VM_IDLE, OWN_R7, 0, JAVM_V2_END_HALT},
    [V2_TRAP] = {VM_FAULTED, OWN_R7, 1, JAVM_V2_END_PANIC},
    [V2_PANIC] = {VM_FAULTED, HUH, 2, JAVM_V2_END_PANIC},
    [V2_HALT] = {VM_HALTED, HUH, 2, JAVM_V2_END_HALT},
    [V2_GAS] = {VM_FAULTED, LOW, 3, JAVM_V2_END_OUT_OF_GAS},
    [V2_FAULT] = {VM_FAULTED, ADDRESS, 4, JAVM_V2_END_PAGE_FAULT},
    [V2_BAD_ECALLI] = {VM_FAULTED, OWN_R7, 5, JAVM_V2_END_PANIC},
};

void v2_over(struct javm_v2 *v2, enum javm_v2_end end)
{
    struct javm_v2_result *r = &v2->result;
    v2->over = true;
    r->end = end;
    r->value = end == JAVM_V2_END_HALT         ? v2->exec.regs[7]
               : end == JAVM_V2_END_PAGE_FAULT ? (uint64_t)v2->exec.exit_arg
                                               : 0;
    r->gas_left = v2->exec.gas;
    memcpy(r->regs, v2->exec.regs, sizeof r->regs);
}

void v2_end(struct javm_v2 *v2, enum v2_ending ending)
{
    const uint64_t values[] = {[OWN_R7] = v2->exec.regs[7],
                               [HUH] = JAVM_V2_HUH,
                               [LOW] = JAVM_V2_LOW,
                               [ADDRESS] = (uint64_t)v2->exec.exit_arg};
    if (v2->depth == 0) {
        v2_over(v2, endings[ending].end);
        return;
    }
    struct v2_frame frame = v2->frames[--v2->depth];
    const struct v2_place from = {v2->active, 0}, to = {frame.caller, frame.slot};
    v2->vms[v2->active].state = (uint8_t)endings[ending].state;
    v2->vms[frame.caller].gas += v2->exec.gas;
    v2->exec.gas = 0;
    if (ending == V2_REPLY && frame.slot != 0 && v2_cap_at(v2, from)->type != CAP_NONE) {
        v2_move(v2, from, to);
        struct v2_cap *cap = v2_slot(v2, to);
        if (cap != NULL)
            v2_restore(v2, to.vm, cap, frame.saved);
    }
    free(frame.saved);
    v2_activate(v2, frame.caller);
    v2->exec.regs[7] = values[endings[ending].told];
    v2->exec.regs[8] = endings[ending].status;
}
