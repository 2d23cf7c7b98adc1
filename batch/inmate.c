#include "batch/inmate.h"

#include <stdlib.h>
#include <string.h>

#include "batch/foreign_run.h"
#include "batch/inmate_programs.h"
#include "batch/parcel_v2.h"
#include "batch/run.h"
#include "batch/v2_run.h"
#include "javm/load.h"

struct inmate {
    struct javm_directory *directory;
    struct javm_dir_thread *dir;
    struct javm_annex *scratch; /* of one job at a time */
    struct inmate_options options;
    struct javm_jit *jit;
    struct javm_vm *vm;
    struct inmate_programs programs;
    struct foreign_runner *foreign;
    struct v2_runner v2;
};

/* ---- caps ------------------------------------------------------------------------------- */

static enum javm_status publish(struct inmate *inmate, const uint8_t *bytes, size_t len,
                                struct javm_error *err)
{
    struct javm_bundle bundle;
    enum javm_status status = javm_bundle_decode(bytes, len, &bundle, err);
    if (status != JAVM_OK)
        return status;
    status = javm_bundle_publish(&bundle, inmate->dir, NULL, err);
    javm_bundle_clear(&bundle);
    return status;
}

static enum javm_status collect(struct inmate *inmate, const struct javm_hash *root,
                                uint8_t **bytes, size_t *len, struct javm_error *err)
{
    static const char *const NAMES[] = {"left"};
    struct javm_bundle bundle;
    enum javm_status status = javm_bundle_collect(inmate->dir, root, NAMES, 1, &bundle, err);
    if (status != JAVM_OK)
        return status;
    status = javm_bundle_encode(&bundle, bytes, len, err);
    javm_bundle_clear(&bundle);
    return status;
}

/* ---- jobs ------------------------------------------------------------------------------- */

static bool put_padded(struct nub_answer *answer, const void *bytes, size_t len)
{
    static const uint8_t zeros[8] = {0};
    return nub_answer_put(answer, bytes, len) &&
           nub_answer_put(answer, zeros, parcel_padded(len) - len);
}

static bool put_output(struct nub_answer *answer, const struct result *result, size_t len)
{
    for (size_t done = 0; done < len; done += JAVM_PAGE_SIZE) {
        uint8_t page[JAVM_PAGE_SIZE];
        const size_t part = len - done < JAVM_PAGE_SIZE ? len - done : JAVM_PAGE_SIZE;
        javm_data_read(result->slot0, done, page, part);
        if (!put_padded(answer, page, part))
            return false;
    }
    return true;
}

/* False: there is no room behind the results before it. `left`: of a JAR v2 job that ran. */
static bool put_result(struct nub_answer *answer, const struct job *job, struct result *result,
                       struct ground *ground, uint64_t ns, const struct v2_left *left,
                       const struct javm_bytes *caps)
{
    static const uint8_t zeros[8] = {0};
    const size_t room = answer->region->out_bytes - answer->len;
    struct javm_bytes bundle = *caps;
    struct carry size = carry_measure();
    struct parcel_result parcel;
    if (left != NULL)
        parcel_v2_put_left(&size, job, left);
    if (parcel_result_size(result, size.len, bundle.len) > room) {
        if (answer->len > 0)
            return false;
        set_error(result, "the result is too large for --isolation process");
        ground->moved = false;
        bundle.len = size.len = 0;
        left = NULL;
    }
    parcel_result_describe(result, ground, ns, size.len, bundle.len, &parcel);
    if (!nub_answer_put(answer, &parcel, sizeof parcel) ||
        !put_padded(answer, result->error, (size_t)parcel.error_len) ||
        !put_output(answer, result, (size_t)parcel.output_len))
        return false;
    if (left != NULL) {
        struct carry carry = carry_write(answer->region->out + answer->len);
        parcel_v2_put_left(&carry, job, left);
        answer->len += carry.len;
        if (!nub_answer_put(answer, zeros, parcel_padded(carry.len) - carry.len))
            return false;
    }
    return put_padded(answer, bundle.data, bundle.len);
}

/* An invocation of an instance, or a continuation; *caps is what it leaves to its chain, malloc'ed.
 */
static void run_instance(struct inmate *inmate, struct parcel_open *open, int64_t begun,
                         struct result *result, struct javm_bytes *caps)
{
    struct javm_error err;
    uint8_t *left;
    enum javm_status status = JAVM_OK;
    if (open->caps_len > 0)
        status = publish(inmate, open->caps, open->caps_len, &err);
    if (status == JAVM_OK)
        execute(inmate->vm, inmate->dir, &open->job, &open->ground, begun, open->timeout_ms,
                result);
    if (status == JAVM_OK && open->ground.moved) {
        status = collect(inmate, &open->ground.instance, &left, &caps->len, &err);
        caps->data = left;
    }
    if (status == JAVM_OK)
        return;
    set_failure(result, "", &err);
    open->ground.moved = false;
    *caps = (struct javm_bytes){NULL, 0};
}

/* False: the program was not given. */
static bool run_program(struct inmate *inmate, struct parcel_open *open, int64_t begun,
                        struct result *result, struct v2_left *left)
{
    struct job *job = &open->job;
    if (open->on.kind == INMATE_PVM) {
        job->target = inmate_programs_pvm(&inmate->programs, &open->on.hash);
        if (job->target != NULL)
            foreign_run(inmate->foreign, job, begun, open->timeout_ms, result);
        return job->target != NULL;
    }
    const struct javm_v2_options options = {.engine = inmate->options.engine, .jit = inmate->jit};
    open->v2.program = inmate_programs_v2(&inmate->programs, &open->on.hash);
    if (open->v2.program != NULL)
        v2_invoke(&inmate->v2, &options, job, begun, open->timeout_ms, result, left);
    return open->v2.program != NULL;
}

