/* Looking at values without changing them: what stands in a slot, and a digest of all that can be
 * reached from it. Neither depends on how a value is held. */
#include "tests/vm/kernel_fuzz.h"

struct javm_cap *view_cap(struct javm_dir_thread *dir, const struct value *value)
{
    if (value->kind == VALUE_HASH)
        return javm_directory_get(dir, &value->hash);
    return value->kind == VALUE_CAP ? javm_cap_retain(value->cap) : NULL;
}

static enum what what_instance(enum javm_instance_status status)
{
    return status == JAVM_IDLE ? W_IDLE : status == JAVM_PAUSED ? W_PAUSED : W_OTHER;
}

static enum what what_cap(const struct javm_cap *cap)
{
    switch (javm_cap_kind(cap)) {
    case JAVM_DATA:
        return W_DATA;
    case JAVM_CNODE:
        return W_CNODE;
    case JAVM_IMAGE:
        return W_IMAGE;
    case JAVM_TYPE:
        return W_TYPE;
    case JAVM_INSTANCE:
        break;
    }
    switch (javm_handle_kind(cap)) {
    case JAVM_HANDLE_NONE:
        return what_instance(javm_instance_of(cap)->status);
    case JAVM_HANDLE_GAS:
        return W_GAS;
    case JAVM_HANDLE_QUOTA:
        return W_QUOTA;
    case JAVM_HANDLE_YIELD_SENDER:
        return W_SENDER;
    case JAVM_HANDLE_YIELD_RECEIVER:
        return W_RECEIVER;
    case JAVM_HANDLE_FILE:
        return W_FILE;
    case JAVM_HANDLE_GAS_METER:
    case JAVM_HANDLE_STORAGE_QUOTA:
        break;
    }
    return W_OTHER;
}

enum what view_what(struct javm_dir_thread *dir, const struct value *value)
{
    switch (value->kind) {
    case VALUE_EMPTY:
        return W_EMPTY;
    case VALUE_NODE:
        return W_CNODE;
    case VALUE_INSTANCE:
        return what_instance(value->instance->status);
    case VALUE_RESERVED:
        return W_RESERVED;
    case VALUE_HASH:
    case VALUE_CAP:
        break;
    }
    struct javm_cap *cap = view_cap(dir, value);
    const enum what what = cap != NULL ? what_cap(cap) : W_OTHER;
    javm_cap_release(cap);
    return what;
}

/* ---- slots ------------------------------------------------------------------------------ */

struct slots view_node(struct node *node)
{
    return (struct slots){.node = node, .count = (uint32_t)node->used};
}

bool view_slots(struct javm_dir_thread *dir, const struct value *value, struct slots *slots)
{
    *slots = (struct slots){0};
    if (value->kind == VALUE_NODE) {
        *slots = view_node(value->node);
        return true;
    }
    slots->cnode = view_cap(dir, value);
    if (slots->cnode != NULL && javm_cap_kind(slots->cnode) == JAVM_CNODE) {
        slots->count = javm_cnode_count(slots->cnode);
        return true;
    }
    view_end(slots);
    return false;
}

void view_slot(struct slots *slots, uint32_t i, struct javm_key *key, struct value *value)
{
    if (slots->node != NULL) {
        const struct node_slot *slot = NULL;
        if (i < slots->at) {
            slots->at = 0;
            slots->last = (struct node_key){0, 0};
        }
        for (; slots->at <= i; slots->at++) {
            slot = node_next(slots->node, &slots->last);
            REQUIRE(slot != NULL);
            slots->last = slot->key;
        }
        *key = node_javm_key(&slot->key);
        *value = slot->value;
        return;
    }
    const struct javm_target *target = javm_cnode_at(slots->cnode, i, key);
    REQUIRE(target->kind == JAVM_TARGET_HASH);
    *value = (struct value){.kind = VALUE_HASH, {.hash = target->hash}};
}

void view_end(struct slots *slots)
{
    javm_cap_release(slots->cnode);
    slots->cnode = NULL;
}

bool view_at(const struct javm_vm *vm, const struct entry *e, uint64_t packed, struct value *value)
{
    struct path path;
    path_parse(packed, &path);
    const struct javm_image *pins =
        e->instance->image != NULL ? javm_image_of(e->instance->image) : running_image(e);
    const struct javm_pin *pin = javm_image_pinned(pins, &path.keys[0]);
    *value = (struct value){.kind = VALUE_EMPTY};
    if (pin != NULL) {
        *value = (struct value){.kind = VALUE_HASH, {.hash = pin->hash}};
        return path.count == 1;
    }
    if (path.count == 1 && path_is_slot0(&path)) {
        *value = e->slot0;
        return true;
    }
    struct value at = {.kind = VALUE_NODE, {.node = e->instance->root}};
    for (uint32_t i = 0; i < path.count; i++) {
        struct slots slots;
        if (!view_slots(vm->dir, &at, &slots))
            return false;
        at.kind = VALUE_EMPTY;
        for (uint32_t k = 0; k < slots.count; k++) {
            struct javm_key key;
            struct value found;
            view_slot(&slots, k, &key, &found);
            if (javm_key_compare(&key, &path.keys[i]) == 0)
                at = found;
        }
        view_end(&slots);
    }
    *value = at;
    return true;
}

