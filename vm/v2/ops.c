/* The operations: one table says what each of them works on; CALL goes by the type of its cap
 * (JAR v2 6). */
#include "vm/v2/v2.h"

#define CHARGE      10u
#define PAGE_CHARGE 1500u

enum object {
    NO_OBJECT, /* φ[12]'s low half means something else, or nothing */
    ANY_OBJECT,
    EMPTY_OBJECT
};

bool v2_pay(struct javm_v2 *v2, uint64_t amount)
{
    const bool paid = v2->exec.gas >= amount;
    const uint64_t taken = paid ? amount : v2->exec.gas;
    v2->exec.gas -= taken;
    v2->charged += taken;
    return paid;
}

/* ---- CALL, by the type of the cap --------------------------------------------------------- */

static bool empty_object(const struct javm_v2 *v2, struct v2_place *object)
{
    return v2_resolve(v2, (uint32_t)v2->exec.regs[12], object) &&
           v2_cap_at(v2, *object)->type == CAP_NONE;
}

/* A cap that was made goes there; its slot is the result. */
static enum v2_outcome make(struct javm_v2 *v2, struct v2_place object, const struct v2_cap *cap)
{
    struct v2_cap *slot = v2_slot(v2, object);
    if (slot != NULL)
        *slot = *cap;
    v2->exec.regs[7] = object.slot;
    return V2_DONE;
}

static enum v2_outcome retype(struct javm_v2 *v2, struct v2_place subject)
{
    const uint64_t pages = v2->exec.regs[7];
    struct v2_store *store = &v2->store;
    struct v2_place object;
    (void)subject;
    if (v2->exec.gas < CHARGE || pages > (v2->exec.gas - CHARGE) / PAGE_CHARGE) {
        v2_pay(v2, UINT64_MAX);
        return V2_UNPAID;
    }
    v2_pay(v2, CHARGE + PAGE_CHARGE * pages);
    if (pages > store->total - store->used)
        return V2_REFUSED;
    const uint32_t offset = store->used;
    store->used += (uint32_t)pages;
    if (!empty_object(v2, &object))
        return V2_REFUSED; /* the pages are lost */
    return make(v2, object,
                &(struct v2_cap){.type = CAP_DATA, .offset = offset, .pages = (uint32_t)pages});
}

static enum v2_outcome create(struct javm_v2 *v2, struct v2_place subject)
{
    const uint64_t mask = v2->exec.regs[7];
    struct v2_place object;
    if (v2->vm_count == V2_VMS || !empty_object(v2, &object))
        return V2_REFUSED;
    const uint32_t vm = v2_new_vm(v2, (uint8_t)v2_cap_at(v2, subject)->id);
    for (unsigned i = 0; i < 64 && vm != V2_NOBODY; i++) {
        const struct v2_cap *cap = v2_cap_at(v2, (struct v2_place){subject.vm, (uint8_t)i});
        if (!(mask >> i & 1) || !(CAP_BIT(cap->type) & CAPS_COPYABLE))
            continue;
        struct v2_cap *copy = v2_slot(v2, (struct v2_place){vm, (uint8_t)i});
        if (copy != NULL)
            *copy = *cap;
    }
    return make(v2, object, &(struct v2_cap){.type = CAP_HANDLE, .id = vm});
}

static enum v2_outcome call_vm(struct javm_v2 *v2, struct v2_place subject)
{
    return v2_call(v2, v2_cap_at(v2, subject));
}

static enum v2_outcome copy_data(struct javm_v2 *v2, struct v2_place subject)
{
    const uint64_t *regs = v2->exec.regs;
    struct v2_place object;
    if ((uint32_t)regs[12] == 0 || !v2_resolve(v2, (uint32_t)regs[12], &object))
        return V2_REFUSED;
    return v2_copy(v2, subject, object, regs[7], regs[9], regs[8]);
}

