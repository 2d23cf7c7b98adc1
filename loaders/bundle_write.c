/* A bundle to bytes. What is written can be read again: the same rules are checked here. Format:
 * docs/formats.md. */
#include "loaders/bundle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "loaders/bytes.h"

static void write_data(struct writer *out, const struct javm_cap *data)
{
    uint64_t pages = javm_data_pages(data);
    writer_le(out, pages * JAVM_PAGE_SIZE, 8);
    size_t count_at = out->len;
    uint32_t stored = 0;
    writer_le(out, 0, 4);
    for (uint64_t page = 0; page < pages; page++) {
        const uint8_t *bytes = javm_data_page(data, page);
        if (bytes == NULL)
            continue;
        writer_le(out, page, 4);
        writer_put(out, bytes, JAVM_PAGE_SIZE);
        stored++;
    }
    if (!out->failed)
        put_le(out->bytes + count_at, stored, 4);
}

static void write_key(struct writer *out, const struct javm_key *key)
{
    writer_le(out, key->len, 1);
    writer_put(out, key->bytes, key->len);
}

static void write_cnode(struct writer *out, const struct javm_cap *cnode)
{
    uint32_t count = javm_cnode_count(cnode);
    writer_le(out, count, 4);
    for (uint32_t i = 0; i < count; i++) {
        struct javm_key key;
        const struct javm_target *target = javm_cnode_at(cnode, i, &key);
        write_key(out, &key);
        writer_put(out, target->hash.bytes, JAVM_HASH_BYTES);
    }
}

static void write_instance(struct writer *out, const struct javm_instance *instance)
{
    writer_put(out, instance->image_hash_chain.bytes, JAVM_HASH_BYTES);
    writer_put(out, instance->image_hash.bytes, JAVM_HASH_BYTES);
    writer_put(out, instance->root_cnode.hash.bytes, JAVM_HASH_BYTES);
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        writer_le(out, instance->regs[i], 8);
    writer_le(out, instance->pc, 8);
    writer_le(out, instance->gas_remaining, 8);
    writer_le(out, instance->status, 1);
    write_key(out, &instance->yield_key);
    write_data(out, instance->mem);
}

static void write_image(struct writer *out, const struct javm_cap *image)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (javm_image_encode(image, &bytes, &len) != JAVM_OK) {
        out->failed = true;
        return;
    }
    writer_put(out, bytes, len);
    free(bytes);
}

static void write_cap(struct writer *out, const struct javm_cap *cap)
{
    writer_le(out, javm_cap_kind(cap), 1);
    size_t length_at = out->len;
    writer_le(out, 0, 8);
    switch (javm_cap_kind(cap)) {
    case JAVM_INSTANCE:
        write_instance(out, javm_instance_of(cap));
        break;
    case JAVM_IMAGE:
        write_image(out, cap);
        break;
    case JAVM_DATA:
        write_data(out, cap);
        break;
    case JAVM_CNODE:
        write_cnode(out, cap);
        break;
    case JAVM_TYPE:
        writer_put(out, javm_type_chain(cap)->bytes, JAVM_HASH_BYTES);
        break;
    }
    if (!out->failed)
        put_le(out->bytes + length_at, out->len - length_at - 8, 8);
}

/* ---- rules ------------------------------------------------------------------------------ */

static enum javm_status check_order(const struct javm_bundle *bundle, struct javm_error *err)
{
    struct cap_index index;
    if (!cap_index_init(&index, bundle->cap_count))
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to write a bundle");
    enum javm_status status = JAVM_OK;
    for (uint32_t i = 0; i < bundle->cap_count && status == JAVM_OK; i++) {
        const struct javm_cap *cap = bundle->caps[i];
        struct javm_hash hash;
        char problem[BUNDLE_PROBLEM];
        status = javm_cap_hash(cap, &hash);
        if (status != JAVM_OK)
            snprintf(problem, sizeof problem, "%s",
                     status == JAVM_E_LIVE ? "holds a live CapRef: settle it first"
                                           : "cannot be hashed");
        else
            status = bundle_check_references(&index, bundle->caps, cap, problem);
        if (status == JAVM_OK)
            cap_index_add(&index, &hash);
        else
            javm_fail(err, status, JAVM_NOWHERE, "cap %" PRIu32 " (%s) %s", i,
                      javm_kind_name(javm_cap_kind(cap)), problem);
    }
    cap_index_free(&index);
    return status;
}

static int by_name(const void *a, const void *b)
{
    const struct javm_bundle_root *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* *sorted (malloc'ed, borrowed entries) is the roots by name. */
static enum javm_status sort_roots(const struct javm_bundle *bundle,
                                   const struct javm_bundle_root ***sorted, struct javm_error *err)
{
    const struct javm_bundle_root **list =
        malloc(((size_t)bundle->root_count + 1) * sizeof(const struct javm_bundle_root *));
    if (list == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to write a bundle");
    char text[BUNDLE_NAME_TEXT];
    enum javm_status status = JAVM_OK;
    for (uint32_t i = 0; i < bundle->root_count && status == JAVM_OK; i++) {
        const struct javm_bundle_root *root = list[i] = &bundle->roots[i];
        const char *problem = bundle_name_problem(root->name, strlen(root->name));
        if (*problem != 0)
            status = javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE, "root %" PRIu32 ": its name %s", i,
                               problem);
        else if (root->cap >= bundle->cap_count)
            status = javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                               "root \"%s\" names cap %" PRIu32 " of %" PRIu32,
                               bundle_name_text(root->name, text), root->cap, bundle->cap_count);
    }
    if (status == JAVM_OK)
        qsort(list, bundle->root_count, sizeof(const struct javm_bundle_root *), by_name);
    for (uint32_t i = 1; i < bundle->root_count && status == JAVM_OK; i++)
        if (strcmp(list[i - 1]->name, list[i]->name) == 0)
            status = javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE, "two roots are named \"%s\"",
                               bundle_name_text(list[i]->name, text));
    if (status == JAVM_OK)
        *sorted = list;
    else
        free(list);
    return status;
}

enum javm_status javm_bundle_encode(const struct javm_bundle *bundle, uint8_t **bytes, size_t *len,
                                    struct javm_error *err)
{
    const struct javm_bundle_root **roots = NULL;
    enum javm_status status = check_order(bundle, err);
    if (status == JAVM_OK)
        status = sort_roots(bundle, &roots, err);
    if (status != JAVM_OK)
        return status;
    struct writer out = {0};
    writer_put(&out, BUNDLE_MAGIC, 8);
    writer_le(&out, BUNDLE_VERSION, 4);
    writer_le(&out, bundle->cap_count, 4);
    writer_le(&out, bundle->root_count, 4);
    writer_le(&out, 0, 4);
    for (uint32_t i = 0; i < bundle->cap_count; i++)
        write_cap(&out, bundle->caps[i]);
    for (uint32_t i = 0; i < bundle->root_count; i++) {
        size_t n = strlen(roots[i]->name);
        writer_le(&out, n, 1);
        writer_put(&out, roots[i]->name, n);
        writer_le(&out, roots[i]->cap, 4);
    }
    free(roots);
    if (!out.failed) {
        struct javm_bytes piece = {out.bytes, out.len};
        struct javm_hash sum = javm_hash_pieces(&piece, 1);
        writer_put(&out, sum.bytes, JAVM_HASH_BYTES);
    }
    if (out.failed) {
        writer_free(&out);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to write a bundle");
    }
    *bytes = out.bytes;
    *len = out.len;
    return JAVM_OK;
}
