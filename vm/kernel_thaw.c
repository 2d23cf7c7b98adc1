/* A Paused Instance becomes frames again. It may come from anywhere (a file, another machine), so
 * everything is checked; what is refused leaves the stack as it was. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "vm/kernel.h"
#include "vm/kernel_pause.h"

/* A Data as words. */
struct view {
    const struct javm_cap *data;
    uint64_t count;
};

static uint64_t word(const struct view *view, uint64_t i)
{
    uint64_t value;
    if (i >= view->count)
        return 0;
    javm_data_read(view->data, i * sizeof value, &value, sizeof value);
    return le64toh(value);
}

static struct view view_of(const struct javm_cap *data)
{
    return (struct view){data, javm_data_pages(data) * JAVM_PAGE_SIZE / sizeof(uint64_t)};
}

/* A part of an entry, resolved; NULL: it has none. */
static struct value *part_of(struct javm_vm *vm, struct node *frame, uint64_t part)
{
    const struct javm_key key = javm_key_from_u64(part);
    struct value *value = node_find(frame, &key);
    if (value != NULL)
        value_resolve(vm->dir, value);
    return value;
}

static const struct javm_cap *data_part(struct javm_vm *vm, struct node *frame, uint64_t part)
{
    const struct value *value = part_of(vm, frame, part);
    return value != NULL && value_kind(value) == JAVM_DATA ? value->cap : NULL;
}

/* ---- the header ------------------------------------------------------------------------- */

static enum javm_status read_meters(struct javm_vm *vm, const struct view *head, uint64_t *at,
                                    uint64_t count, enum meter meter)
{
    enum javm_status status = JAVM_OK;
    for (uint64_t i = 0; i < count && status == JAVM_OK; i++, *at += 3) {
        struct javm_key key;
        if (!javm_key_unpack(word(head, *at), word(head, *at + 1), &key))
            return JAVM_E_FORMAT;
        status = assist_set(&vm->assist, meter, &key, word(head, *at + 2));
    }
    return status;
}

/* Files (keys: NULL) or attestations, whose keys begin at word `at`. */
static enum javm_status read_kept(struct javm_vm *vm, struct node *root, uint64_t part,
                                  uint64_t count, const struct view *keys, uint64_t at)
{
    if (count == 0)
        return JAVM_OK;
    struct value *list = part_of(vm, root, part);
    enum javm_status status = list != NULL ? value_to_node(vm->dir, list) : JAVM_E_FORMAT;
    if (status == JAVM_E_KIND)
        status = JAVM_E_FORMAT;
    for (uint64_t i = 0; i < count && status == JAVM_OK; i++, at += 2) {
        struct javm_key key;
        const struct javm_cap *data = data_part(vm, list->node, i);
        if (data == NULL ||
            (keys != NULL && !javm_key_unpack(word(keys, at), word(keys, at + 1), &key)))
            return JAVM_E_FORMAT;
        status = keys == NULL ? assist_keep_file(&vm->assist, data)
                              : assist_keep_attestation(&vm->assist, &key, data);
    }
    return status;
}

enum javm_status pause_read(struct javm_vm *vm, const struct instance *paused, bool outermost,
                            struct pause_header *header)
{
    const struct view head = view_of(paused->mem);
    const uint64_t count = word(&head, HEAD_COUNT), meters = word(&head, HEAD_METERS),
                   quotas = word(&head, HEAD_QUOTAS), files = word(&head, HEAD_FILES),
                   attestations = word(&head, HEAD_ATTESTATIONS);
    if (paused->status != JAVM_PAUSED || word(&head, HEAD_MAGIC) != PAUSE_MAGIC || count == 0 ||
        count > UINT32_MAX || meters > head.count || quotas > head.count ||
        attestations > head.count ||
        HEAD_WORDS + 3 * (meters + quotas) + 2 * attestations > head.count)
        return JAVM_E_FORMAT;
    *header = (struct pause_header){.count = (uint32_t)count,
                                    .by_kernel = word(&head, HEAD_BY_KERNEL) != 0,
                                    .spent = word(&head, HEAD_SPENT)};
    if (!outermost)
        return JAVM_OK;
    uint64_t at = HEAD_WORDS;
    enum javm_status status = read_meters(vm, &head, &at, meters, METER_GAS);
    if (status == JAVM_OK)
        status = read_meters(vm, &head, &at, quotas, METER_QUOTA);
    if (status == JAVM_OK)
        status = read_kept(vm, paused->root, count, files, NULL, 0);
    if (status == JAVM_OK)
        status = read_kept(vm, paused->root, count + 1, attestations, &head, at);
    return status;
}