static enum v2_outcome serve(struct javm_v2 *v2, struct v2_place subject)
{
    uint64_t *regs = v2->exec.regs;
    struct javm_v2_call call = {
        .id = v2_cap_at(v2, subject)->id, .gas = v2->exec.gas, .r7 = JAVM_V2_WHAT, .r8 = regs[8]};
    enum javm_v2_answer answer = JAVM_V2_CONTINUE;
    for (unsigned i = 0; i < V2_REGS; i++)
        call.regs[i] = regs[i];
    if (v2->host != NULL && v2->host->serve != NULL)
        answer = v2->host->serve(v2->host->context, v2, &call);
    if (call.gas < v2->exec.gas)
        v2_pay(v2, v2->exec.gas - call.gas);
    switch (answer) {
    case JAVM_V2_CONTINUE:
        regs[7] = call.r7;
        regs[8] = call.r8;
        break;
    case JAVM_V2_PANIC:
        v2_over(v2, JAVM_V2_END_PANIC);
        break;
    case JAVM_V2_OUT_OF_GAS:
        v2_pay(v2, UINT64_MAX);
        v2_over(v2, JAVM_V2_END_OUT_OF_GAS);
        break;
    case JAVM_V2_FAILED:
        v2->nomem = true;
        break;
    }
    return V2_DONE;
}

static enum v2_outcome invoke_cap(struct javm_v2 *v2, struct v2_place subject)
{
    static enum v2_outcome (*const by_type[])(struct javm_v2 *, struct v2_place) = {
        [CAP_UNTYPED] = retype, [CAP_DATA] = copy_data,   [CAP_CODE] = create,
        [CAP_HANDLE] = call_vm, [CAP_CALLABLE] = call_vm, [CAP_PROTOCOL] = serve};
    const uint8_t type = v2_cap_at(v2, subject)->type;
    return type == CAP_NONE ? V2_REFUSED : by_type[type](v2, subject);
}

/* ---- the others ----------------------------------------------------------------------------- */

typedef enum v2_outcome operation(struct javm_v2 *v2, struct v2_place subject,
                                  struct v2_place object);

static enum v2_outcome op_call(struct javm_v2 *v2, struct v2_place subject, struct v2_place object)
{
    (void)object;
    return invoke_cap(v2, subject);
}

static enum v2_outcome op_map(struct javm_v2 *v2, struct v2_place subject, struct v2_place object)
{
    const uint64_t *regs = v2->exec.regs;
    const uint64_t base = regs[7], first = regs[8], count = regs[9];
    const bool writable = regs[10] == 1;
    struct v2_cap *cap = v2_slot(v2, subject);
    (void)object;
    if (count > cap->pages || first > cap->pages - count || first + count > V2_PAGES ||
        base > V2_PAGES - (first + count) || (cap->has && base != cap->id) ||
        (cap->fixed && writable != cap->writable))
        return V2_REFUSED;
    cap->has = cap->fixed = true;
    cap->id = (uint32_t)base;
    cap->writable = writable;
    v2_map(v2, subject.vm, cap, (uint32_t)first, (uint32_t)count);
    return V2_DONE;
}

static enum v2_outcome op_unmap(struct javm_v2 *v2, struct v2_place subject, struct v2_place object)
{
    const uint64_t first = v2->exec.regs[7], count = v2->exec.regs[8];
    const struct v2_cap *cap = v2_cap_at(v2, subject);
    (void)object;
    if (first < cap->pages)
        v2_unmap(v2, subject.vm, cap, (uint32_t)first,
                 count < cap->pages - first ? (uint32_t)count : cap->pages - (uint32_t)first);
    return V2_DONE;
}

static enum v2_outcome op_split(struct javm_v2 *v2, struct v2_place subject, struct v2_place object)
{
    const uint64_t at = v2->exec.regs[7];
    struct v2_cap *rest = v2_slot(v2, object), *cap = v2_slot(v2, subject);
    if (rest == NULL || at == 0 || at >= cap->pages || v2_is_mapped(v2, cap))
        return V2_REFUSED;
    *rest = (struct v2_cap){
        .type = CAP_DATA, .offset = cap->offset + (uint32_t)at, .pages = cap->pages - (uint32_t)at};
    *cap = (struct v2_cap){.type = CAP_DATA, .offset = cap->offset, .pages = (uint32_t)at};
    return V2_DONE;
}

static enum v2_outcome op_drop(struct javm_v2 *v2, struct v2_place subject, struct v2_place object)
{
    (void)object;
    v2_put(v2, subject, &(struct v2_cap){.type = CAP_NONE});
    return V2_DONE;
}

