/* Frames that leave the stack as a value: a Paused Instance. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "vm/kernel.h"
#include "vm/kernel_pause.h"

/* Words that are collected; an allocation that failed is remembered. */
struct words {
    uint64_t *words;
    size_t count, room;
    bool failed;
};

static void add(struct words *w, uint64_t word)
{
    if (w->count == w->room && !w->failed) {
        const size_t room = w->room != 0 ? w->room * 2 : 64;
        uint64_t *more = realloc(w->words, room * sizeof *more);
        w->failed = more == NULL;
        w->words = more != NULL ? more : w->words;
        w->room = more != NULL ? room : w->room;
    }
    if (!w->failed)
        w->words[w->count++] = word;
}

/* As a Data; the words are freed. NULL: out of memory. */
static struct javm_cap *finish(struct words *w)
{
    for (size_t i = 0; i < w->count; i++)
        w->words[i] = htole64(w->words[i]);
    struct javm_cap *data = w->failed ? NULL : javm_data_new(w->words, w->count * sizeof *w->words);
    free(w->words);
    *w = (struct words){0};
    return data;
}

/* Set slot `part` of a node that is being built; *value is taken in any case. */
static bool set_part(struct node *node, uint64_t part, struct value *value)
{
    const struct javm_key key = javm_key_from_u64(part);
    const bool good = node_set(node, &key, value) == JAVM_OK;
    value_drop(value);
    return good;
}

static bool set_cap(struct node *node, uint64_t part, struct javm_cap *cap)
{
    struct value value = value_of_cap(cap);
    return cap != NULL && set_part(node, part, &value);
}

