/* What reading and writing bundles share, and bundles against a directory. */
#include "loaders/bundle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- which hashes are there ------------------------------------------------------------- */

bool cap_index_init(struct cap_index *index, uint32_t capacity)
{
    uint64_t slots = 4;
    while (slots < (uint64_t)capacity * 2)
        slots *= 2;
    *index = (struct cap_index){.mask = (uint32_t)(slots - 1)};
    index->slots = calloc(slots, sizeof *index->slots);
    index->hashes = malloc(((size_t)capacity + 1) * sizeof *index->hashes);
    if (index->slots != NULL && index->hashes != NULL)
        return true;
    cap_index_free(index);
    return false;
}

void cap_index_free(struct cap_index *index)
{
    free(index->slots);
    free(index->hashes);
    *index = (struct cap_index){0};
}

/* The slot with this hash, or the empty one where it belongs. The table is at most half full, and
 * hashes are spread by construction; a forged file can at worst make its own reading slow by
 * finding BLAKE2b prefixes. */
static uint32_t cap_index_slot(const struct cap_index *index, const struct javm_hash *hash)
{
    uint32_t at;
    memcpy(&at, hash->bytes, sizeof at);
    for (at &= index->mask; index->slots[at] != 0; at = (at + 1) & index->mask)
        if (javm_hash_equal(&index->hashes[index->slots[at] - 1], hash))
            break;
    return at;
}

void cap_index_add(struct cap_index *index, const struct javm_hash *hash)
{
    uint32_t slot = cap_index_slot(index, hash);
    index->hashes[index->count++] = *hash;
    if (index->slots[slot] == 0)
        index->slots[slot] = index->count;
}

uint32_t cap_index_find(const struct cap_index *index, const struct javm_hash *hash)
{
    return index->slots[cap_index_slot(index, hash)] - 1;
}

/* ---- references ------------------------------------------------------------------------- */

struct reference_check {
    const struct cap_index *index;
    struct javm_cap *const *caps;
    char *text;
};

static bool is_earlier(void *ctx, const struct javm_hash *hash)
{
    const struct reference_check *check = ctx;
    if (cap_index_find(check->index, hash) != UINT32_MAX)
        return true;
    char hex[JAVM_HASH_TEXT];
    javm_hash_format(hash, hex);
    snprintf(check->text, BUNDLE_PROBLEM, "names %s, which is no earlier cap of the bundle", hex);
    return false;
}

/* The zero hash is of nothing. Others are there: is_earlier() has seen them. */
static bool is_kind(const struct reference_check *check, const struct javm_hash *hash,
                    enum javm_kind kind)
{
    return !javm_hash_is_zero(hash) &&
           javm_cap_kind(check->caps[cap_index_find(check->index, hash)]) == kind;
}

static enum javm_status check_image(const struct reference_check *check,
                                    const struct javm_image *image)
{
    for (uint32_t i = 0; i < image->pinned_count; i++)
        if (!is_kind(check, &image->pinned[i].hash, JAVM_DATA) &&
            !is_kind(check, &image->pinned[i].hash, JAVM_IMAGE)) {
            snprintf(check->text, BUNDLE_PROBLEM, "pinned[%" PRIu32 "] is neither Data nor Image",
                     i);
            return JAVM_E_KIND;
        }
    for (uint32_t i = 0; i < image->initial_count; i++)
        if (!is_kind(check, &image->initial[i].hash, JAVM_DATA)) {
            snprintf(check->text, BUNDLE_PROBLEM, "initial[%" PRIu32 "] is not a Data", i);
            return JAVM_E_KIND;
        }
    return JAVM_OK;
}

/* Handles have neither image nor root cnode: zero hashes are fine in both places. */
static enum javm_status check_instance(const struct reference_check *check,
                                       const struct javm_instance *instance)
{
    const char *problem = NULL;
    if (!javm_hash_is_zero(&instance->image_hash) &&
        !is_kind(check, &instance->image_hash, JAVM_IMAGE))
        problem = "image_hash is not of an Image";
    else if (!javm_hash_is_zero(&instance->root_cnode.hash) &&
             !is_kind(check, &instance->root_cnode.hash, JAVM_CNODE))
        problem = "root_cnode is not a CNode";
    if (problem == NULL)
        return JAVM_OK;
    snprintf(check->text, BUNDLE_PROBLEM, "%s", problem);
    return JAVM_E_KIND;
}

