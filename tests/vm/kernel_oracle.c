/* What a guest that asks does next. The host looks at its slots and fills its registers, so that
 * most operations find what they need; sometimes it says nonsense.
 *
 * Only what a guest could see, and the choices, decide: so both engines are told the same as long
 * as they are the same. x5 becomes 1 when the guest should go ahead, else 0. */
#include "tests/vm/kernel_oracle.h"

#define ASKED_REG 2 /* x5 in the register file */
enum need {
    N_END = 0,
    N_READ,
    N_TAKE,
    N_PUT,
    N_SWAP,
    N_KEY, /* and its length in the register behind it */
    N_ENDPOINT,
    N_ARG,
    N_OFFSET,
    N_WRITABLE, /* an address, and in the register behind it how much */
    N_READABLE, /* the same */
    N_MAYBE_CNODE,
    N_MAYBE_PUT
};

/* What operations want in φ7... */
static const struct {
    uint8_t op, weight;
    struct {
        uint8_t need;
        uint16_t kinds;
    } wants[6];
} wanted[] = {
#define ANY  (W_BIT(W_RESERVED) - 2)
#define IDLE W_BIT(W_IDLE)
    {REPLY_OP, 3, {{N_ARG, 0}}},
    {COPY, 8, {{N_READ, ANY}, {N_PUT, 0}}},
    {MOVE, 8, {{N_TAKE, ANY}, {N_PUT, 0}}},
    {DROP, 4, {{N_TAKE, ANY}}},
    {SWAP, 5, {{N_SWAP, 0}, {N_SWAP, 0}}},
    {MINT_CNODE, 4, {{N_PUT, 0}}},
    {GET_WIDE, 4, {{N_READ, W_BIT(W_CNODE)}, {N_KEY, 0}, {N_ARG, 0}, {N_PUT, 0}}},
    {SET_WIDE, 5, {{N_READ, W_BIT(W_CNODE)}, {N_KEY, 0}, {N_ARG, 0}, {N_SWAP, 0}}},
    {YIELD, 16, {{N_READ, W_BIT(W_SENDER)}}},
    {SET_IMAGE, 4, {{N_READ, W_BIT(W_IMAGE)}}},
    {SPAWN, 7, {{N_READ, W_BIT(W_IMAGE)}, {N_MAYBE_CNODE, 0}, {N_PUT, 0}}},
    {MAKE_IMAGE, 4, {{N_READ, W_BIT(W_DATA)}, {N_PUT, 0}}},
    {SAME_TYPE, 3, {{N_READ, IDLE | W_BIT(W_TYPE)}, {N_READ, IDLE | W_BIT(W_TYPE) | W_BIT(W_GAS)}}},
    {TYPE_OF, 3, {{N_READ, IDLE | W_BIT(W_TYPE) | W_BIT(W_SENDER)}, {N_PUT, 0}}},
    {READ_DATA, 6, {{N_READ, W_BIT(W_DATA)}, {N_OFFSET, 0}, {N_WRITABLE, 0}}},
    {MINT_DATA, 6, {{N_READABLE, 0}, {N_ARG, 0}, {N_READ, W_BIT(W_QUOTA)}, {N_PUT, 0}}},
    {FILE_OPEN, 12, {{N_READ, W_BIT(W_FILE)}, {N_PUT, 0}}},
    {FILE_SAVE, 3, {{N_READ, W_BIT(W_DATA)}, {N_READ, W_BIT(W_QUOTA)}, {N_PUT, 0}}},
    {CALL, 26, {{N_TAKE, IDLE}, {N_ENDPOINT, 0}, {N_ARG, 0}, {N_ARG, 0}, {N_ARG, 0}, {N_ARG, 0}}},
    {RESUME, 0, {{N_END, 0}}},
    {DROP_RESUME, 0, {{N_MAYBE_PUT, 0}}},
    {CHAIN, 3, {{N_READ, IDLE | W_BIT(W_TYPE)}, {N_PUT, 0}}},
    {CALL_PAUSED, 12, {{N_TAKE, W_BIT(W_PAUSED)}}}};
#define WANTED (sizeof wanted / sizeof *wanted)

static size_t place_of(uint64_t op)
{
    size_t k = 0;
    while (k < WANTED && wanted[k].op != op)
        k++;
    return k;
}

