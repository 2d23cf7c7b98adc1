#include "rpc/put.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "javm/handle.h"
#include "javm/load.h"
#include "javm/vm.h"

void put_clear(struct put *put)
{
    free(put->roots);
    *put = (struct put){.roots = NULL};
}

static enum put_end send_archive(struct remote *remote, const uint8_t *bytes, size_t len,
                                 struct put *put, struct javm_hash *hash, struct javm_error *err)
{
    struct answer answer;
    if (remote_call(remote, JAVM_NUB_PUT_CAP, bytes, len, &answer, err) != JAVM_OK)
        return PUT_LOST;
    if (answer.number != JAVM_NUB_E_NONE) {
        put->refused = answer.number;
        *err = answer.err;
        return PUT_FAILED;
    }
    if (answer.len != sizeof *hash) {
        (void)javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE, "an answer of %zu bytes, expected %zu",
                        answer.len, sizeof *hash);
        return PUT_LOST;
    }
    memcpy(hash, answer.bytes, sizeof *hash);
    return PUT_DONE;
}

static enum put_end send_cap(struct remote *remote, struct javm_cap *cap, struct put *put,
                             struct javm_error *err)
{
    uint8_t *bytes;
    size_t len;
    struct javm_hash wanted, hash;
    if (javm_cap_hash(cap, &wanted) != JAVM_OK) {
        (void)javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "a cap cannot be hashed");
        return PUT_BAD_FILE;
    }
    if (javm_nub_encode_cap(cap, &bytes, &len, err) != JAVM_OK)
        return PUT_BAD_FILE;
    const enum put_end end = send_archive(remote, bytes, len, put, &hash, err);
    free(bytes);
    if (end != PUT_DONE || javm_hash_equal(&hash, &wanted))
        return end;
    (void)javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE, "the executor answers another hash");
    return PUT_LOST;
}

/* ---- bundles ---------------------------------------------------------------------------- */

/* What the root is, and what of it can be invoked. */
static enum javm_status look_at(struct javm_dir_thread *dir, struct put_root *root,
                                struct javm_error *err)
{
    struct javm_cap *cap = javm_directory_get(dir, &root->hash);
    if (cap == NULL)
        return javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE, "a root is not there");
    root->known = true;
    root->kind = javm_cap_kind(cap);
    root->instance = root->hash;
    root->runs = root->kind == JAVM_INSTANCE && javm_handle_kind(cap) == JAVM_HANDLE_NONE;
    javm_cap_release(cap);
    if (root->kind != JAVM_IMAGE)
        return JAVM_OK;
    root->runs = true;
    return javm_vm_instantiate(dir, &root->hash, &root->instance, err);
}

/* The roots of the bundle, and in *whole everything that they and their fresh Instances need. */
static enum javm_status gather(struct javm_dir_thread *dir, const struct javm_bundle *bundle,
                               struct put *put, struct javm_bundle *whole, struct javm_error *err)
{
    const uint32_t count = bundle->root_count;
    struct javm_hash *hashes = NULL;
    struct javm_hash *all = calloc(2 * (size_t)count + 1, sizeof *all);
    char(*names)[16] = calloc(2 * (size_t)count + 1, sizeof *names);
    const char **list = calloc(2 * (size_t)count + 1, sizeof(const char *));
    put->roots = calloc((size_t)count + 1, sizeof *put->roots);
    enum javm_status status = JAVM_OK;
    if (all == NULL || names == NULL || list == NULL || put->roots == NULL)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    else
        status = javm_bundle_publish(bundle, dir, &hashes, err);
    uint32_t used = 0;
    for (uint32_t i = 0; i < count && status == JAVM_OK; i++) {
        struct put_root *root = &put->roots[i];
        snprintf(root->name, sizeof root->name, "%s", bundle->roots[i].name);
        root->hash = hashes[i];
        status = look_at(dir, root, err);
        all[used++] = root->hash;
        if (root->runs)
            all[used++] = root->instance;
        put->count++;
    }
    for (uint32_t i = 0; i < used && status == JAVM_OK; i++) {
        snprintf(names[i], sizeof names[i], "%u", i); /* a bundle's names are unique */
        list[i] = names[i];
    }
    if (status == JAVM_OK)
        status = javm_bundle_collect(dir, all, list, used, whole, err);
    free(hashes);
    free(all);
    free(names);
    free(list);
    return status;
}

/* In a directory of its own, for what has to be worked out. */
static enum javm_status gather_alone(const struct javm_bundle *bundle, struct put *put,
                                     struct javm_bundle *whole, struct javm_error *err)
{
    struct javm_directory *directory;
    enum javm_status status = javm_directory_create(1, 0, &directory, err);
    if (status != JAVM_OK)
        return status;
    struct javm_dir_thread *dir = javm_directory_join(directory);
    if (dir == NULL)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    else
        status = gather(dir, bundle, put, whole, err);
    if (dir != NULL)
        javm_directory_leave(dir);
    javm_directory_destroy(directory);
    return status;
}

static enum put_end put_bundle(struct remote *remote, const uint8_t *bytes, size_t len,
                               struct put *put, struct javm_error *err)
{
    struct javm_bundle bundle, whole = {.cap_count = 0};
    if (javm_load(bytes, len, &bundle, err) != JAVM_OK)
        return PUT_BAD_FILE;
    enum put_end end = PUT_DONE;
    if (gather_alone(&bundle, put, &whole, err) != JAVM_OK)
        end = PUT_BAD_FILE;
    javm_bundle_clear(&bundle);
    for (uint32_t i = 0; i < whole.cap_count && end == PUT_DONE; i++)
        end = send_cap(remote, whole.caps[i], put, err);
    javm_bundle_clear(&whole);
    return end;
}

/* ---- files ------------------------------------------------------------------------------ */

static enum put_end put_archive(struct remote *remote, const uint8_t *bytes, size_t len,
                                struct put *put, struct javm_error *err)
{
    put->roots = calloc(1, sizeof *put->roots);
    if (put->roots == NULL) {
        (void)javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
        return PUT_BAD_FILE;
    }
    const enum put_end end = send_archive(remote, bytes, len, put, &put->roots[0].hash, err);
    put->count = 1;
    put->roots[0].runs = true; /* if it is an Instance */
    put->roots[0].instance = put->roots[0].hash;
    return end;
}

enum put_end put_file(struct remote *remote, const char *path, struct put *put,
                      struct javm_error *err)
{
    uint8_t *bytes;
    size_t len;
    struct javm_error inner;
    *put = (struct put){.roots = NULL};
    if (javm_file_read(path, 0, &bytes, &len, err) != JAVM_OK) /* errors name the path */
        return PUT_BAD_FILE;
    const enum put_end end = javm_file_sniff(bytes, len) == JAVM_FILE_UNKNOWN
                                 ? put_archive(remote, bytes, len, put, &inner)
                                 : put_bundle(remote, bytes, len, put, &inner);
    free(bytes);
    if (end == PUT_DONE)
        return end;
    const uint32_t refused = put->refused;
    put_clear(put);
    put->refused = refused;
    if (inner.where == JAVM_NOWHERE)
        (void)javm_fail(err, inner.status, inner.where, "%s: %s", path, inner.text);
    else
        (void)javm_fail(err, inner.status, inner.where, "%s: byte %llu: %s", path,
                        (unsigned long long)inner.where, inner.text);
    return end;
}