enum javm_status bundle_check_references(const struct cap_index *index,
                                         struct javm_cap *const *caps, const struct javm_cap *cap,
                                         char text[BUNDLE_PROBLEM])
{
    struct reference_check check = {index, caps, text};
    if (!javm_cap_each_hash(cap, is_earlier, &check))
        return JAVM_E_MISSING;
    if (javm_cap_kind(cap) == JAVM_IMAGE)
        return check_image(&check, javm_image_of(cap));
    if (javm_cap_kind(cap) == JAVM_INSTANCE)
        return check_instance(&check, javm_instance_of(cap));
    return JAVM_OK;
}

/* ---- names ------------------------------------------------------------------------------ */

/* Well-formed UTF-8 without NUL: shortest forms only, no surrogates, at most U+10FFFF. */
static bool is_utf8(const uint8_t *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint8_t lead = s[i++];
        if (lead == 0)
            return false;
        if (lead < 0x80)
            continue;
        unsigned more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
        if (lead < 0xC2 || lead > 0xF4 || len - i < more)
            return false;
        uint32_t value = lead & (0x3Fu >> more);
        for (unsigned k = 0; k < more; k++, i++) {
            if ((s[i] & 0xC0) != 0x80)
                return false;
            value = value << 6 | (s[i] & 0x3Fu);
        }
        if ((more == 2 && value < 0x800) || (more == 3 && value < 0x10000) || value > 0x10FFFF ||
            (value >= 0xD800 && value < 0xE000))
            return false;
    }
    return true;
}

const char *bundle_name_problem(const char *name, size_t len)
{
    if (len == 0)
        return "is empty";
    if (len > BUNDLE_MAX_NAME)
        return "is longer than 255 bytes";
    return is_utf8((const uint8_t *)name, len) ? "" : "is not UTF-8 without NUL";
}

const char *bundle_name_text(const char *name, char text[BUNDLE_NAME_TEXT])
{
    size_t i = 0;
    for (; i < BUNDLE_NAME_TEXT - 1 && name[i] != 0; i++)
        text[i] = (char)((unsigned char)name[i] < ' ' || name[i] == 0x7F ? '?' : name[i]);
    if (name[i] != 0)
        while (i > 0 && ((unsigned char)name[i] & 0xC0) == 0x80)
            i--;
    text[i] = 0;
    return text;
}

/* ---- bundles and directories ------------------------------------------------------------ */

void javm_bundle_clear(struct javm_bundle *bundle)
{
    for (uint32_t i = 0; i < bundle->cap_count; i++)
        javm_cap_release(bundle->caps[i]);
    for (uint32_t i = 0; bundle->roots != NULL && i < bundle->root_count; i++)
        free(bundle->roots[i].name);
    free(bundle->caps);
    free(bundle->roots);
    *bundle = (struct javm_bundle){0};
}

