#include "batch/v2_programs.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "batch/outputs.h"

struct known {
    struct v2_program program;
    const char *path; /* in `own`, or the one that is looked for */
    char own[];
};

struct v2_programs {
    bool keep;
    void *tree; /* tsearch, by path */
};

struct v2_programs *v2_programs_new(bool keep)
{
    struct v2_programs *programs = calloc(1, sizeof *programs);
    if (programs != NULL)
        programs->keep = keep;
    return programs;
}

static void free_known(void *at)
{
    struct known *known = at;
    javm_v2_blob_release(known->program.blob);
    free(known->program.file);
    free(known);
}

void v2_programs_free(struct v2_programs *programs)
{
    if (programs == NULL)
        return;
    tdestroy(programs->tree, free_known);
    free(programs);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct known *)a)->path, ((const struct known *)b)->path);
}

enum javm_status v2_program_load(const uint8_t *bytes, size_t len, struct v2_program *program,
                                 struct javm_error *err)
{
    const struct javm_bytes all = {bytes, len};
    *program = (struct v2_program){.hash = javm_hash_pieces(&all, 1), .len = len};
    return javm_v2_blob_load(bytes, len, &program->blob, err);
}

static enum javm_status load(const char *path, bool keep, struct v2_program *program,
                             struct javm_error *err)
{
    struct javm_error inner;
    uint8_t *bytes;
    size_t len;
    enum javm_status status = outputs_read(path, &bytes, &len, err);
    if (status != JAVM_OK)
        return status; /* the text names the path */
    status = v2_program_load(bytes, len, program, &inner);
    if (status == JAVM_OK && keep)
        program->file = bytes;
    else
        free(bytes);
    return status == JAVM_OK ? status
                             : javm_fail(err, status, inner.where, "%s: %s", path, inner.text);
}

const struct v2_program *v2_programs_get(struct v2_programs *programs, const char *path,
                                         struct javm_error *err)
{
    const struct known like = {.path = path};
    struct known *const *node = tfind(&like, &programs->tree, by_path);
    if (node != NULL)
        return &(*node)->program;
    const size_t len = strlen(path) + 1;
    struct known *known = malloc(sizeof *known + len);
    if (known != NULL) {
        known->path = memcpy(known->own, path, len);
        if (load(path, programs->keep, &known->program, err) != JAVM_OK) {
            free(known);
            return NULL;
        }
        if (tsearch(known, &programs->tree, by_path) != NULL)
            return &known->program;
        free_known(known);
    }
    (void)javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", path);
    return NULL;
}