static enum v2_outcome op_move(struct javm_v2 *v2, struct v2_place subject, struct v2_place object)
{
    if (subject.vm == object.vm && subject.slot == object.slot)
        return V2_DONE;
    if (v2_cap_at(v2, subject)->type == CAP_NONE || v2_cap_at(v2, object)->type != CAP_NONE)
        return V2_REFUSED;
    v2_move(v2, subject, object);
    return V2_DONE;
}

static enum v2_outcome op_copy(struct javm_v2 *v2, struct v2_place subject, struct v2_place object)
{
    const struct v2_cap cap = *v2_cap_at(v2, subject);
    v2_put(v2, object, &cap);
    return V2_DONE;
}

static enum v2_outcome op_downgrade(struct javm_v2 *v2, struct v2_place subject,
                                    struct v2_place object)
{
    struct v2_cap cap = *v2_cap_at(v2, subject);
    cap.type = CAP_CALLABLE;
    v2_put(v2, object, &cap);
    return V2_DONE;
}

static enum v2_outcome op_set_max_gas(struct javm_v2 *v2, struct v2_place subject,
                                      struct v2_place object)
{
    struct v2_cap *cap = v2_slot(v2, subject);
    (void)object;
    cap->has = true;
    cap->max_gas = v2->exec.regs[7];
    return V2_DONE;
}

static enum v2_outcome op_dirty(struct javm_v2 *v2, struct v2_place subject, struct v2_place object)
{
    (void)object;
    return v2_dirty(v2, subject);
}

static enum v2_outcome op_resume(struct javm_v2 *v2, struct v2_place subject,
                                 struct v2_place object)
{
    (void)object;
    return v2_resume(v2, subject);
}

static const struct {
    operation *run;   /* NULL: there is no such operation */
    uint32_t subject; /* CAP_BITs */
    enum object object;
} operations[] = {
    [0x00] = {op_call, CAPS_ANY, NO_OBJECT},
    [0x02] = {op_map, CAP_BIT(CAP_DATA), NO_OBJECT},
    [0x03] = {op_unmap, CAP_BIT(CAP_DATA), NO_OBJECT},
    [0x04] = {op_split, CAP_BIT(CAP_DATA), EMPTY_OBJECT},
    [0x05] = {op_drop, CAPS_AND_EMPTY, NO_OBJECT},
    [0x06] = {op_move, CAPS_AND_EMPTY, ANY_OBJECT},
    [0x07] = {op_copy, CAPS_COPYABLE, EMPTY_OBJECT},
    [0x0A] = {op_downgrade, CAP_BIT(CAP_HANDLE), EMPTY_OBJECT},
    [0x0B] = {op_set_max_gas, CAP_BIT(CAP_HANDLE), NO_OBJECT},
    [V2_DIRTY_OP] = {op_dirty, CAP_BIT(CAP_DATA), NO_OBJECT},
    [0x0D] = {op_resume, CAP_BIT(CAP_HANDLE), NO_OBJECT},
};

enum v2_outcome v2_ecall(struct javm_v2 *v2)
{
    const uint64_t op = v2->exec.regs[11], refs = v2->exec.regs[12];
    struct v2_place subject, object = {0};
    if (!v2_pay(v2, CHARGE))
        return V2_UNPAID;
    if (op >= sizeof operations / sizeof *operations || operations[op].run == NULL ||
        !v2_resolve(v2, (uint32_t)(refs >> 32), &subject) ||
        !(operations[op].subject & CAP_BIT(v2_cap_at(v2, subject)->type)))
        return V2_REFUSED;
    if (operations[op].object != NO_OBJECT && !v2_resolve(v2, (uint32_t)refs, &object))
        return V2_REFUSED;
    if (operations[op].object == EMPTY_OBJECT && v2_cap_at(v2, object)->type != CAP_NONE)
        return V2_REFUSED;
    return operations[op].run(v2, subject, object);
}

enum v2_outcome v2_ecalli(struct javm_v2 *v2, uint32_t number)
{
    if (number > 127) {
        v2->exec.regs[7] = number;
        v2->exec.pc = v2->exec.exit_pc;
        v2_end(v2, V2_BAD_ECALLI);
        return V2_DONE;
    }
    if (!v2_pay(v2, CHARGE))
        return V2_UNPAID;
    if (number != 0)
        return invoke_cap(v2, (struct v2_place){v2->active, (uint8_t)number});
    v2_end(v2, V2_REPLY);
    return V2_DONE;
}
