/* CNodes: trees of parts of at most 32 slots each, as in a B+ tree: leaves with slots, and above
 * them parts that name parts. Parts are counted, and shared by the nodes that were copied from one
 * another; on its way to a slot that it changes a node makes the parts its own. Most nodes are one
 * leaf. */
#include <stdlib.h>
#include <string.h>

#include "vm/value_impl.h"

#define PART_ROOM  32u
#define FIRST_ROOM 4u
/* Parts are split in halves, so this many levels hold more slots than there can be keys. */
#define LEVELS     20u

struct part_ref {
    struct node_key from;   /* no key of the part is before it; says nothing of the first part */
    struct node_part *part; /* one count */
};

struct node_part {
    uint32_t count;
    uint8_t height; /* 0: a leaf */
    uint8_t used, room;
    struct node_part *next;   /* of those that are being given up */
    struct node_slot slots[]; /* of a leaf: `room` of them */
};

/* What is there instead of slots above the leaves. */
static struct part_ref *refs_of(struct node_part *part)
{
    return (struct part_ref *)(void *)part->slots;
}

/* ---- keys ------------------------------------------------------------------------------- */

static struct node_key key_of(const struct javm_key *key)
{
    uint64_t packed;
    _Static_assert(JAVM_MAX_KEY_LEN == sizeof packed, "a key is one number");
    memcpy(&packed, key->bytes, sizeof packed);
    return (struct node_key){__builtin_bswap64(packed), key->len}; /* zeros behind the end */
}

struct javm_key node_javm_key(const struct node_key *key)
{
    const uint64_t packed = __builtin_bswap64(key->bytes);
    struct javm_key out = {.len = (uint8_t)key->len};
    memcpy(out.bytes, &packed, sizeof packed);
    return out;
}

static bool is_before(const struct node_key *a, const struct node_key *b)
{
    return a->bytes < b->bytes || (a->bytes == b->bytes && a->len < b->len);
}

