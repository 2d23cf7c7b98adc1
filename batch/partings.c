#include "batch/partings.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "batch/bisect_foreign.h"
#include "batch/bisect_image.h"
#include "batch/definitions.h"
#include "batch/diag.h"
#include "batch/text.h"

#define TOLD      3    /* the first ones are shown */
#define TOLD_SIZE 8192 /* bytes */

struct partings {
    /* Relaxed: counted by workers, read when they were joined. `parted` hands out places, too. */
    _Atomic uint64_t looked, parted, failed, left_out;
    char *told[TOLD];     /* owned */
    struct javm_jit *jit; /* owned: of all workers, when the recompiler is the other engine */
};

struct parting {
    struct partings *all;
    struct parting_own own;         /* but for its options */
    enum javm_engine engine;        /* its own */
    struct javm_vm *vm;             /* the other one; owned */
    struct foreign_runner *foreign; /* the same */
};

static enum javm_engine other_than(enum javm_engine engine)
{
    return engine == JAVM_ENGINE_INTERP ? JAVM_ENGINE_JIT : JAVM_ENGINE_INTERP;
}

enum javm_status partings_new(enum javm_engine engine, struct partings **partings,
                              struct javm_error *err)
{
    struct partings *made = calloc(1, sizeof *made);
    enum javm_status status = JAVM_OK;
    if (made == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    if (other_than(engine) == JAVM_ENGINE_JIT)
        status = javm_jit_create(NULL, &made->jit, err);
    if (status != JAVM_OK) {
        free(made);
        return status;
    }
    *partings = made;
    return JAVM_OK;
}

void partings_free(struct partings *partings)
{
    if (partings == NULL)
        return;
    for (unsigned i = 0; i < TOLD; i++)
        free(partings->told[i]);
    if (partings->jit != NULL)
        javm_jit_destroy(partings->jit);
    free(partings);
}

enum javm_status parting_new(struct partings *partings, const struct parting_own *own,
                             struct parting **out, struct javm_error *err)
{
    struct javm_vm_options other = *own->options;
    other.engine = other_than(own->options->engine);
    other.jit = partings->jit;
    struct parting *parting = calloc(1, sizeof *parting);
    if (parting == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    parting->all = partings;
    parting->own = *own;
    parting->own.options = NULL; /* the caller's */
    parting->engine = own->options->engine;
    parting->foreign = foreign_runner_new(other.engine, other.jit);
    const enum javm_status status =
        parting->foreign == NULL ? javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory")
                                 : javm_vm_create(&other, &parting->vm, err);
    if (status != JAVM_OK) {
        parting_free(parting);
        return status;
    }
    *out = parting;
    return JAVM_OK;
}

void parting_free(struct parting *parting)
{
    if (parting == NULL)
        return;
    if (parting->vm != NULL)
        javm_vm_destroy(parting->vm);
    foreign_runner_free(parting->foreign);
    free(parting);
}

void parting_look(struct parting *parting, struct javm_annex *annex, const struct job *job,
                  const struct ground *ground)
{
    static const char *const NAMES[] = {[JAVM_ENGINE_INTERP] = "interp", [JAVM_ENGINE_JIT] = "jit"};
    const struct parting_own *own = &parting->own;
    struct partings *all = parting->all;
    struct bisect_image image = {.vms = {own->vm, parting->vm},
                                 .dir = own->dir,
                                 .annex = annex,
                                 .timeout_ms = own->timeout_ms,
                                 .job = job,
                                 .ground = ground};
    struct bisect_foreign foreign = {
        .runners = {own->foreign, parting->foreign}, .timeout_ms = own->timeout_ms, .job = job};
    const bool is_foreign = job->target != NULL && job->target->foreign != NULL;
    const struct bisect how = {
        .names = {NAMES[parting->engine], NAMES[other_than(parting->engine)]},
        .context = is_foreign ? (void *)&foreign : &image,
        .probe = is_foreign ? bisect_foreign_probe : bisect_image_probe,
        .list = is_foreign ? bisect_foreign_list : bisect_image_list};
    struct javm_error err;
    char name[JOB_NAME_SIZE];
    bool parted = false;
    char *text = malloc(TOLD_SIZE);
    atomic_fetch_add_explicit(&all->looked, 1, memory_order_relaxed);
    if (text == NULL || bisect(&how, job->gas, &parted, text, TOLD_SIZE, &err) != JAVM_OK) {
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
        fprintf(log, "; %llu of the JAR v2 kernel were not compared", (unsigned long long)left_out);
    fputc('\n', log);
    return parted + failed;
}
