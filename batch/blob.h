/* Input bytes as a Data cap that several jobs may share, and a small store of input files. */
#ifndef JAVM_BATCH_BLOB_H
#define JAVM_BATCH_BLOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "javm/cap.h"
#include "javm/status.h"

struct blob {
    struct javm_cap *data; /* one reference */
    uint64_t len;          /* bytes before padding to pages */
    uint64_t digest;       /* job_digest of them */
    _Atomic uint32_t refs; /* takers hold one already: relaxed up, acquire-release down */
};

/* NULL: out of memory, or longer than a Data can be. One reference for the caller. */
struct blob *blob_new(const void *bytes, size_t len);
struct blob *blob_retain(struct blob *blob);
void blob_release(struct blob *blob);

/* Files that jobs name as "@file", read once while they stay among the most recent. One thread. */
struct blob_files;

struct blob_files *blob_files_new(void); /* NULL: out of memory */
void blob_files_free(struct blob_files *files);
/* *blob has one reference for the caller. *fresh: it was read for this call. */
enum javm_status blob_files_get(struct blob_files *files, const char *path, struct blob **blob,
                                bool *fresh, struct javm_error *err);

#endif
