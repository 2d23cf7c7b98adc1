#include "batch/inmate_programs.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "batch/parcel.h"

struct given {
    struct subject is;
    struct target target;      /* INMATE_PVM */
    struct v2_program program; /* INMATE_V2 */
};

static int by_subject(const void *a, const void *b)
{
    const struct given *x = a, *y = b;
    return x->is.kind != y->is.kind ? (x->is.kind > y->is.kind ? 1 : -1)
                                    : memcmp(&x->is.hash, &y->is.hash, sizeof x->is.hash);
}

static void free_given(void *at)
{
    struct given *given = at;
    foreign_free(given->target.foreign);
    javm_v2_blob_release(given->program.blob);
    free(given);
}

void inmate_programs_clear(struct inmate_programs *programs)
{
    tdestroy(programs->tree, free_given);
    programs->tree = NULL;
}

static enum javm_status load(struct given *given, const uint8_t *bytes, size_t len,
                             const struct foreign_stubs *stubs, struct javm_error *err)
{
    if (given->is.kind == INMATE_V2) {
        const enum javm_status status = v2_program_load(bytes, len, &given->program, err);
        given->is.hash = given->program.hash;
        return status;
    }
    const enum javm_status status =
        foreign_load(bytes, len, stubs, false, &given->target.foreign, err);
    if (status == JAVM_OK)
        given->is.hash = given->target.instance = given->target.foreign->hash;
    return status;
}

enum javm_status inmate_programs_add(struct inmate_programs *programs, uint32_t kind,
                                     const uint8_t *bytes, size_t len,
                                     const struct foreign_stubs *stubs, struct javm_error *err)
{
    struct given *given = calloc(1, sizeof *given);
    if (given == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    given->is.kind = kind;
    enum javm_status status = load(given, bytes, len, stubs, err);
    struct given *const *node =
        status == JAVM_OK ? tsearch(given, &programs->tree, by_subject) : NULL;
    if (status == JAVM_OK && node == NULL)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    if (node == NULL || *node != given)
        free_given(given);
    return status;
}

static const struct given *find(const struct inmate_programs *programs, uint32_t kind,
                                const struct javm_hash *hash)
{
    const struct given like = {.is = {*hash, kind}};
    struct given *const *node = tfind(&like, &programs->tree, by_subject);
    return node == NULL ? NULL : *node;
}

const struct target *inmate_programs_pvm(const struct inmate_programs *programs,
                                         const struct javm_hash *hash)
{
    const struct given *given = find(programs, INMATE_PVM, hash);
    return given == NULL ? NULL : &given->target;
}

const struct v2_program *inmate_programs_v2(const struct inmate_programs *programs,
                                            const struct javm_hash *hash)
{
    const struct given *given = find(programs, INMATE_V2, hash);
    return given == NULL ? NULL : &given->program;
}