enum javm_status javm_bundle_publish(const struct javm_bundle *bundle, struct javm_dir_thread *dir,
                                     struct javm_hash **hashes, struct javm_error *err)
{
    struct javm_hash *out = malloc(((size_t)bundle->root_count + 1) * sizeof *out);
    if (out == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to publish a bundle");
    enum javm_status status = JAVM_OK;
    for (uint32_t i = 0; i < bundle->cap_count && status == JAVM_OK; i++)
        status = javm_directory_put(dir, bundle->caps[i], NULL, err);
    for (uint32_t i = 0; i < bundle->root_count && status == JAVM_OK; i++) {
        uint32_t cap = bundle->roots[i].cap;
        char name[BUNDLE_NAME_TEXT];
        if (cap >= bundle->cap_count)
            status = javm_fail(
                err, JAVM_E_RANGE, JAVM_NOWHERE, "root \"%s\" is cap %" PRIu32 " of %" PRIu32,
                bundle_name_text(bundle->roots[i].name, name), cap, bundle->cap_count);
        else /* remembered in the cap since it was put */
            status = javm_cap_hash(bundle->caps[cap], &out[i]);
    }
    if (status == JAVM_OK && hashes != NULL)
        *hashes = out;
    else
        free(out);
    return status;
}

/* Collecting is a depth-first walk with its own stack, since a chain of caps can be as deep as
 * memory allows. A hash is pushed once to be opened and, below its children, once more to be
 * closed. */
struct visit {
    struct javm_hash hash;
    struct javm_cap *cap; /* owned; NULL until the visit is opened */
};

struct collector {
    struct javm_dir_thread *dir;
    struct javm_bundle *bundle;
    struct cap_index seen; /* closed caps, in bundle order */
    uint32_t capacity;     /* of bundle->caps and of `seen` */
    struct visit *stack;
    size_t depth, stack_capacity;
};

static bool push(void *ctx, const struct javm_hash *hash)
{
    struct collector *c = ctx;
    if (c->depth == c->stack_capacity) {
        size_t capacity = c->stack_capacity == 0 ? 64 : c->stack_capacity * 2;
        struct visit *stack = realloc(c->stack, capacity * sizeof *stack);
        if (stack == NULL)
            return false;
        c->stack = stack;
        c->stack_capacity = capacity;
    }
    c->stack[c->depth++] = (struct visit){.hash = *hash};
    return true;
}

static bool push_unseen(void *ctx, const struct javm_hash *hash)
{
    struct collector *c = ctx;
    return cap_index_find(&c->seen, hash) != UINT32_MAX || push(c, hash);
}

static bool collector_grow(struct collector *c)
{
    if (c->bundle->cap_count < c->capacity)
        return true;
    if (c->capacity > UINT32_MAX / 4)
        return false;
    uint32_t capacity = c->capacity == 0 ? 16 : c->capacity * 2;
    struct cap_index bigger;
    struct javm_cap **caps = realloc(c->bundle->caps, capacity * sizeof *caps);
    if (caps == NULL)
        return false;
    c->bundle->caps = caps;
    if (!cap_index_init(&bigger, capacity))
        return false;
    for (uint32_t i = 0; i < c->seen.count; i++)
        cap_index_add(&bigger, &c->seen.hashes[i]);
    cap_index_free(&c->seen);
    c->seen = bigger;
    c->capacity = capacity;
    return true;
}

/* All its children are closed: the cap takes its place in the bundle. */
static enum javm_status collector_close(struct collector *c, struct javm_error *err)
{
    struct visit visit = c->stack[--c->depth];
    if (cap_index_find(&c->seen, &visit.hash) != UINT32_MAX) {
        javm_cap_release(visit.cap);
        return JAVM_OK;
    }
    if (!collector_grow(c)) {
        javm_cap_release(visit.cap);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to collect a bundle");
    }
    c->bundle->caps[c->bundle->cap_count++] = visit.cap;
    cap_index_add(&c->seen, &visit.hash);
    return JAVM_OK;
}

static enum javm_status collector_walk(struct collector *c, struct javm_error *err)
{
    while (c->depth > 0) {
        struct visit *top = &c->stack[c->depth - 1];
        enum javm_status status = JAVM_OK;
        if (top->cap != NULL) {
            status = collector_close(c, err);
        } else if (cap_index_find(&c->seen, &top->hash) != UINT32_MAX) {
            c->depth--;
        } else if ((top->cap = javm_directory_get(c->dir, &top->hash)) == NULL) {
            char text[JAVM_HASH_TEXT];
            javm_hash_format(&top->hash, text);
            status = javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE, "cap %s is not published", text);
        } else if (!javm_cap_each_hash(top->cap, push_unseen, c)) {
            status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to collect a bundle");
        }
        if (status != JAVM_OK)
            return status;
    }
    return JAVM_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct javm_bundle_root *)a)->name,
                  ((const struct javm_bundle_root *)b)->name);
}

enum javm_status javm_bundle_collect(struct javm_dir_thread *dir, const struct javm_hash *roots,
                                     const char *const *names, uint32_t count,
                                     struct javm_bundle *bundle, struct javm_error *err)
{
    *bundle = (struct javm_bundle){0};
    struct collector c = {.dir = dir, .bundle = bundle};
    bundle->roots = calloc((size_t)count + 1, sizeof *bundle->roots);
    enum javm_status status = JAVM_OK;
    if (bundle->roots == NULL || !collector_grow(&c))
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to collect a bundle");
    for (uint32_t i = 0; i < count && status == JAVM_OK; i++) {
        bundle->roots[i].name = strdup(names[i]);
        bundle->root_count++;
        if (bundle->roots[i].name == NULL || !push(&c, &roots[i]))
            status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to collect a bundle");
        else
            status = collector_walk(&c, err);
        if (status == JAVM_OK)
            bundle->roots[i].cap = cap_index_find(&c.seen, &roots[i]);
    }
    while (c.depth > 0)
        javm_cap_release(c.stack[--c.depth].cap);
    free(c.stack);
    cap_index_free(&c.seen);
    if (status != JAVM_OK)
        javm_bundle_clear(bundle);
    else
        qsort(bundle->roots, bundle->root_count, sizeof *bundle->roots, by_name);
    return status;
}
