/* A file of vectors, read whole and parsed: plain JSON, or zstd-compressed JSON. */
#ifndef JAVM_BATCH_VECTORS_FILE_H
#define JAVM_BATCH_VECTORS_FILE_H

#include "batch/fields.h"
#include "batch/json.h"
#include "javm/status.h"

/* A compressed file may not unfold to more than this. */
#define VECTORS_FILE_MAX (UINT64_C(1) << 30)

struct vectors_file {
    const char *path; /* borrowed */
    struct fields json;
    char *text;                 /* owned; json_padding() bytes follow */
    struct json_parser *parser; /* owned */
};

/* False: said on stderr what is wrong with the file; nothing to close. */
bool vectors_file_open(struct vectors_file *file, const char *path);
void vectors_file_close(struct vectors_file *file);
/* Print a problem whose offset counts from the start of the file, with line and column. */
void vectors_file_complain(const struct vectors_file *file, const struct problem *problem);

#endif