/* False: what came is no job, or there is no room for its result. */
static bool run_job(struct inmate *inmate, struct parcel_open *open, struct nub_answer *answer)
{
    struct result result = {.slot0 = NULL};
    struct v2_left left;
    struct javm_bytes caps = {NULL, 0};
    const int64_t begun = clock_ns();
    const bool publishes =
        open->on.kind == INMATE_CAPS && (open->ground.keep || execute_publishes(&open->job));
    bool good = true;
    if (publishes)
        javm_annex_open(inmate->dir, inmate->scratch);
    if (open->on.kind == INMATE_CAPS)
        run_instance(inmate, open, begun, &result, &caps);
    else
        good = run_program(inmate, open, begun, &result, &left);
    const bool has_left = open->on.kind == INMATE_V2 && result.outcome != OUTCOME_ERROR;
    good = good && put_result(answer, &open->job, &result, &open->ground,
                              (uint64_t)(clock_ns() - begun), has_left ? &left : NULL, &caps);
    javm_annex_open(inmate->dir, NULL);
    if (publishes) { /* all of it goes: the next job brings what it needs */
        const struct javm_hash nothing = {{0}};
        (void)javm_annex_keep(inmate->scratch, &nothing);
    }
    free((void *)(uintptr_t)caps.data);
    result_clear(&result);
    return good;
}

static bool run_next(struct inmate *inmate, const uint8_t **at, const uint8_t *end,
                     struct nub_answer *answer)
{
    struct parcel_open open;
    const bool ran = parcel_job_get(at, end, &open) && run_job(inmate, &open, answer);
    carry_clear(&open.carry);
    return ran;
}

static void run_jobs(struct inmate *inmate, const uint8_t *payload, size_t len,
                     struct nub_answer *answer)
{
    uint64_t count;
    const uint8_t *at = payload + sizeof count, *end = payload + len;
    if (len < sizeof count) {
        answer->error = JAVM_NUB_E_BAD_PAYLOAD;
        return;
    }
    memcpy(&count, payload, sizeof count);
    for (uint64_t i = 0; i < count && run_next(inmate, &at, end, answer); i++)
        nub_answer_progress(answer, i + 1);
}

static void figures(struct inmate *inmate, struct nub_answer *answer)
{
    struct inmate_figures figures = {0};
    javm_vm_stats(inmate->vm, &figures.vm);
    if (inmate->jit != NULL)
        javm_jit_stats(inmate->jit, &figures.native);
    nub_answer_put(answer, &figures, sizeof figures);
}

/* What jobs run on. */
static enum javm_status take(struct inmate *inmate, uint32_t fn, const uint8_t *bytes, size_t len,
                             struct javm_error *err)
{
    return fn == INMATE_CAPS
               ? publish(inmate, bytes, len, err)
               : inmate_programs_add(&inmate->programs, fn, bytes, len, inmate->options.stubs, err);
}

static void call(void *state, uint32_t fn, const uint8_t *payload, size_t len,
                 struct nub_answer *answer)
{
    if (fn == INMATE_RUN) {
        run_jobs(state, payload, len, answer);
    } else if (fn == INMATE_FIGURES) {
        figures(state, answer);
    } else if (fn == INMATE_CAPS || fn == INMATE_PVM || fn == INMATE_V2) {
        const enum javm_status status = take(state, fn, payload, len, &answer->err);
        if (status != JAVM_OK)
            nub_answer_fail(answer, status);
    } else {
        answer->error = JAVM_NUB_E_NO_FUNCTION;
    }
}

/* ---- life ------------------------------------------------------------------------------- */

static void stop(void *state)
{
    struct inmate *inmate = state;
    v2_runner_clear(&inmate->v2);
    foreign_runner_free(inmate->foreign);
    inmate_programs_clear(&inmate->programs);
    javm_vm_destroy(inmate->vm);
    javm_jit_destroy(inmate->jit);
    javm_annex_free(inmate->scratch);
    if (inmate->dir != NULL)
        javm_directory_leave(inmate->dir);
    if (inmate->directory != NULL)
        javm_directory_destroy(inmate->directory);
    free(inmate);
}

enum javm_status inmate_start(const void *arg, struct nub_region *region,
                              struct nub_service *service, struct javm_error *err)
{
    const struct inmate_options *options = arg;
    struct inmate *inmate = calloc(1, sizeof *inmate);
    (void)region;
    if (inmate == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    inmate->options = *options;
    *service = (struct nub_service){.state = inmate, .call = call, .stop = stop};
    enum javm_status status = javm_directory_create(1, 0, &inmate->directory, err);
    if (status == JAVM_OK) {
        inmate->dir = javm_directory_join(inmate->directory);
        inmate->scratch = javm_annex_new();
        if (inmate->dir == NULL || inmate->scratch == NULL)
            status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    }
    if (status == JAVM_OK && options->engine == JAVM_ENGINE_JIT)
        status = javm_jit_create(&(struct javm_jit_options){.machine = options->machine},
                                 &inmate->jit, err);
    if (inmate->jit != NULL)
        service->machine.used =
            javm_jit_machine(inmate->jit, &service->machine.vm, &service->machine.vcpu);
    const struct javm_vm_options vm_options = {
        .engine = options->engine, .gas_model = options->gas_model, .jit = inmate->jit};
    if (status == JAVM_OK)
        status = javm_vm_create(&vm_options, &inmate->vm, err);
    if (status == JAVM_OK) {
        inmate->foreign = foreign_runner_new(options->engine, inmate->jit);
        if (inmate->foreign == NULL)
            status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    }
    if (status != JAVM_OK)
        stop(inmate);
    return status;
}