/* ---- one frame -------------------------------------------------------------------------- */

struct thaw {
    struct javm_vm *vm;
    struct node *frame; /* that is being made */
    struct view state;
    uint32_t base;
    uint32_t owner; /* of the bottom one */
    uint64_t home;
};

static enum javm_status find_program(const struct thaw *t, struct cached_program **program)
{
    struct javm_hash hash;
    const struct value *image = part_of(t->vm, t->frame, PART_IMAGE);
    if (image == NULL || value_kind(image) != JAVM_IMAGE)
        return JAVM_E_FORMAT;
    const enum javm_status status = javm_cap_hash(image->cap, &hash);
    return status == JAVM_OK
               ? prepare_program(&t->vm->cache, t->vm->dir, &hash, image->cap, program, NULL)
               : status;
}

/* The layout that the frame had: what was at the sources when it was entered. */
static enum javm_status find_layout(const struct thaw *t, struct cached_program *program,
                                    struct layout **out)
{
    struct value *sources = part_of(t->vm, t->frame, PART_SOURCES);
    if (sources == NULL)
        return JAVM_E_FORMAT;
    enum javm_status status = value_to_node(t->vm->dir, sources);
    if (status != JAVM_OK)
        return status == JAVM_E_KIND ? JAVM_E_FORMAT : status;
    struct layout *layout = layout_bare(program, ++t->vm->cache.last_id);
    if (layout == NULL)
        return JAVM_E_NOMEM;
    for (uint32_t i = 1; i < layout->region_count && status == JAVM_OK; i++) {
        const struct javm_cap *data = data_part(t->vm, sources->node, i - 1);
        if (data != NULL && javm_data_pages(data) > layout->regions[i].pages)
            status = JAVM_E_FORMAT;
        else if (data != NULL)
            layout_put(layout, i - 1, javm_cap_retain(data));
    }
    if (status != JAVM_OK)
        layout_release(layout);
    else
        *out = layout;
    return status;
}

static enum javm_status find_instance(const struct thaw *t, struct instance **out)
{
    struct value *value = part_of(t->vm, t->frame, PART_INSTANCE);
    if (value == NULL || value_kind(value) != JAVM_INSTANCE)
        return JAVM_E_FORMAT;
    if (value->kind == VALUE_CAP) {
        struct instance *instance;
        const enum javm_status status = instance_from_cap(t->vm->dir, value->cap, &instance);
        if (status != JAVM_OK)
            return status == JAVM_E_KIND ? JAVM_E_FORMAT : status;
        javm_cap_release(value->cap);
        *value = value_of_instance(instance);
    }
    struct instance *instance = value->instance;
    *out = instance;
    if (instance->status != JAVM_IDLE)
        return JAVM_E_FORMAT;
    if (instance->image != NULL)
        return JAVM_OK;
    /* Its pins hold, and it need not be the image that runs: SET_IMAGE. */
    instance->image = javm_directory_get(t->vm->dir, &instance->image_hash);
    if (instance->image != NULL && javm_cap_kind(instance->image) == JAVM_IMAGE)
        return JAVM_OK;
    javm_cap_release(instance->image);
    instance->image = NULL;
    return JAVM_E_FORMAT;
}

