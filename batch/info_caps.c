#include "batch/info_caps.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/text.h"
#include "javm/handle.h"

#define SLOTS_SHOWN   64 /* of one table */
#define KEYS_SHOWN    8  /* of one YieldReceiver */
#define PREFIX_DIGITS 12 /* of a hash that names a cap told elsewhere */

struct caps {
    const struct javm_bundle *bundle;
    struct place {
        struct javm_hash hash;
        uint32_t index;
    } * places;                            /* by hash */
    bool *told;                            /* by index */
    const struct javm_bundle_root **roots; /* by cap */
};

static int by_hash(const void *a, const void *b)
{
    return memcmp(((const struct place *)a)->hash.bytes, ((const struct place *)b)->hash.bytes,
                  JAVM_HASH_BYTES);
}

static int by_cap(const void *a, const void *b)
{
    const struct javm_bundle_root *x = *(const struct javm_bundle_root *const *)a;
    const struct javm_bundle_root *y = *(const struct javm_bundle_root *const *)b;
    return x->cap != y->cap ? (x->cap > y->cap) - (x->cap < y->cap) : strcmp(x->name, y->name);
}

struct caps *caps_new(const struct javm_bundle *bundle)
{
    struct caps *caps = calloc(1, sizeof *caps);
    if (caps == NULL)
        return NULL;
    caps->bundle = bundle;
    caps->places = malloc((bundle->cap_count + (size_t)1) * sizeof *caps->places);
    caps->told = calloc(bundle->cap_count + (size_t)1, sizeof *caps->told);
    caps->roots = malloc((bundle->root_count + (size_t)1) * sizeof(struct javm_bundle_root *));
    if (caps->places == NULL || caps->told == NULL || caps->roots == NULL) {
        caps_free(caps);
        return NULL;
    }
    for (uint32_t i = 0; i < bundle->cap_count; i++) {
        javm_cap_hash(bundle->caps[i], &caps->places[i].hash); /* caps of a bundle are settled */
        caps->places[i].index = i;
    }
    qsort(caps->places, bundle->cap_count, sizeof *caps->places, by_hash);
    for (uint32_t i = 0; i < bundle->root_count; i++)
        caps->roots[i] = &bundle->roots[i];
    qsort(caps->roots, bundle->root_count, sizeof(struct javm_bundle_root *), by_cap);
    return caps;
}

void caps_free(struct caps *caps)
{
    if (caps == NULL)
        return;
    free(caps->places);
    free(caps->told);
    free(caps->roots);
    free(caps);
}

