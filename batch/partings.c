#include "batch/partings.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "batch/bisect_foreign.h"
#include "batch/bisect_image.h"
#include "batch/bisect_v2.h"
#include "batch/definitions.h"
#include "batch/diag.h"
#include "batch/text.h"

#define TOLD      3    /* the first ones are shown */
#define TOLD_SIZE 8192 /* bytes */

struct partings {
    /* Relaxed: counted by workers, read when they were joined. `parted` hands out places, too. */
    _Atomic uint64_t looked, parted, failed;
    char *told[TOLD];     /* owned */
    struct javm_jit *jit; /* owned: of all workers, when the recompiler is the other engine */
};

struct parting {
    struct partings *all;
    struct parting_own own;         /* but for its options */
    enum javm_engine engine;        /* its own */
    struct javm_vm *vm;             /* the other one; owned */
    struct foreign_runner *foreign; /* the same */
    struct v2_runner v2;            /* the same */
    struct javm_v2_options v2_options[2];
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
    parting->v2_options[0] =
        (struct javm_v2_options){.engine = own->options->engine, .jit = own->options->jit};
    parting->v2_options[1] = (struct javm_v2_options){.engine = other.engine, .jit = other.jit};
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
    v2_runner_clear(&parting->v2);
    free(parting);
}

static void look(struct parting *parting, const struct job *job, struct bisect how)
{
    static const char *const NAMES[] = {[JAVM_ENGINE_INTERP] = "interp", [JAVM_ENGINE_JIT] = "jit"};
    struct partings *all = parting->all;
    struct javm_error err;
    char name[JOB_NAME_SIZE];
    bool parted = false;
    how.names[0] = NAMES[parting->engine];
    how.names[1] = NAMES[other_than(parting->engine)];
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

void parting_look(struct parting *parting, struct javm_annex *annex, const struct job *job,
                  const struct ground *ground)
{
    const struct parting_own *own = &parting->own;
    struct bisect_v2 v2 = {.runners = {own->v2, &parting->v2},
                           .options = {&parting->v2_options[0], &parting->v2_options[1]},
                           .timeout_ms = own->timeout_ms,
                           .job = job};
    struct bisect_foreign foreign = {
        .runners = {own->foreign, parting->foreign}, .timeout_ms = own->timeout_ms, .job = job};
    struct bisect_image image = {.vms = {own->vm, parting->vm},
                                 .dir = own->dir,
                                 .annex = annex,
                                 .timeout_ms = own->timeout_ms,
                                 .job = job,
                                 .ground = ground};
    if (job->v2 != NULL)
        look(parting, job, (struct bisect){.context = &v2, .probe = bisect_v2_probe});
    else if (job->target != NULL && job->target->foreign != NULL)
        look(parting, job,
             (struct bisect){
                 .context = &foreign, .probe = bisect_foreign_probe, .list = bisect_foreign_list});
    else
        look(parting, job,
             (struct bisect){
                 .context = &image, .probe = bisect_image_probe, .list = bisect_image_list});
}

uint64_t partings_tell(const struct partings *partings, FILE *to, FILE *log)
{
    const uint64_t looked = atomic_load_explicit(&partings->looked, memory_order_relaxed),
                   parted = atomic_load_explicit(&partings->parted, memory_order_relaxed),
                   failed = atomic_load_explicit(&partings->failed, memory_order_relaxed);
    for (unsigned i = 0; i < TOLD; i++)
        if (partings->told[i] != NULL)
            fputs(partings->told[i], to);
    fprintf(log, "bisect: %llu jobs on both engines, which part in %llu of them",
            (unsigned long long)looked, (unsigned long long)parted);
    if (failed > 0)
        fprintf(log, "; %llu could not be compared for want of memory", (unsigned long long)failed);
    fputc('\n', log);
    return parted + failed;
}
