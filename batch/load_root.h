/* A file of caps that a definition names: published, and one of its roots. */
#ifndef JAVM_BATCH_LOAD_ROOT_H
#define JAVM_BATCH_LOAD_ROOT_H

#include "javm/directory.h"

/* Of the file's bytes, the root called `name` (NUL-terminated), else the only one that there is;
 * with `strict` only the first. On failure the error's text begins with the path. MISSING, NOMEM,
 * and what loading gives. */
enum javm_status load_root(struct javm_dir_thread *dir, const char *path, const uint8_t *bytes,
                           size_t len, const char *name, bool strict, struct javm_hash *hash,
                           struct javm_error *err);

#endif
