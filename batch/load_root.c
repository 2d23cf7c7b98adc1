#include "batch/load_root.h"

#include <stdlib.h>
#include <string.h>

#include "javm/load.h"

static enum javm_status choose(const struct javm_bundle *bundle, const struct javm_hash *hashes,
                               const char *name, bool strict, struct javm_hash *hash,
                               struct javm_error *err)
{
    for (uint32_t i = 0; i < bundle->root_count; i++)
        if (strcmp(bundle->roots[i].name, name) == 0) {
            *hash = hashes[i];
            return JAVM_OK;
        }
    if (strict || bundle->root_count != 1)
        return javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE,
                         "expected a root named %s, found %u others", name, bundle->root_count);
    *hash = hashes[0];
    return JAVM_OK;
}

static enum javm_status publish(struct javm_dir_thread *dir, const uint8_t *bytes, size_t len,
                                const char *name, bool strict, struct javm_hash *hash,
                                struct javm_error *err)
{
    struct javm_bundle bundle;
    struct javm_hash *hashes = NULL;
    if (javm_file_sniff(bytes, len) == JAVM_FILE_UNKNOWN)
        return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE,
                         "neither a bundle (.jimg, .jbundle) nor a linked RISC-V ELF file");
    enum javm_status status = javm_load(bytes, len, &bundle, err);
    if (status != JAVM_OK)
        return status;
    status = javm_bundle_publish(&bundle, dir, &hashes, err);
    if (status == JAVM_OK)
        status = choose(&bundle, hashes, name, strict, hash, err);
    free(hashes);
    javm_bundle_clear(&bundle);
    return status;
}

enum javm_status load_root(struct javm_dir_thread *dir, const char *path, const uint8_t *bytes,
                           size_t len, const char *name, bool strict, struct javm_hash *hash,
                           struct javm_error *err)
{
    struct javm_error inner;
    const enum javm_status status = publish(dir, bytes, len, name, strict, hash, &inner);
    return status == JAVM_OK ? status
                             : javm_fail(err, status, inner.where, "%s: %s", path, inner.text);
}
