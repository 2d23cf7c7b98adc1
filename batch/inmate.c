#include "batch/inmate.h"

#include <stdlib.h>
#include <string.h>

#include "batch/run.h"
#include "javm/load.h"

struct inmate {
    struct javm_directory *directory;
    struct javm_dir_thread *dir;
    struct javm_annex *scratch; /* of one job at a time */
    struct javm_jit *jit;
    struct javm_vm *vm;
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

/* False: there is no room behind the results before it. */
static bool put_result(struct nub_answer *answer, struct result *result, struct ground *ground,
                       uint64_t ns, const uint8_t *caps, size_t caps_len)
{
    struct parcel_result parcel;
    if (parcel_result_size(result, caps_len) > answer->region->out_bytes - answer->len) {
        if (answer->len > 0)
            return false;
        set_error(result, "the result is too large for --isolation process");
        ground->moved = false;
        caps_len = 0;
    }
    parcel_result_describe(result, ground, ns, caps_len, &parcel);
    return nub_answer_put(answer, &parcel, sizeof parcel) &&
           put_padded(answer, result->error, (size_t)parcel.error_len) &&
           put_output(answer, result, (size_t)parcel.output_len) &&
           put_padded(answer, caps, caps_len);
}

static bool run_job(struct inmate *inmate, const uint8_t **at, const uint8_t *end,
                    struct nub_answer *answer)
{
    struct job job;
    struct ground ground;
    struct result result = {.slot0 = NULL};
    struct javm_error err;
    const uint8_t *caps;
    uint8_t *left = NULL;
    size_t caps_len, left_len = 0;
    uint64_t timeout_ms;
    if (!parcel_job_get(at, end, &job, &ground, &timeout_ms, &caps, &caps_len))
        return false;
    const int64_t begun = clock_ns();
    const bool publishes = ground.keep || execute_publishes(&job);
    if (publishes)
        javm_annex_open(inmate->dir, inmate->scratch);
    if (caps_len > 0 && publish(inmate, caps, caps_len, &err) != JAVM_OK) {
        set_error(&result, "%s", err.text);
    } else {
        execute(inmate->vm, inmate->dir, &job, &ground, begun, timeout_ms, &result);
        if (ground.moved && collect(inmate, &ground.instance, &left, &left_len, &err) != JAVM_OK) {
            set_error(&result, "%s", err.text);
            ground.moved = false;
        }
    }
    const bool put =
        put_result(answer, &result, &ground, (uint64_t)(clock_ns() - begun), left, left_len);
    javm_annex_open(inmate->dir, NULL);
    if (publishes) { /* all of it goes: the next job brings what it needs */
        const struct javm_hash nothing = {{0}};
        (void)javm_annex_keep(inmate->scratch, &nothing);
    }
    free(left);
    result_clear(&result);
    return put;
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
    for (uint64_t i = 0; i < count && run_job(inmate, &at, end, answer); i++)
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

static void call(void *state, uint32_t fn, const uint8_t *payload, size_t len,
                 struct nub_answer *answer)
{
    if (fn == INMATE_RUN) {
        run_jobs(state, payload, len, answer);
    } else if (fn == INMATE_FIGURES) {
        figures(state, answer);
    } else if (fn == INMATE_PUBLISH) {
        const enum javm_status status = publish(state, payload, len, &answer->err);
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
    if (status != JAVM_OK)
        stop(inmate);
    return status;
}
