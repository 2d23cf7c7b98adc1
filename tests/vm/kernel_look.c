/* What a guest has in its slots, and what an operation could use of it. */
#include "tests/vm/kernel_oracle.h"

static void see(struct seen *seen, uint64_t path, enum what what, bool pinned)
{
    if (seen->count < SEEN)
        seen->at[seen->count++] = (struct place){path, what, pinned};
}

/* `prefix`: the path's bytes for the CNodes so far, `depth` of them. */
static void look_below(struct oracle *o, const struct value *value, uint64_t prefix, unsigned depth)
{
    struct slots slots;
    if (depth > 3 || !view_slots(o->vm->dir, value, &slots))
        return;
    if (o->seen.node_count < 16)
        o->seen.nodes[o->seen.node_count++] = prefix;
    for (uint32_t i = 0; i < slots.count && i < 12; i++) {
        struct javm_key key;
        struct value below;
        view_slot(&slots, i, &key, &below);
        if (key.len != 1)
            continue;
        const enum what what = view_what(o->vm->dir, &below);
        see(&o->seen, prefix | key.bytes[0], what, false);
        if (what == W_CNODE && key.bytes[0] != 0)
            look_below(o, &below, prefix | (uint64_t)key.bytes[0] << (8 * (depth + 1)), depth + 1);
    }
    view_end(&slots);
}

static const struct javm_image *pins_of(const struct entry *e)
{
    return e->instance->image != NULL ? javm_image_of(e->instance->image) : running_image(e);
}

void oracle_look(struct oracle *o)
{
    const struct javm_image *image = pins_of(o->e);
    struct slots root = view_node(o->e->instance->root);
    o->seen.count = o->seen.node_count = 0;
    for (uint32_t i = 0; i < image->pinned_count; i++) {
        const struct value value = {.kind = VALUE_HASH, {.hash = image->pinned[i].hash}};
        see(&o->seen, javm_key_pack(&image->pinned[i].key), view_what(o->vm->dir, &value), true);
    }
    const struct javm_key zero = javm_key_from_u64(0);
    if (javm_image_pinned(image, &zero) == NULL)
        see(&o->seen, 0, view_what(o->vm->dir, &o->e->slot0), false);
    for (uint32_t i = 0; i < root.count; i++) {
        struct javm_key key;
        struct value value;
        view_slot(&root, i, &key, &value);
        if (key.len != 1 || key.bytes[0] == 0 || javm_image_pinned(image, &key) != NULL)
            continue;
        const enum what what = view_what(o->vm->dir, &value);
        see(&o->seen, key.bytes[0], what, false);
        if (what == W_CNODE)
            look_below(o, &value, (uint64_t)key.bytes[0] << 8, 1);
    }
}

/* ---- choosing operands ------------------------------------------------------------------ */

static bool taken(const struct seen *seen, uint64_t path)
{
    for (uint32_t i = 0; i < seen->count; i++)
        if (seen->at[i].path == path && seen->at[i].what != W_EMPTY)
            return true;
    return false;
}

bool oracle_slot(struct oracle *o, unsigned kinds, bool leave, uint64_t *path)
{
    const uint32_t first = (uint32_t)choose(o->choices, o->seen.count + 1);
    for (uint32_t i = 0; i < o->seen.count; i++) {
        const struct place *place = &o->seen.at[(first + i) % o->seen.count];
        if (!(kinds & W_BIT(place->what)) || (leave && place->pinned))
            continue;
        *path = place->path;
        return true;
    }
    return false;
}

uint64_t oracle_free_slot(struct oracle *o)
{
    for (unsigned tries = 0; tries < 20; tries++) {
        uint64_t path = between(o->choices, 1, KEY_LIMIT - 1);
        if (o->seen.node_count != 0 && likely(o->choices, 25))
            path = o->seen.nodes[choose(o->choices, o->seen.node_count)] | choose(o->choices, 8);
        else if (likely(o->choices, 4))
            path = 0;
        if (!taken(&o->seen, path))
            return path;
    }
    return 40 + choose(o->choices, 200);
}

bool oracle_address(struct oracle *o, bool write, uint64_t *address)
{
    const struct layout *layout = o->e->layout;
    const uint32_t first = (uint32_t)choose(o->choices, layout->region_count);
    for (uint32_t i = 0; i < layout->region_count; i++) {
        const struct javm_region *r = &layout->regions[(first + i) % layout->region_count];
        if (r->pages == 0 || (write && !r->writable))
            continue;
        const uint64_t page = r->first_page + choose(o->choices, r->pages);
        *address = page * PAGE + choose(o->choices, 4) * 1000;
        return true;
    }
    return false;
}

uint64_t oracle_endpoints(struct oracle *o, uint64_t path)
{
    struct value value;
    uint64_t count = 0;
    if (!view_at(o->vm, o->e, path, &value))
        return 0;
    if (value.kind == VALUE_INSTANCE && value.instance->image != NULL)
        return javm_image_of(value.instance->image)->endpoint_count;
    struct javm_cap *cap = view_cap(o->vm->dir, &value);
    const struct javm_hash *hash = value.kind == VALUE_INSTANCE ? &value.instance->image_hash
                                   : cap != NULL && javm_cap_kind(cap) == JAVM_INSTANCE
                                       ? &javm_instance_of(cap)->image_hash
                                       : NULL;
    struct javm_cap *image = hash != NULL ? javm_directory_get(o->vm->dir, hash) : NULL;
    if (image != NULL && javm_cap_kind(image) == JAVM_IMAGE)
        count = javm_image_of(image)->endpoint_count;
    javm_cap_release(image);
    javm_cap_release(cap);
    return count;
}

struct javm_key oracle_key_in(struct oracle *o, uint64_t path)
{
    struct javm_key best = fuzz_meter_key(choose(o->choices, FUZZ_KEYS));
    struct value value;
    struct slots slots;
    if (!view_at(o->vm, o->e, path, &value) || !view_slots(o->vm->dir, &value, &slots))
        return best;
    const uint32_t first = slots.count != 0 ? (uint32_t)choose(o->choices, slots.count) : 0;
    for (uint32_t i = 0; i < slots.count; i++) {
        struct javm_key key;
        view_slot(&slots, (first + i) % slots.count, &key, &value);
        if (i == 0 || key.len > 1)
            best = key;
    }
    view_end(&slots);
    return best;
}