/* ---- digests ---------------------------------------------------------------------------- */

/* What is remembered: of caps by their hash, for as long as the table lives; of objects by where
 * they are, for one digest. A place that is taken is overwritten. */
#define CAP_PLACES    4096u
#define OBJECT_PLACES 1024u
struct digests {
    struct {
        struct javm_hash hash;
        uint64_t digest;
    } caps[CAP_PLACES];
    struct {
        const struct object *object;
        uint64_t turn, digest;
    } objects[OBJECT_PLACES];
    uint64_t turn;
    uint32_t reserved; /* slots, of the last digest */
    bool broken;       /* a count of them in an object is wrong */
};

bool digests_reserved(const struct digests *digests, uint32_t *count)
{
    *count = digests->reserved;
    return !digests->broken;
}

struct digests *digests_new(void)
{
    struct digests *digests = calloc(1, sizeof *digests);
    REQUIRE(digests != NULL);
    return digests;
}

void digests_free(struct digests *digests)
{
    free(digests);
}

static uint64_t word_of(const struct javm_hash *hash)
{
    uint64_t word;
    memcpy(&word, hash->bytes, sizeof word);
    return word;
}

static uint64_t digest_of_key(const struct javm_key *key)
{
    return digest_mix(javm_key_pack(key), key->len);
}

static uint64_t walk(struct digests *digests, struct javm_dir_thread *dir,
                     const struct value *value);

static uint64_t digest_slots(struct digests *digests, struct javm_dir_thread *dir,
                             struct slots *slots)
{
    uint64_t digest = 0xC0DE;
    for (uint32_t i = 0; i < slots->count; i++) {
        struct javm_key key;
        struct value value;
        view_slot(slots, i, &key, &value);
        digest = digest_mix(digest, digest_of_key(&key));
        digest = digest_mix(digest, walk(digests, dir, &value));
    }
    return digest;
}

/* The fields that objects and caps have in common. */
struct instance_fields {
    const struct javm_hash *chain, *image_hash;
    const struct javm_cap *mem;
    const uint64_t *regs;
    uint64_t pc, gas, status;
    const struct javm_key *key;
};

static uint64_t digest_fields(const struct instance_fields *f, uint64_t root)
{
    struct javm_hash mem;
    REQUIRE(javm_cap_hash(f->mem, &mem) == JAVM_OK);
    uint64_t digest = digest_mix(word_of(f->chain), word_of(f->image_hash));
    digest = digest_mix(digest, root);
    digest = digest_mix(digest, word_of(&mem));
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        digest = digest_mix(digest, f->regs[i]);
    digest = digest_mix(digest, f->pc);
    digest = digest_mix(digest, f->gas);
    digest = digest_mix(digest, f->status);
    return digest_mix(digest, digest_of_key(f->key));
}

static uint64_t digest_object(struct digests *digests, struct javm_dir_thread *dir,
                              const struct value *value)
{
    const struct object *object =
        value->kind == VALUE_NODE ? &value->node->object : &value->instance->object;
    const size_t place = ((uintptr_t)object >> 4) % OBJECT_PLACES;
    if (digests->objects[place].object == object && digests->objects[place].turn == digests->turn)
        return digests->objects[place].digest;
    uint64_t digest;
    const uint32_t before = digests->reserved;
    const struct node *node = value->kind == VALUE_NODE ? value->node : value->instance->root;
    if (value->kind == VALUE_NODE) {
        struct slots slots = view_node(value->node);
        digest = digest_slots(digests, dir, &slots);
    } else {
        const struct instance *i = value->instance;
        struct slots root = view_node(i->root);
        const struct instance_fields fields = {.chain = &i->chain,
                                               .image_hash = &i->image_hash,
                                               .mem = i->mem,
                                               .regs = i->regs,
                                               .pc = i->pc,
                                               .gas = i->gas_remaining,
                                               .status = i->status,
                                               .key = &i->yield_key};
        digest = digest_fields(&fields, digest_slots(digests, dir, &root));
    }
    digests->broken |= node->reserved != digests->reserved - before;
    digests->objects[place].object = object;
    digests->objects[place].turn = digests->turn;
    digests->objects[place].digest = digest;
    return digest;
}

