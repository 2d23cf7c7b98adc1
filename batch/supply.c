#include "batch/supply.h"

#include <stdlib.h>
#include <string.h>

#include "batch/definitions.h"
#include "batch/foreign.h"
#include "javm/load.h"

/* ---- caps ------------------------------------------------------------------------------- */

enum javm_status supply_collect(struct javm_dir_thread *dir, const struct javm_hash *root,
                                uint8_t **bytes, size_t *len, struct javm_error *err)
{
    static const char *const NAMES[] = {"root"};
    struct javm_bundle bundle;
    enum javm_status status = javm_bundle_collect(dir, root, NAMES, 1, &bundle, err);
    if (status != JAVM_OK)
        return status;
    status = javm_bundle_encode(&bundle, bytes, len, err);
    javm_bundle_clear(&bundle);
    return status;
}

enum javm_status supply_adopt(struct javm_dir_thread *dir, const uint8_t *caps, size_t len,
                              const struct javm_hash *left, struct javm_error *err)
{
    struct javm_bundle bundle;
    struct javm_hash *roots;
    enum javm_status status = javm_bundle_decode(caps, len, &bundle, err);
    if (status != JAVM_OK)
        return status;
    status = javm_bundle_publish(&bundle, dir, &roots, err);
    if (status == JAVM_OK) {
        if (bundle.root_count != 1 || !javm_hash_equal(&roots[0], left))
            status = javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE, "another cap than it names");
        free(roots);
    }
    javm_bundle_clear(&bundle);
    return status;
}

/* ---- what the process has --------------------------------------------------------------- */

void supply_forget(struct supply *supply)
{
    if (supply->room > 0)
        memset(supply->places, 0, supply->room * sizeof *supply->places);
    supply->count = 0;
}

void supply_free(struct supply *supply)
{
    free(supply->places);
    *supply = (struct supply){NULL, 0, 0};
}

static struct subject *place(const struct supply *supply, const struct subject *subject)
{
    size_t at;
    memcpy(&at, subject->hash.bytes, sizeof at);
    for (;; at++) {
        struct subject *found = &supply->places[at & (supply->room - 1)];
        if (javm_hash_is_zero(&found->hash) ||
            (found->kind == subject->kind && javm_hash_equal(&found->hash, &subject->hash)))
            return found;
    }
}

static bool make_room(struct supply *supply)
{
    if (supply->count < supply->room / 2)
        return true;
    struct supply more = {.count = supply->count,
                          .room = supply->room == 0 ? 64 : 2 * supply->room};
    more.places = calloc(more.room, sizeof *more.places);
    if (more.places == NULL)
        return false;
    for (size_t i = 0; i < supply->room; i++)
        if (!javm_hash_is_zero(&supply->places[i].hash))
            *place(&more, &supply->places[i]) = supply->places[i];
    free(supply->places);
    *supply = more;
    return true;
}

static enum javm_status give(struct nub_cell *cell, struct javm_dir_thread *dir,
                             const struct job *job, const struct subject *subject,
                             struct javm_error *err)
{
    uint8_t *bytes;
    size_t len;
    if (subject->kind == INMATE_V2)
        return nub_cell_call(cell, INMATE_V2, job->v2->program->file, job->v2->program->len, err);
    if (subject->kind == INMATE_PVM)
        return nub_cell_call(cell, INMATE_PVM, job->target->foreign->file,
                             job->target->foreign->bytes, err);
    enum javm_status status = supply_collect(dir, &subject->hash, &bytes, &len, err);
    if (status != JAVM_OK)
        return status;
    status = nub_cell_call(cell, INMATE_CAPS, bytes, len, err);
    free(bytes);
    return status;
}

enum javm_status supply_provide(struct supply *supply, struct nub_cell *cell,
                                struct javm_dir_thread *dir, const struct job *job,
                                const struct ground *ground, struct javm_error *err)
{
    const struct subject subject = parcel_subject(job, ground);
    if (!make_room(supply))
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    struct subject *known = place(supply, &subject);
    if (!javm_hash_is_zero(&known->hash))
        return JAVM_OK;
    const enum javm_status status = give(cell, dir, job, &subject, err);
    if (status != JAVM_OK)
        return status;
    *known = subject;
    supply->count++;
    return JAVM_OK;
}