/* Of a leaf: the first slot whose key is not before this one. */
static unsigned slot_at(const struct node_part *leaf, const struct node_key *key)
{
    unsigned low = 0, high = leaf->used;
    while (low < high) {
        const unsigned middle = (low + high) / 2;
        if (is_before(&leaf->slots[middle].key, key))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct node_part *leaf, unsigned at, const struct node_key *key)
{
    return at < leaf->used && leaf->slots[at].key.bytes == key->bytes &&
           leaf->slots[at].key.len == key->len;
}

/* Of a part above the leaves: where the key is, or would be. */
static unsigned part_at(struct node_part *part, const struct node_key *key)
{
    unsigned low = 1, high = part->used;
    while (low < high) {
        const unsigned middle = (low + high) / 2;
        if (is_before(key, &refs_of(part)[middle].from))
            high = middle;
        else
            low = middle + 1;
    }
    return low - 1;
}

/* ---- parts ------------------------------------------------------------------------------ */

static size_t part_bytes(unsigned height, unsigned room)
{
    const size_t each = height == 0 ? sizeof(struct node_slot) : sizeof(struct part_ref);
    return offsetof(struct node_part, slots) + room * each;
}

static struct node_part *part_new(unsigned height, unsigned room)
{
    struct node_part *part = malloc(part_bytes(height, room));
    if (part == NULL)
        return NULL;
    part->count = 1;
    part->height = (uint8_t)height;
    part->used = 0;
    part->room = (uint8_t)room;
    return part;
}

void parts_leave(struct node_part *part, struct garbage *garbage)
{
    struct node_part *list = NULL;
    if (part != NULL && --part->count == 0) {
        part->next = NULL;
        list = part;
    }
    while (list != NULL) {
        part = list;
        list = part->next;
        for (unsigned i = 0; i < part->used; i++) {
            if (part->height == 0) {
                value_leave(&part->slots[i].value, garbage);
            } else if (--refs_of(part)[i].part->count == 0) {
                refs_of(part)[i].part->next = list;
                list = refs_of(part)[i].part;
            }
        }
        free(part);
    }
}

/* Make *at one that nobody else holds. False: out of memory. */
static bool part_own(struct node_part **at)
{
    struct node_part *part = *at;
    if (part->count == 1)
        return true;
    /* One more: a copy is made to be changed. */
    const unsigned room =
        part->height != 0 || part->used == PART_ROOM ? PART_ROOM : part->used + 1u;
    struct node_part *copy = part_new(part->height, room);
    if (copy == NULL)
        return false;
    copy->used = part->used;
    if (part->height == 0)
        memcpy(copy->slots, part->slots, part->used * sizeof *part->slots);
    else
        memcpy(refs_of(copy), refs_of(part), part->used * sizeof *refs_of(part));
    for (unsigned i = 0; i < part->used; i++) {
        if (part->height == 0)
            value_retain(&copy->slots[i].value);
        else
            refs_of(copy)[i].part->count++;
    }
    part->count--;
    *at = copy;
    return true;
}

/* Room for one more slot in a leaf that is not full. */
static bool leaf_room(struct node_part **at)
{
    struct node_part *leaf = *at;
    if (leaf->used < leaf->room)
        return true;
    const unsigned room = leaf->room * 2u < PART_ROOM ? leaf->room * 2u : PART_ROOM;
    leaf = realloc(leaf, part_bytes(0, room));
    if (leaf == NULL)
        return false;
    leaf->room = (uint8_t)room;
    *at = leaf;
    return true;
}

/* Move the upper half of a full part, parent's i-th one, to a new one behind it. The parent has
 * room. False: out of memory. */
static bool split(struct node_part *parent, unsigned i)
{
    struct node_part *low = refs_of(parent)[i].part;
    struct node_part *high = part_new(low->height, PART_ROOM);
    if (high == NULL)
        return false;
    const unsigned kept = PART_ROOM / 2;
    struct part_ref *ref = &refs_of(parent)[i + 1];
    memmove(ref + 1, ref, (parent->used - i - 1u) * sizeof *ref);
    ref->part = high;
    high->used = PART_ROOM - kept;
    low->used = kept;
    if (low->height == 0) {
        memcpy(high->slots, low->slots + kept, high->used * sizeof *high->slots);
        ref->from = high->slots[0].key;
    } else {
        memcpy(refs_of(high), refs_of(low) + kept, high->used * sizeof *refs_of(high));
        ref->from = refs_of(high)[0].from;
    }
    parent->used++;
    return true;
}

/* ---- nodes ------------------------------------------------------------------------------ */

struct node *node_new(void)
{
    struct node *node = calloc(1, sizeof *node);
    if (node != NULL)
        node->object.count = 1;
    return node;
}

struct value *node_find(const struct node *node, const struct javm_key *key)
{
    const struct node_key wanted = key_of(key);
    struct node_part *part = node->top;
    if (part == NULL)
        return NULL;
    while (part->height != 0)
        part = refs_of(part)[part_at(part, &wanted)].part;
    const unsigned at = slot_at(part, &wanted);
    return is_at(part, at, &wanted) ? &part->slots[at].value : NULL;
}

struct node_slot *node_next(const struct node *node, const struct node_key *behind)
{
    struct node_part *part = node->top, *right = NULL;             /* the part behind the way */
    const struct node_key from = {behind->bytes, behind->len + 1}; /* of all keys the next one */
    if (part == NULL)
        return NULL;
    while (part->height != 0) {
        const unsigned i = part_at(part, &from);
        if (i + 1u < part->used)
            right = refs_of(part)[i + 1].part;
        part = refs_of(part)[i].part;
    }
    const unsigned at = slot_at(part, &from);
    if (at < part->used)
        return &part->slots[at];
    if (right == NULL)
        return NULL;
    while (right->height != 0)
        right = refs_of(right)[0].part;
    return &right->slots[0];
}

/* The way to a key's leaf, every part on it the node's own. With `room`, parts that are full are
 * split, so that each has room for one more. Returns the leaf's depth, -1: out of memory. */
struct way {
    struct node_part **parts[LEVELS];
    unsigned at[LEVELS]; /* which one of the part above */
};
static int way_to(struct node *node, const struct node_key *key, bool room, struct way *way)
{
    if (room && node->top->used == PART_ROOM) {
        struct node_part *top = part_new(node->top->height + 1u, PART_ROOM);
        if (top == NULL)
            return -1;
        top->used = 1;
        refs_of(top)[0].part = node->top;
        node->top = top;
    }
    struct node_part **at = &node->top;
    int depth = 0;
    for (;; depth++) {
        way->parts[depth] = at;
        if (!part_own(at))
            return -1;
        struct node_part *part = *at;
        if (part->height == 0)
            return depth;
        unsigned i = part_at(part, key);
        if (room && refs_of(part)[i].part->used == PART_ROOM) {
            if (!part_own(&refs_of(part)[i].part) || !split(part, i))
                return -1;
            i += !is_before(key, &refs_of(part)[i + 1].from);
        }
        way->at[depth + 1] = i;
        at = &refs_of(part)[i].part;
    }
}

struct value *node_change(struct node *node, const struct javm_key *key)
{
    const struct node_key wanted = key_of(key);
    struct way way;
    if (node->top == NULL)
        return NULL;
    const int depth = way_to(node, &wanted, false, &way);
    if (depth < 0)
        return NULL;
    struct node_part *leaf = *way.parts[depth];
    const unsigned at = slot_at(leaf, &wanted);
    return is_at(leaf, at, &wanted) ? &leaf->slots[at].value : NULL;
}

/* Take a slot out of its leaf; parts that become empty go too. */
static void remove_slot(struct node *node, const struct way *way, int depth, unsigned at)
{
    struct node_part *part = *way->parts[depth];
    memmove(&part->slots[at], &part->slots[at + 1], (--part->used - at) * sizeof *part->slots);
    for (; part->used == 0 && depth > 0; depth--) {
        struct node_part *above = *way->parts[depth - 1];
        const unsigned i = way->at[depth];
        free(part);
        memmove(&refs_of(above)[i], &refs_of(above)[i + 1],
                (--above->used - i) * sizeof *refs_of(above));
        part = above;
    }
    if (depth == 0 && part->used == 0) {
        free(part);
        node->top = NULL;
    }
    node->used--;
}

static enum javm_status replace(struct node *node, const struct node_key *key, struct value *value)
{
    struct way way;
    const int depth = way_to(node, key, false, &way);
    if (depth < 0)
        return JAVM_E_NOMEM;
    struct node_part *leaf = *way.parts[depth];
    const unsigned at = slot_at(leaf, key);
    struct value before = leaf->slots[at].value;
    if (value->kind == VALUE_EMPTY)
        remove_slot(node, &way, depth, at);
    else
        value_move(&leaf->slots[at].value, value);
    value_drop(&before);
    return JAVM_OK;
}

static enum javm_status insert(struct node *node, const struct node_key *key, struct value *value)
{
    struct way way;
    if (node->top == NULL && (node->top = part_new(0, FIRST_ROOM)) == NULL)
        return JAVM_E_NOMEM;
    const int depth = way_to(node, key, true, &way);
    if (depth < 0 || !leaf_room(way.parts[depth]))
        return JAVM_E_NOMEM;
    struct node_part *leaf = *way.parts[depth];
    const unsigned at = slot_at(leaf, key);
    struct node_slot *slot = &leaf->slots[at];
    memmove(slot + 1, slot, (leaf->used++ - at) * sizeof *slot);
    slot->key = *key;
    value_move(&slot->value, value);
    node->used++;
    return JAVM_OK;
}

enum javm_status node_set(struct node *node, const struct javm_key *key, struct value *value)
{
    const struct node_key wanted = key_of(key);
    if (node_find(node, key) != NULL)
        return replace(node, &wanted, value);
    return value->kind != VALUE_EMPTY ? insert(node, &wanted, value) : JAVM_OK;
}

void object_forget_cap(struct object *object)
{
    javm_cap_release(object->cap);
    object->cap = NULL;
    object->published = false;
}

bool node_own(struct node **at)
{
    struct node *node = *at;
    if (node->object.count == 1) {
        object_forget_cap(&node->object);
        return true;
    }
    struct node *copy = node_new();
    if (copy == NULL)
        return false;
    copy->top = node->top;
    if (copy->top != NULL)
        copy->top->count++;
    copy->used = node->used;
    copy->reserved = node->reserved;
    node->object.count--;
    *at = copy;
    return true;
}