/* Pages as they were. Each lies in a writable region, or it is refused. */
static enum javm_status write_pages(const struct thaw *t, struct entry *e)
{
    const uint64_t count = word(&t->state, STATE_PAGES);
    const struct javm_cap *pages = data_part(t->vm, t->frame, PART_PAGES);
    uint8_t bytes[JAVM_PAGE_SIZE];
    if (pages == NULL || javm_data_pages(pages) != count)
        return JAVM_E_FORMAT;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t page = word(&t->state, STATE_WORDS + i);
        if (page >= MEMORY_PAGES || !frame_allows(e, page << JAVM_PAGE_SHIFT, JAVM_PAGE_SIZE, true))
            return JAVM_E_FORMAT;
        javm_data_read(pages, i << JAVM_PAGE_SHIFT, bytes, sizeof bytes);
        if (!javm_memory_write(e->space->memory, (uint32_t)(page << JAVM_PAGE_SHIFT), bytes,
                               sizeof bytes))
            return JAVM_E_NOMEM;
    }
    return JAVM_OK;
}

static enum javm_status set_replaced(const struct thaw *t, struct entry *e)
{
    const uint64_t more = word(&t->state, STATE_REPLACED_MORE);
    const uint32_t persistent = e->program->persistent_count;
    e->replaced = word(&t->state, STATE_REPLACED);
    if (more == 0)
        return JAVM_OK;
    if (persistent < 64 || more != persistent - 64)
        return JAVM_E_FORMAT;
    e->replaced_more = calloc(persistent, 1);
    if (e->replaced_more == NULL)
        return JAVM_E_NOMEM;
    for (uint32_t k = 64; k < persistent; k++)
        e->replaced_more[k] =
            word(&t->state, STATE_WORDS + word(&t->state, STATE_PAGES) + k - 64) != 0;
    return JAVM_OK;
}

/* HALT stores into the sources of mappings: the CNodes on the way have to be there, as objects. Of
 * a frame that was entered they are. */
static enum javm_status find_ways(const struct thaw *t, const struct entry *e)
{
    const struct cached_program *p = e->program;
    for (uint32_t k = 0; k < p->persistent_count; k++) {
        const uint32_t index = p->persistent[k];
        struct value *value;
        uint8_t step;
        if (!frame_keeps(e, k))
            continue;
        const enum javm_status status = source_find(
            t->vm->dir, e->instance->root, &running_image(e)->mappings[index], &value, &step);
        if (status != JAVM_OK)
            return status == JAVM_E_KIND ? JAVM_E_FORMAT : status;
    }
    return JAVM_OK;
}

/* An index that counts from the bottom of the continuation; false: it is none of a frame there. */
static bool absolute(const struct thaw *t, uint64_t index, uint32_t below, uint32_t *entry)
{
    if (index >= below - t->base)
        return false;
    *entry = t->base + (uint32_t)index;
    return t->vm->entries[*entry].kind == ENTRY_INSTANCE;
}

static enum javm_status reserve_home(const struct thaw *t, struct entry *e)
{
    struct entry *owner = &t->vm->entries[e->owner];
    struct path path;
    struct found found;
    path_parse(e->home, &path);
    const enum find_result result = slot_find(t->vm, owner, &path, &found);
    const bool good = result == FIND_OK && !found.pinned && found.value == NULL;
    value_drop(&found.own);
    if (result == FIND_NOMEM)
        return JAVM_E_NOMEM;
    return good && !path_is_slot0(&path) ? slot_reserve_empty(owner, &path) : JAVM_E_FORMAT;
}

