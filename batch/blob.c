#include "batch/blob.h"

#include <stdlib.h>
#include <string.h>

#include "batch/job.h"
#include "batch/outputs.h"
#include "javm/load.h"

#define KEPT_FILES 32
#define KEPT_BYTES (64u << 20) /* a larger file is not kept */

struct blob_files {
    struct {
        char *path;
        struct blob *blob;
        uint64_t used; /* when last asked for */
    } kept[KEPT_FILES];
    uint64_t clock, bytes;
};

struct blob *blob_new(const void *bytes, size_t len)
{
    struct blob *blob = calloc(1, sizeof *blob);
    if (blob == NULL)
        return NULL;
    blob->data = javm_data_new(bytes, len);
    if (blob->data == NULL) {
        free(blob);
        return NULL;
    }
    blob->len = len;
    blob->digest = job_digest(bytes, len);
    atomic_init(&blob->refs, 1);
    return blob;
}

struct blob *blob_retain(struct blob *blob)
{
    atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
    return blob;
}

void blob_release(struct blob *blob)
{
    /* Acquire-release, partner: itself on other threads; the last one sees all uses as over. */
    if (blob == NULL || atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel) != 1)
        return;
    javm_cap_release(blob->data);
    free(blob);
}

struct blob_files *blob_files_new(void)
{
    return calloc(1, sizeof(struct blob_files));
}

static void evict(struct blob_files *files, size_t i)
{
    if (files->kept[i].blob == NULL)
        return;
    files->bytes -= files->kept[i].blob->len;
    blob_release(files->kept[i].blob);
    free(files->kept[i].path);
    files->kept[i].path = NULL;
    files->kept[i].blob = NULL;
    files->kept[i].used = 0;
}

void blob_files_free(struct blob_files *files)
{
    if (files == NULL)
        return;
    for (size_t i = 0; i < KEPT_FILES; i++)
        evict(files, i);
    free(files);
}

static size_t oldest(const struct blob_files *files)
{
    size_t oldest = 0;
    for (size_t i = 1; i < KEPT_FILES; i++)
        if (files->kept[i].used < files->kept[oldest].used)
            oldest = i;
    return oldest;
}

/* Best effort: without memory the file is simply read again next time. */
static void keep(struct blob_files *files, const char *path, struct blob *blob)
{
    if (blob->len > KEPT_BYTES)
        return;
    char *copy = strdup(path);
    if (copy == NULL)
        return;
    size_t place = oldest(files);
    evict(files, place);
    while (files->bytes + blob->len > KEPT_BYTES) {
        /* Unused places count as oldest; skip to the oldest that holds something. */
        size_t victim = KEPT_FILES;
        for (size_t i = 0; i < KEPT_FILES; i++)
            if (files->kept[i].blob != NULL &&
                (victim == KEPT_FILES || files->kept[i].used < files->kept[victim].used))
                victim = i;
        evict(files, victim);
    }
    files->kept[place].path = copy;
    files->kept[place].blob = blob_retain(blob);
    files->kept[place].used = ++files->clock;
    files->bytes += blob->len;
}

enum javm_status blob_files_get(struct blob_files *files, const char *path, struct blob **blob,
                                bool *fresh, struct javm_error *err)
{
    *fresh = false;
    for (size_t i = 0; i < KEPT_FILES; i++)
        if (files->kept[i].blob != NULL && strcmp(files->kept[i].path, path) == 0) {
            files->kept[i].used = ++files->clock;
            *blob = blob_retain(files->kept[i].blob);
            return JAVM_OK;
        }
    uint8_t *bytes;
    size_t len;
    const enum javm_status status = outputs_read(path, &bytes, &len, err);
    if (status != JAVM_OK)
        return status;
    *blob = blob_new(bytes, len);
    free(bytes);
    if (*blob == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", path);
    *fresh = true;
    keep(files, path, *blob);
    return JAVM_OK;
}