static bool fill(struct oracle *o, size_t k)
{
    uint64_t *reg = &o->regs[7];
    for (unsigned i = 0; i < 6; i++) {
        switch ((enum need)wanted[k].wants[i].need) {
        case N_END:
            break;
        case N_READ:
            if (!oracle_slot(o, wanted[k].wants[i].kinds, false, &reg[i]))
                return false;
            break;
        case N_TAKE:
            if (!oracle_slot(o, wanted[k].wants[i].kinds, true, &reg[i]))
                return false;
            break;
        case N_MAYBE_CNODE:
            if (!likely(o->choices, 40) || !oracle_slot(o, W_BIT(W_CNODE), true, &reg[i]))
                reg[i] = 0;
            break;
        case N_PUT:
            reg[i] = oracle_free_slot(o);
            break;
        case N_MAYBE_PUT:
            reg[i] = likely(o->choices, 60) ? oracle_free_slot(o) : 0;
            break;
        case N_SWAP:
            if (!likely(o->choices, 85) || !oracle_slot(o, ANY, true, &reg[i]))
                reg[i] = oracle_free_slot(o);
            break;
        case N_KEY: {
            const struct javm_key key = wanted[k].op == GET_WIDE
                                            ? oracle_key_in(o, reg[0])
                                            : fuzz_meter_key(choose(o->choices, FUZZ_KEYS));
            reg[i] = javm_key_pack(&key);
            reg[i + 1] = key.len;
            i++;
            break;
        }
        case N_ENDPOINT:
            reg[i] = choose(o->choices, oracle_endpoints(o, reg[0]) + 1);
            reg[i] -= reg[i] != 0 && !likely(o->choices, 3); /* or one too far */
            break;
        case N_ARG:
            reg[i] = choose(o->choices, 64);
            break;
        case N_OFFSET:
            reg[i] = choose(o->choices, 3) * 4000;
            break;
        case N_WRITABLE:
        case N_READABLE:
            if (!oracle_address(o, wanted[k].wants[i].need == N_WRITABLE, &reg[i]))
                return false;
            reg[i + 1] = choose(o->choices, likely(o->choices, 80) ? 90 : 6000);
            i++;
            break;
        }
    }
    return true;
}

/* The meter or quota whose handle came along with a yield, mostly. */
static void meter_key(struct oracle *o, unsigned what, struct javm_key *key)
{
    struct javm_cap *cap = view_cap(o->vm->dir, &o->e->slot0);
    if (cap != NULL && W_BIT(view_what(o->vm->dir, &o->e->slot0)) & what && likely(o->choices, 80))
        javm_key_unpack(javm_instance_of(cap)->regs[0], javm_instance_of(cap)->regs[1], key);
    javm_cap_release(cap);
}

/* A yield has more operands when it is the kernel's. */
static bool fill_yield(struct oracle *o)
{
    struct javm_key key, meter = fuzz_meter_key(choose(o->choices, FUZZ_KEYS));
    uint64_t *reg = &o->regs[7];
    if (!check_sender(o->vm, &key))
        return true;
    if (javm_key_compare(&key, &JAVM_YK_SET_GAS_METER) == 0)
        meter_key(o, W_BIT(W_GAS), &meter);
    if (javm_key_compare(&key, &JAVM_YK_SET_STORAGE_QUOTA) == 0)
        meter_key(o, W_BIT(W_QUOTA), &meter);
    reg[1] = javm_key_pack(&meter);
    reg[2] = meter.len;
    if (javm_key_compare(&key, &JAVM_YK_MINT_YIELD) == 0) {
        meter = fuzz_yield_key(choose(o->choices, FUZZ_KEYS));
        reg[1] = javm_key_pack(&meter);
        reg[2] = meter.len;
        reg[3] = oracle_free_slot(o);
        reg[4] = oracle_free_slot(o);
    } else if (javm_key_compare(&key, &JAVM_YK_MERGE_YIELD_RECEIVER) == 0) {
        reg[3] = oracle_free_slot(o);
        return oracle_slot(o, W_BIT(W_RECEIVER), false, &reg[1]) &&
               oracle_slot(o, W_BIT(W_RECEIVER), false, &reg[2]);
    } else if (javm_key_compare(&key, &JAVM_YK_SET_GAS_METER) == 0) {
        reg[3] = choose(o->choices, likely(o->choices, 70) ? 20000 : 900);
    } else if (javm_key_compare(&key, &JAVM_YK_SET_STORAGE_QUOTA) == 0) {
        reg[3] = choose(o->choices, 8);
    } else if (javm_key_compare(&key, &JAVM_YK_ATTEST) == 0) {
        return oracle_slot(o, W_BIT(W_DATA), false, &reg[1]);
    } else if (javm_is_kernel_yield_key(&key) && javm_key_compare(&key, &JAVM_YK_OOG) != 0 &&
               javm_key_compare(&key, &JAVM_YK_STORAGE_EXHAUSTED) != 0) {
        reg[3] = oracle_free_slot(o);
    } else if (check_catcher(o->vm, &key) == NO_ENTRY && !o->vm->can_pause) {
        return likely(o->choices, o->e->owner == NO_ENTRY ? 1 : 8); /* nobody is there for it */
    }
    return true;
}

/* ---- choosing operations ---------------------------------------------------------------- */

/* Does anything pay in a meter that is empty? Somebody has to fill it. */
static bool hungry(const struct oracle *o)
{
    return o->vm->assist.gas.used == 0 && !o->world->now->host_meters;
}