/* The first root of that cap or of a later one. */
static uint32_t first_root(const struct caps *caps, uint32_t index)
{
    uint32_t low = 0, high = caps->bundle->root_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (caps->roots[middle]->cap < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool info_is_root(const struct caps *caps, uint32_t index)
{
    const uint32_t at = first_root(caps, index);
    return at < caps->bundle->root_count && caps->roots[at]->cap == index;
}

void info_put_roots(const struct caps *caps, uint32_t index)
{
    const uint32_t count = caps->bundle->root_count;
    for (uint32_t at = first_root(caps, index); at < count && caps->roots[at]->cap == index; at++)
        printf("  root \"%s\"", caps->roots[at]->name);
}

bool info_told(const struct caps *caps, uint32_t index)
{
    return caps->told[index];
}

/* The cap that a hash names, told from now on; NULL for the hash of nothing. */
static const struct javm_cap *named(struct caps *caps, const struct javm_hash *hash, bool tell)
{
    const struct place wanted = {*hash, 0};
    const struct place *found =
        bsearch(&wanted, caps->places, caps->bundle->cap_count, sizeof wanted, by_hash);
    if (found == NULL)
        return NULL;
    caps->told[found->index] |= tell;
    return caps->bundle->caps[found->index];
}

void info_row(const char *label, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    printf("  %-14s", label);
    vprintf(fmt, args);
    putchar('\n');
    va_end(args);
}

const char *info_key(const struct javm_key *key, char text[32])
{
    snprintf(text, 32, key->len == 1 ? "%" PRIu64 : "0x%" PRIx64, javm_key_pack(key));
    return text;
}

/* ---- what a slot names ------------------------------------------------------------------ */

/* As jobs files write keys of yields, meters and quotas. */
static void put_key_bytes(const struct javm_key *key)
{
    printf(" 0x");
    for (unsigned i = 0; i < key->len; i++)
        printf("%02x", key->bytes[i]);
}

static void put_receiver(const struct javm_cap *cap)
{
    struct javm_key *keys = NULL;
    size_t count = 0;
    if (javm_yield_receiver_keys(cap, &keys, &count) != JAVM_OK) {
        printf(", its keys cannot be read");
        return;
    }
    for (size_t i = 0; i < count && i < KEYS_SHOWN; i++)
        put_key_bytes(&keys[i]);
    if (count > KEYS_SHOWN)
        printf(" and %zu more", count - KEYS_SHOWN);
    if (count == 0)
        printf(" of nothing");
    free(keys);
}

/* Its name, and its key where it has one. */
static void put_handle(const struct javm_cap *cap, enum javm_handle handle)
{
    static const char *const NAMES[] = {
        "", "Gas", "Quota", "YieldSender", "YieldReceiver", "GasMeter", "StorageQuota", "File"};
    const struct javm_instance *fields = javm_instance_of(cap);
    struct javm_key key;
    printf("%s", NAMES[handle]);
    if (handle == JAVM_HANDLE_YIELD_RECEIVER)
        put_receiver(cap);
    else if (javm_key_unpack(fields->regs[0], fields->regs[1], &key))
        put_key_bytes(&key);
}

static void put_prefix(const struct javm_hash *hash)
{
    printf(" 0x");
    for (unsigned i = 0; i < PREFIX_DIGITS / 2; i++)
        printf("%02x", hash->bytes[i]);
}

static const char *status_name(enum javm_instance_status status)
{
    static const char *const STATUS[] = {"idle", "paused", "faulted"};
    return STATUS[status];
}

static void put_cap(const struct javm_cap *cap, const struct javm_hash *hash)
{
    char number[32];
    const enum javm_handle handle = javm_handle_kind(cap);
    if (handle != JAVM_HANDLE_NONE) {
        put_handle(cap, handle);
        return;
    }
    printf("%s", javm_kind_name(javm_cap_kind(cap)));
    put_prefix(hash);
    switch (javm_cap_kind(cap)) {
    case JAVM_DATA:
        printf("  %s pages", text_grouped(number, javm_data_pages(cap)));
        return;
    case JAVM_CNODE:
        printf("  %s slots", text_grouped(number, javm_cnode_count(cap)));
        return;
    case JAVM_INSTANCE:
        printf("  %s", status_name(javm_instance_of(cap)->status));
        return;
    case JAVM_TYPE:
        printf("  of");
        put_prefix(javm_type_chain(cap));
        return;
    case JAVM_IMAGE:
        return;
    }
}

/* Leaves are told where they are named; what has more to tell has a place of its own. */
static bool is_leaf(const struct javm_cap *cap)
{
    const enum javm_kind kind = javm_cap_kind(cap);
    return kind == JAVM_DATA || kind == JAVM_TYPE || javm_handle_kind(cap) != JAVM_HANDLE_NONE;
}

static void put_target(struct caps *caps, const struct javm_target *target)
{
    const struct javm_cap *cap =
        target->kind == JAVM_TARGET_HASH ? named(caps, &target->hash, false) : NULL;
    if (cap == NULL)
        printf("nothing");
    else
        put_cap(cap, &target->hash);
    if (cap != NULL && is_leaf(cap))
        named(caps, &target->hash, true);
}

/* ---- rows ------------------------------------------------------------------------------- */

void info_cnode(struct caps *caps, const struct javm_cap *cap)
{
    const uint32_t count = javm_cnode_count(cap);
    char text[32], label[48];
    if (count == 0)
        info_row("slots", "none");
    for (uint32_t i = 0; i < count && i < SLOTS_SHOWN; i++) {
        struct javm_key key;
        const struct javm_target *target = javm_cnode_at(cap, i, &key);
        snprintf(label, sizeof label, "slot %s", info_key(&key, text));
        printf("  %-14s", label);
        put_target(caps, target);
        putchar('\n');
    }
    if (count > SLOTS_SHOWN)
        info_row("...", "%s more slots", text_grouped(text, count - SLOTS_SHOWN));
}

void info_instance(struct caps *caps, const struct javm_cap *cap)
{
    const struct javm_instance *instance = javm_instance_of(cap);
    const enum javm_handle handle = javm_handle_kind(cap);
    const struct javm_hash *hash = &instance->root_cnode.hash;
    char number[32], text[JAVM_HASH_TEXT];
    if (handle != JAVM_HANDLE_NONE) {
        printf("  %-14s", "handle");
        put_handle(cap, handle);
        putchar('\n');
        return;
    }
    if (instance->status == JAVM_PAUSED) {
        printf("  %-14s%s, yielded", "status", status_name(instance->status));
        put_key_bytes(&instance->yield_key);
        putchar('\n');
        info_row("gas left", "%s", text_grouped(number, instance->gas_remaining));
    } else {
        info_row("status", "%s", status_name(instance->status));
    }
    javm_hash_format(&instance->image_hash, text);
    info_row("image", "%s", text);
    javm_hash_format(&instance->image_hash_chain, text);
    info_row("chain", "%s", text);
    info_row("memory", "%s pages", text_grouped(number, javm_data_pages(instance->mem)));
    info_row("pc", "0x%" PRIx64, instance->pc);
    const struct javm_cap *root = named(caps, hash, true);
    if (root == NULL || javm_cap_kind(root) != JAVM_CNODE)
        return;
    printf("  %-14s", "slots in");
    put_cap(root, hash);
    putchar('\n');
    info_cnode(caps, root);
}