static uint64_t digest_cap(struct digests *digests, struct javm_dir_thread *dir,
                           const struct javm_cap *cap)
{
    struct javm_hash hash;
    REQUIRE(javm_cap_hash(cap, &hash) == JAVM_OK);
    const enum javm_kind kind = javm_cap_kind(cap);
    if (kind != JAVM_CNODE && kind != JAVM_INSTANCE)
        return word_of(&hash);
    const size_t place = word_of(&hash) % CAP_PLACES;
    if (javm_hash_equal(&digests->caps[place].hash, &hash))
        return digests->caps[place].digest;
    uint64_t digest;
    if (kind == JAVM_CNODE) {
        const struct value value = {.kind = VALUE_CAP, {.cap = javm_cap_retain(cap)}};
        struct slots slots;
        REQUIRE(view_slots(dir, &value, &slots));
        digest = digest_slots(digests, dir, &slots);
        view_end(&slots);
        javm_cap_release(value.cap);
    } else {
        const struct javm_instance *i = javm_instance_of(cap);
        const struct value root = {.kind = VALUE_HASH, {.hash = i->root_cnode.hash}};
        const struct instance_fields fields = {.chain = &i->image_hash_chain,
                                               .image_hash = &i->image_hash,
                                               .mem = i->mem,
                                               .regs = i->regs,
                                               .pc = i->pc,
                                               .gas = i->gas_remaining,
                                               .status = i->status,
                                               .key = &i->yield_key};
        digest = digest_fields(&fields, walk(digests, dir, &root));
    }
    digests->caps[place].hash = hash;
    digests->caps[place].digest = digest;
    return digest;
}

static uint64_t walk(struct digests *digests, struct javm_dir_thread *dir,
                     const struct value *value)
{
    switch (value->kind) {
    case VALUE_EMPTY:
        return 1;
    case VALUE_RESERVED:
        digests->reserved++;
        return 2;
    case VALUE_NODE:
    case VALUE_INSTANCE:
        return digest_object(digests, dir, value);
    case VALUE_HASH: {
        const size_t place = word_of(&value->hash) % CAP_PLACES;
        if (javm_hash_equal(&digests->caps[place].hash, &value->hash))
            return digests->caps[place].digest;
        break;
    }
    case VALUE_CAP:
        break;
    }
    struct javm_cap *cap = view_cap(dir, value);
    const uint64_t digest = cap != NULL ? digest_cap(digests, dir, cap) : word_of(&value->hash);
    javm_cap_release(cap);
    return digest;
}

static void begin(struct digests *digests)
{
    digests->turn++;
    digests->reserved = 0;
    digests->broken = false;
}

uint64_t digest_value(struct digests *digests, struct javm_dir_thread *dir,
                      const struct value *value)
{
    begin(digests);
    return walk(digests, dir, value);
}

static uint64_t digest_entry(struct digests *digests, struct javm_vm *vm, const struct entry *e)
{
    uint64_t digest = digest_mix(e->kind, e->owner);
    if (e->kind == ENTRY_REFERENCE)
        return digest_mix(digest_mix(digest, digest_of_key(&e->key)), e->by_kernel);
    const struct value self = {.kind = VALUE_INSTANCE, {.instance = e->instance}};
    digest = digest_mix(digest, walk(digests, vm->dir, &self));
    digest = digest_mix(digest, walk(digests, vm->dir, &e->slot0));
    digest = digest_mix(digest, walk(digests, vm->dir, &e->given));
    if (e->catches != NULL)
        digest = digest_mix(digest, digest_cap(digests, vm->dir, e->catches));
    digest = digest_mix(digest, word_of(&e->program->image_hash));
    const uint64_t numbers[] = {e->owner != NO_ENTRY ? e->home : 0,
                                e->scope,
                                e->active,
                                e->replaced,
                                e->unpaid,
                                e->exec.pc};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        digest = digest_mix(digest, numbers[i]);
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        digest = digest_mix(digest, e->exec.regs[i]);
    return digest;
}

uint64_t digest_stack(struct digests *digests, struct javm_vm *vm)
{
    uint64_t digest = digest_mix(vm->depth, vm->payer);
    begin(digests);
    for (uint32_t i = 0; i < vm->depth; i++)
        digest = digest_mix(digest, digest_entry(digests, vm, &vm->entries[i]));
    digest = digest_mix(digest, vm->payer != PAYER_BUDGET ? vm->budget : 0);
    return digest_mix(digest, vm->spent);
}

uint64_t digest_running(struct javm_vm *vm)
{
    const struct entry *e = running(vm);
    const uint32_t *dirty;
    uint64_t digest = digest_mix(e->exec.pc, e->exec.gas);
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        digest = digest_mix(digest, e->exec.regs[i]);
    const size_t count = javm_memory_dirty(e->space->memory, &dirty);
    for (size_t i = 0; i < count; i++) {
        uint64_t words[PAGE / sizeof(uint64_t)];
        digest = digest_mix(digest, dirty[i]);
        memcpy(words, javm_memory_page(e->space->memory, dirty[i]), PAGE);
        for (size_t k = 0; k < PAGE / sizeof *words; k++)
            digest = digest_mix(digest, words[k]);
    }
    return digest;
}