/* The frame is on the stack and has everything that it needs to be dropped; the rest of it. */
static enum javm_status fill_frame(const struct thaw *t, struct entry *e, uint32_t index)
{
    const bool bottom = index == t->base;
    const uint64_t scope = word(&t->state, STATE_SCOPE), active = word(&t->state, STATE_ACTIVE);
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        e->exec.regs[i] = word(&t->state, STATE_REGS + i);
    e->exec.pc = word(&t->state, STATE_PC);
    e->unpaid = word(&t->state, STATE_UNPAID);
    e->active = active < UINT32_MAX ? (uint32_t)active : UINT32_MAX;
    if (scope == OUTSIDE)
        e->scope = t->owner != NO_ENTRY ? t->vm->entries[t->owner].scope : NO_ENTRY;
    else if (!absolute(t, scope, index + 1, &e->scope))
        return JAVM_E_FORMAT;
    struct value *given = part_of(t->vm, t->frame, PART_GIVEN);
    const struct value *catches = part_of(t->vm, t->frame, PART_CATCHES);
    value_drop(&e->given);
    if (given != NULL)
        value_copy(&e->given, given);
    if (!bottom && catches != NULL && value_cap(catches) != NULL)
        e->catches = javm_cap_retain(catches->cap);
    enum javm_status status = set_replaced(t, e);
    if (status == JAVM_OK)
        status = find_ways(t, e);
    return status == JAVM_OK ? write_pages(t, e) : status;
}

static enum javm_status thaw_frame(const struct thaw *t)
{
    struct javm_vm *vm = t->vm;
    const uint32_t index = vm->depth;
    const bool bottom = index == t->base;
    struct start start = {.owner = t->owner, .home = t->home};
    struct value slot0 = {.kind = VALUE_EMPTY};
    if (!bottom) {
        start.home = word(&t->state, STATE_HOME);
        if (!absolute(t, word(&t->state, STATE_OWNER), index, &start.owner))
            return JAVM_E_FORMAT;
    }
    enum javm_status status = find_program(t, &start.program);
    if (status != JAVM_OK)
        return status;
    status = find_layout(t, start.program, &start.layout);
    if (status == JAVM_OK)
        status = find_instance(t, &start.instance);
    struct value *kept = part_of(vm, t->frame, PART_SLOT0);
    if (status == JAVM_OK && kept != NULL)
        value_copy(&slot0, kept);
    if (status == JAVM_OK)
        status = stack_push(vm, &start, &slot0);
    if (status == JAVM_OK) {
        struct entry *e = &vm->entries[index];
        instance_retain(e->instance);
        if (!bottom)
            status = reserve_home(t, e);
        if (status != JAVM_OK)
            stack_forget(vm); /* its slot is not its own */
        else
            status = fill_frame(t, e, index);
    }
    value_drop(&slot0);
    layout_release(start.layout);
    program_release(start.program);
    return status;
}

/* A handler that runs again is one of the frames below it. */
static enum javm_status thaw_reference(const struct thaw *t)
{
    struct javm_key key;
    uint32_t target;
    const uint32_t below = t->vm->depth;
    if (below == t->base || !absolute(t, word(&t->state, STATE_OWNER), below, &target) ||
        !javm_key_unpack(word(&t->state, STATE_KEY), word(&t->state, STATE_KEY_LEN), &key))
        return JAVM_E_FORMAT;
    /* It has to be an owner, near or far, of the frame that ran. */
    uint32_t at = running_index(t->vm);
    while (at != target && at != t->base)
        at = t->vm->entries[at].owner;
    if (at != target || running_index(t->vm) == target)
        return JAVM_E_FORMAT;
    stack_push_reference(t->vm, target, &key, word(&t->state, STATE_BY_KERNEL) != 0);
    return JAVM_OK;
}

static enum javm_status thaw_entry(struct thaw *t, struct node *root, uint32_t i)
{
    struct value *frame = part_of(t->vm, root, i);
    const enum javm_status status =
        frame != NULL ? value_to_node(t->vm->dir, frame) : JAVM_E_FORMAT;
    if (status != JAVM_OK)
        return status == JAVM_E_NOMEM ? status : JAVM_E_FORMAT;
    t->frame = frame->node;
    const struct javm_cap *state = data_part(t->vm, t->frame, PART_STATE);
    if (state == NULL)
        return JAVM_E_FORMAT;
    t->state = view_of(state);
    return word(&t->state, STATE_KIND) == ENTRY_REFERENCE ? thaw_reference(t) : thaw_frame(t);
}

