#include "batch/partings.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "batch/bisect.h"
#include "batch/diag.h"
#include "batch/text.h"

#define TOLD      3    /* the first ones are shown */
#define TOLD_SIZE 8192 /* bytes */

struct partings {
    /* Relaxed: counted by workers, read when they were joined. `parted` hands out places, too. */
    _Atomic uint64_t looked, parted, failed, left_out;
    char *told[TOLD]; /* owned */
};

struct parting {
    struct partings *all;
    struct javm_vm *other; /* owned */
    struct bisect bisect;
};

struct partings *partings_new(void)
{
    return calloc(1, sizeof(struct partings));
}

void partings_free(struct partings *partings)
{
    for (unsigned i = 0; partings != NULL && i < TOLD; i++)
        free(partings->told[i]);
    free(partings);
}

enum javm_status parting_new(struct partings *partings, struct javm_vm *vm,
                             const struct javm_vm_options *options, struct javm_dir_thread *dir,
                             uint64_t timeout_ms, struct parting **out, struct javm_error *err)
{
    static const char *const NAMES[] = {[JAVM_ENGINE_INTERP] = "interp", [JAVM_ENGINE_JIT] = "jit"};
    struct javm_vm_options other = *options;
    other.engine = options->engine == JAVM_ENGINE_INTERP ? JAVM_ENGINE_JIT : JAVM_ENGINE_INTERP;
    other.jit = NULL;
    struct parting *parting = calloc(1, sizeof *parting);
    if (parting == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    const enum javm_status status = javm_vm_create(&other, &parting->other, err);
    if (status != JAVM_OK) {
        free(parting);
        return status;
    }
    const struct bisect_side own = {NAMES[options->engine], vm},
                             others = {NAMES[other.engine], parting->other};
    parting->all = partings;
    parting->bisect = (struct bisect){.sides = {own, others}, .dir = dir, .timeout_ms = timeout_ms};
    *out = parting;
    return JAVM_OK;
}

void parting_free(struct parting *parting)
{
    if (parting == NULL)
        return;
    javm_vm_destroy(parting->other);
    free(parting);
}

void parting_look(struct parting *parting, struct javm_annex *annex, const struct job *job,
                  const struct ground *ground)
{
    struct partings *all = parting->all;
    struct javm_error err;
    char name[JOB_NAME_SIZE];
    bool parted = false;
    char *text = malloc(TOLD_SIZE);
    parting->bisect.annex = annex;
    atomic_fetch_add_explicit(&all->looked, 1, memory_order_relaxed);
    if (text == NULL ||
        bisect(&parting->bisect, job, ground, &parted, text, TOLD_SIZE, &err) != JAVM_OK) {
        atomic_fetch_add_explicit(&all->failed, 1, memory_order_relaxed);
    } else if (parted) {
        job_name(name, job);
        const uint64_t place = atomic_fetch_add_explicit(&all->parted, 1, memory_order_relaxed);
        if (place < TOLD && asprintf(&all->told[place], "job %s: %s", name, text) < 0)
            all->told[place] = NULL;
    }
    free(text);
}

void parting_leave_out(struct parting *parting)
{
    atomic_fetch_add_explicit(&parting->all->left_out, 1, memory_order_relaxed);
}

uint64_t partings_tell(const struct partings *partings, FILE *to, FILE *log)
{
    const uint64_t looked = atomic_load_explicit(&partings->looked, memory_order_relaxed),
                   parted = atomic_load_explicit(&partings->parted, memory_order_relaxed),
                   failed = atomic_load_explicit(&partings->failed, memory_order_relaxed),
                   left_out = atomic_load_explicit(&partings->left_out, memory_order_relaxed);
    for (unsigned i = 0; i < TOLD; i++)
        if (partings->told[i] != NULL)
            fputs(partings->told[i], to);
    fprintf(log, "bisect: %llu jobs on both engines, which part in %llu of them",
            (unsigned long long)looked, (unsigned long long)parted);
    if (failed > 0)
        fprintf(log, "; %llu could not be compared for want of memory", (unsigned long long)failed);
    if (left_out > 0)
        fprintf(log, "; %llu of PVM programs or the JAR v2 kernel were not compared",
                (unsigned long long)left_out);
    fputc('\n', log);
    return parted + failed;
}