static int by_page(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* ---- frames ----------------------------------------------------------------------------- */

static uint64_t relative(uint32_t entry, uint32_t base)
{
    return entry == NO_ENTRY || entry < base ? OUTSIDE : entry - base;
}

/* Pages that differ from what the layout shows at first, and those that were written where first
 * writes cost: they are paid. *pages is malloc'ed, ascending. */
static bool changed_pages(const struct javm_vm *vm, struct javm_memory *memory, uint32_t **pages,
                          size_t *count)
{
    const uint32_t *dirty;
    const size_t differ = javm_memory_dirty(memory, &dirty);
    *pages = malloc((differ + memory->touched_count + 1) * sizeof **pages);
    *count = differ;
    if (*pages == NULL)
        return false;
    if (differ != 0)
        memcpy(*pages, dirty, differ * sizeof *dirty);
    for (uint32_t i = 0; i < memory->touched_count && vm->cache.full; i++)
        if (memory->access[memory->touched[i]] & PAGE_WRITE)
            (*pages)[(*count)++] = memory->touched[i];
    qsort(*pages, *count, sizeof **pages, by_page);
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (i == 0 || (*pages)[i] != (*pages)[i - 1])
            (*pages)[kept++] = (*pages)[i];
    *count = kept;
    return true;
}

/* Their numbers go to `state`, their contents to a Data. NULL: out of memory. */
static struct javm_cap *collect_pages(const struct javm_vm *vm, const struct entry *e,
                                      struct words *state)
{
    uint32_t *pages = NULL;
    size_t count = 0;
    struct javm_memory *memory = e->space->memory;
    struct javm_cap *data =
        changed_pages(vm, memory, &pages, &count) ? javm_data_new_zero(count) : NULL;
    state->words[STATE_PAGES] = count;
    for (size_t i = 0; i < count && data != NULL; i++) {
        add(state, pages[i]);
        if (javm_data_write_page(data, i, javm_memory_page(memory, pages[i])) != JAVM_OK) {
            javm_cap_release(data);
            data = NULL;
        }
    }
    free(pages);
    return data;
}

static bool collect_sources(const struct entry *e, struct node *frame)
{
    struct node *sources = node_new();
    bool good = sources != NULL;
    for (uint32_t i = 1; i < e->layout->region_count && good; i++)
        if (e->layout->regions[i].data != NULL)
            good = set_cap(sources, i - 1, javm_cap_retain(e->layout->regions[i].data));
    if (!good) {
        node_release(sources);
        return false;
    }
    struct value value = value_of_node(sources);
    return set_part(frame, PART_SOURCES, &value);
}

static void begin_state(const struct entry *e, uint32_t base, bool bottom, struct words *state)
{
    uint64_t fixed[STATE_WORDS] = {
        [STATE_KIND] = e->kind, [STATE_OWNER] = bottom ? OUTSIDE : relative(e->owner, base)};
    if (e->kind == ENTRY_REFERENCE) {
        fixed[STATE_KEY] = javm_key_pack(&e->key);
        fixed[STATE_KEY_LEN] = e->key.len;
        fixed[STATE_BY_KERNEL] = e->by_kernel;
    } else {
        fixed[STATE_HOME] = bottom ? 0 : e->home;
        fixed[STATE_SCOPE] = relative(e->scope, base);
        fixed[STATE_ACTIVE] = e->active;
        fixed[STATE_REPLACED] = e->replaced;
        fixed[STATE_REPLACED_MORE] =
            e->replaced_more != NULL ? e->program->persistent_count - 64 : 0;
        fixed[STATE_UNPAID] = e->unpaid;
        fixed[STATE_PC] = e->exec.pc;
        memcpy(&fixed[STATE_REGS], e->exec.regs, sizeof e->exec.regs);
    }
    for (unsigned i = 0; i < STATE_WORDS; i++)
        add(state, fixed[i]);
}

static bool freeze_frame(const struct javm_vm *vm, struct entry *e, struct words *state,
                         struct node *frame)
{
    frame_forget_shown(e); /* what its window shows else is among the pages */
    struct javm_cap *pages = collect_pages(vm, e, state);
    for (uint64_t k = 0; k < state->words[STATE_REPLACED_MORE]; k++)
        add(state, e->replaced_more[64 + k]);
    struct value instance = value_of_instance(instance_retain(e->instance)), slot0, given;
    value_move(&slot0, &e->slot0);
    value_move(&given, &e->given);
    const struct javm_cap *image = e->program->image;
    bool good = set_cap(frame, PART_PAGES, pages);
    good = set_part(frame, PART_INSTANCE, &instance) && good;
    good = set_part(frame, PART_SLOT0, &slot0) && good;
    good = set_part(frame, PART_GIVEN, &given) && good;
    good = good && set_cap(frame, PART_IMAGE, javm_cap_retain(image));
    if (good && e->catches != NULL)
        good = set_cap(frame, PART_CATCHES, javm_cap_retain(e->catches));
    return good && collect_sources(e, frame);
}

static struct node *freeze_entry(const struct javm_vm *vm, struct entry *e, uint32_t base,
                                 bool bottom)
{
    struct words state = {0};
    struct node *frame = node_new();
    begin_state(e, base, bottom, &state);
    bool good = frame != NULL && !state.failed;
    if (good && e->kind == ENTRY_INSTANCE)
        good = freeze_frame(vm, e, &state, frame);
    struct javm_cap *data = finish(&state);
    if (!good) {
        javm_cap_release(data);
        node_release(frame);
        return NULL;
    }
    if (set_cap(frame, PART_STATE, data))
        return frame;
    node_release(frame);
    return NULL;
}

/* ---- the whole -------------------------------------------------------------------------- */

struct meter_list {
    struct meter_number {
        struct javm_key key;
        uint64_t value;
    } * numbers;
    size_t count;
};

static void note_number(void *context, const struct javm_key *key, uint64_t value)
{
    struct meter_list *list = context;
    list->numbers[list->count].key = *key;
    list->numbers[list->count++].value = value;
}

static int by_key(const void *a, const void *b)
{
    return javm_key_compare(&((const struct meter_number *)a)->key,
                            &((const struct meter_number *)b)->key);
}

static void add_meters(const struct javm_vm *vm, enum meter meter, struct words *head)
{
    struct meter_list list = {.count = 0};
    list.numbers = malloc((assist_count(&vm->assist, meter) + (size_t)1) * sizeof *list.numbers);
    if (list.numbers == NULL) {
        head->failed = true;
        return;
    }
    assist_each(&vm->assist, meter, note_number, &list);
    qsort(list.numbers, list.count, sizeof *list.numbers, by_key);
    for (size_t i = 0; i < list.count; i++) {
        add(head, javm_key_pack(&list.numbers[i].key));
        add(head, list.numbers[i].key.len);
        add(head, list.numbers[i].value);
    }
    free(list.numbers);
}

static struct javm_cap *make_header(const struct javm_vm *vm, uint32_t count, bool by_kernel,
                                    bool outermost)
{
    struct words head = {0};
    add(&head, PAUSE_MAGIC);
    add(&head, count);
    add(&head, by_kernel);
    add(&head, outermost ? vm->spent : 0);
    add(&head, outermost ? assist_count(&vm->assist, METER_GAS) : 0);
    add(&head, outermost ? assist_count(&vm->assist, METER_QUOTA) : 0);
    add(&head, outermost ? vm->assist.file_count : 0);
    add(&head, outermost ? vm->assist.recorded_count : 0);
    if (outermost) {
        add_meters(vm, METER_GAS, &head);
        add_meters(vm, METER_QUOTA, &head);
        for (uint32_t i = 0; i < vm->assist.recorded_count; i++) {
            add(&head, javm_key_pack(&vm->assist.recorded[i].key));
            add(&head, vm->assist.recorded[i].key.len);
        }
    }
    return finish(&head);
}

/* The files and attestations of the invocation, behind its entries. */
static bool add_kept(const struct javm_vm *vm, struct node *root, uint64_t part)
{
    const struct assist *assist = &vm->assist;
    struct node *files = node_new(), *attestations = node_new();
    bool good = files != NULL && attestations != NULL;
    for (uint32_t i = 0; i < assist->file_count && good; i++)
        good = set_cap(files, i, javm_cap_retain(assist->files[i]));
    for (uint32_t i = 0; i < assist->recorded_count && good; i++)
        good = set_cap(attestations, i, javm_cap_retain(assist->recorded[i].data));
    if (!good) {
        node_release(files);
        node_release(attestations);
        return false;
    }
    struct value first = value_of_node(files), second = value_of_node(attestations);
    good = set_part(root, part, &first);
    return set_part(root, part + 1, &second) && good;
}

static struct node *freeze_entries(struct javm_vm *vm, uint32_t index, bool outermost)
{
    struct node *root = node_new();
    bool good = root != NULL;
    /* Slots that are reserved inside are empty in the value; thawing reserves them again. */
    for (uint32_t i = index + 1; i < vm->depth; i++) {
        struct entry *e = &vm->entries[i];
        struct value nothing = {.kind = VALUE_EMPTY};
        if (e->kind == ENTRY_INSTANCE)
            slot_restore(&vm->entries[e->owner], e->home, &nothing);
    }
    for (uint32_t i = index; i < vm->depth && good; i++) {
        struct node *frame = freeze_entry(vm, &vm->entries[i], index, i == index);
        struct value value = value_of_node(frame);
        good = frame != NULL && set_part(root, i - index, &value);
    }
    if (good && outermost && vm->assist.used)
        good = add_kept(vm, root, vm->depth - index);
    if (good)
        return root;
    node_release(root);
    return NULL;
}

enum javm_status pause_freeze(struct javm_vm *vm, uint32_t index, const struct javm_key *key,
                              bool by_kernel, bool outermost, struct instance **paused)
{
    const struct entry *bottom = &vm->entries[index];
    struct javm_cap *mem = make_header(vm, vm->depth - index, by_kernel, outermost);
    struct node *root = freeze_entries(vm, index, outermost);
    struct instance *instance = root != NULL && mem != NULL ? instance_new(root) : NULL;
    if (instance == NULL) {
        node_release(root);
        javm_cap_release(mem);
    } else {
        javm_cap_release(instance->mem);
        instance->mem = mem;
        instance->status = JAVM_PAUSED;
        instance->yield_key = *key;
        instance->chain = bottom->instance->chain;
        instance->image_hash = bottom->instance->image_hash;
        if (bottom->instance->image != NULL)
            instance->image = javm_cap_retain(bottom->instance->image);
        memcpy(instance->regs, bottom->exec.regs, sizeof instance->regs);
        instance->pc = bottom->exec.pc;
        instance->gas_remaining = outermost ? vm->budget : 0;
        *paused = instance;
    }
    stack_release(vm, index);
    return instance != NULL ? JAVM_OK : JAVM_E_NOMEM;
}