/* Drop the entries from `base` up. The slot of the bottom one is its caller's matter. */
static void take_back(struct javm_vm *vm, uint32_t base)
{
    while (vm->depth > base + 1)
        stack_unwind(vm, vm->depth - 1);
    if (vm->depth > base)
        stack_forget(vm);
}

enum javm_status pause_thaw(struct javm_vm *vm, struct instance *paused, uint32_t owner,
                            uint64_t home)
{
    struct pause_header header = {0};
    struct thaw t = {.vm = vm, .base = vm->depth, .owner = owner, .home = home};
    enum javm_status status = pause_read(vm, paused, false, &header);
    for (uint32_t i = 0; i < header.count && status == JAVM_OK; i++)
        status = thaw_entry(&t, paused->root, i);
    if (status != JAVM_OK)
        take_back(vm, t.base);
    return status;
}

/* ---- CALL_PAUSED ------------------------------------------------------------------------ */

/* The operand as an object, in place. */
static enum javm_status as_object(struct javm_vm *vm, struct value *value)
{
    struct instance *instance;
    if (value->kind == VALUE_INSTANCE)
        return JAVM_OK;
    const enum javm_status status = instance_from_cap(vm->dir, value->cap, &instance);
    if (status != JAVM_OK)
        return status;
    javm_cap_release(value->cap);
    *value = value_of_instance(instance);
    return JAVM_OK;
}

static enum step refuse(struct javm_vm *vm, enum javm_status status)
{
    return status == JAVM_E_NOMEM ? fail_with(vm, status, "CALL_PAUSED")
                                  : fault_with(vm, JAVM_FAULT_BAD_OPERAND);
}

enum step op_call_paused(struct javm_vm *vm, struct operands *o)
{
    struct entry *caller = o->entry;
    const uint32_t owner = running_index(vm), index = vm->depth;
    struct pause_header header;
    struct value taken, slot0;
    if (path_is_slot0(&o->at[0].path))
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    enum javm_status status = as_object(vm, o->at[0].found.value);
    if (status == JAVM_OK)
        status = pause_read(vm, o->at[0].found.value->instance, false, &header);
    if (status != JAVM_OK)
        return refuse(vm, status);
    if (header.count > vm->max_depth - vm->depth)
        return fault_with(vm, JAVM_FAULT_DEPTH_LIMIT);
    status = frame_flush_slot0(caller);
    /* Frames are made before anything of the caller changes: what does not thaw is a misuse. */
    struct instance *paused = instance_retain(o->at[0].found.value->instance);
    const struct javm_key key = paused->yield_key;
    if (status == JAVM_OK)
        status = pause_thaw(vm, paused, owner, operand_number(o, 0));
    instance_release(paused);
    if (status != JAVM_OK)
        return refuse(vm, status);
    /* The bottom frame is what is entered. */
    const uint64_t cost = vm->entries[index].program->entry_cost;
    const bool payable = !vm->cache.full || caller->exec.gas >= cost;
    if (payable)
        status = slot_reserve(caller, &o->at[0].path, &taken);
    if (!payable || status != JAVM_OK) {
        enum step step = STEP_GO_ON;
        take_back(vm, index);
        if (status == JAVM_OK && !gas_charge(vm, cost, &step))
            return step;
        return fail_with(vm, status, "CALL_PAUSED");
    }
    if (vm->cache.full)
        caller->exec.gas -= cost;
    value_drop(&taken);
    value_move(&slot0, &caller->slot0);
    struct entry *bottom = &vm->entries[index];
    value_drop(&bottom->given);
    value_copy(&bottom->given, &slot0);
    bottom->catches = yield_receiver(vm, caller);
    status = gas_store(vm, owner);
    if (header.by_kernel)
        value_drop(&slot0);
    if (status != JAVM_OK) {
        value_drop(&slot0);
        return fail_with(vm, status, "CALL_PAUSED");
    }
    return resume_yielder(vm, &key, header.by_kernel, header.by_kernel ? NULL : &slot0);
}