/* A sender of that key; NULL: of any that an owner catches. False: there is none. */
static bool choose_sender(struct oracle *o, const struct javm_key *key)
{
    const uint64_t before = o->regs[7];
    const uint32_t first = (uint32_t)choose(o->choices, o->seen.count + 1);
    for (uint32_t i = 0; i < o->seen.count; i++) {
        struct javm_key found;
        const struct place *place = &o->seen.at[(first + i) % o->seen.count];
        if (place->what != W_SENDER)
            continue;
        o->regs[7] = place->path;
        if (check_sender(o->vm, &found) && (key != NULL ? javm_key_compare(&found, key) == 0
                                                        : check_catcher(o->vm, &found) != NO_ENTRY))
            return true;
    }
    o->regs[7] = before;
    return false;
}

/* What the frame below yielded: the kernel, for want of something. */
static const struct javm_key *remedy(const struct oracle *o)
{
    const struct entry *top = &o->vm->entries[o->vm->depth - 1];
    if (top->kind == ENTRY_REFERENCE && top->by_kernel)
        return javm_key_compare(&top->key, &JAVM_YK_OOG) == 0 ? &JAVM_YK_SET_GAS_METER
                                                              : &JAVM_YK_SET_STORAGE_QUOTA;
    return hungry(o) ? &JAVM_YK_SET_GAS_METER : NULL;
}

static size_t any_operation(struct oracle *o)
{
    const bool handler = o->vm->entries[o->vm->depth - 1].kind == ENTRY_REFERENCE;
    uint64_t total = 0, at;
    for (size_t k = 0; k < WANTED; k++)
        total += wanted[k].weight;
    if (handler && likely(o->choices, 50))
        return place_of(likely(o->choices, 70) ? RESUME : DROP_RESUME);
    at = choose(o->choices, total);
    for (size_t k = 0;; k++) {
        if (at < wanted[k].weight)
            return k;
        at -= wanted[k].weight;
    }
}

/* Small numbers instead of what was chosen. */
static void spoil(struct oracle *o)
{
    uint64_t *reg = &o->regs[7 + choose(o->choices, 4)];
    switch (choose(o->choices, 4)) {
    case 0:
        *reg = choose(o->choices, KEY_LIMIT);
        break;
    case 1:
        *reg = choose(o->choices, 1u << 16);
        break;
    case 2:
        *reg ^= UINT64_C(1) << choose(o->choices, 64);
        break;
    default:
        *reg = o->regs[7];
    }
}

static bool advise(struct oracle *o, size_t k)
{
    const struct javm_key *cure = remedy(o);
    if (wanted[k].op == REPLY_OP && o->e->owner == NO_ENTRY && !likely(o->choices, 30))
        return false;
    if (wanted[k].op == YIELD && likely(o->choices, 60) &&
        ((cure != NULL && choose_sender(o, cure)) || choose_sender(o, NULL)))
        return fill_yield(o);
    if (!fill(o, k))
        return false;
    return wanted[k].op != YIELD || fill_yield(o);
}

/* The host changes memory that the guest may write, at times. */
static void write_memory(struct oracle *o, struct javm_memory *memory)
{
    uint64_t address, value = choose(o->choices, 256);
    if (oracle_address(o, true, &address))
        REQUIRE(javm_memory_write(memory, (uint32_t)address, &value, sizeof value));
}

enum javm_status oracle_host_call(void *context, struct javm_host_call *call)
{
    struct fuzz_world *world = context;
    struct oracle o = {.world = world, .choices = &world->choices, .vm = world->vm};
    o.e = running(o.vm);
    o.regs = call->regs;
    const bool root = o.e->owner == NO_ENTRY;
    call->regs[ASKED_REG] = 0;
    if (likely(o.choices, 2))
        write_memory(&o, call->memory);
    oracle_look(&o);
    bool good = false;
    size_t k = 0;
    if (call->selector >= ASK_OP && call->selector < ASK_OP + OPERATIONS) {
        k = place_of(call->selector - ASK_OP);
        if (k == WANTED || (!root && likely(o.choices, 1))) {
            call->trap = k != WANTED;
            return JAVM_OK;
        }
        const bool handler = o.vm->entries[o.vm->depth - 1].kind == ENTRY_REFERENCE;
        const bool resuming = wanted[k].op == RESUME || wanted[k].op == DROP_RESUME;
        good = (handler || !resuming) && advise(&o, k);
    } else if (call->selector == ASK_ANY) {
        for (unsigned tries = 0; tries < 4 && !good; tries++) {
            k = any_operation(&o);
            good = advise(&o, k);
        }
    }
    if (choose(o.choices, root ? 400 : 60) == 0) { /* misuse */
        spoil(&o);
        good = true;
    }
    if (good && call->selector == ASK_ANY) /* after CALL's third argument was put there */
        call->regs[11] = wanted[k].op;
    call->regs[ASKED_REG] = good;
    return JAVM_OK;
}
