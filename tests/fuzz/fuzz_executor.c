/* What a process that runs guests may leave in the shared region, as its host reads it: the head
 * and a lane as any bytes, and the answer as results of a batch's jobs.
 *
 * Would catch: a length, number or text of the region that is believed; a result that a job cannot
 * have, or that makes the writer of lines read what is not there. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "batch/definitions.h"
#include "batch/expect.h"
#include "batch/foreign.h"
#include "batch/parcel.h"
#include "batch/parcel_v2.h"
#include "batch/v2_show.h"
#include "vm/nub/cell.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool what)
{
    if (!what)
        abort();
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The bytes are the head, then a lane, then the answer; the process is as good as dead, so that
 * killing it needs none. */
static void read_region(const uint8_t *data, size_t size)
{
    const struct nub_cell_options options = {
        .nursery = (struct nub_nursery *)(uintptr_t)&options, /* never used */
        .lanes = 1,
        .in_bytes = 4096,
        .out_bytes = 4096};
    struct nub_cell cell;
    struct javm_nub_result result;
    struct javm_error err = {.text = ""};
    demand(nub_cell_open(&options, &cell, &err) == JAVM_OK);
    const size_t head = smaller(size, sizeof *cell.region.head);
    const size_t lane = smaller(size - head, sizeof *cell.region.lanes);
    memcpy(cell.region.head, data, head);
    memcpy(cell.region.lanes, data + head, lane);
    memcpy(cell.region.out, data + head + lane, smaller(size - head - lane, 4096));
    cell.region.head->call = NUB_CALL_DONE;
    cell.lives = true;
    cell.child = (struct nub_child){.pidfd = eventfd(1, EFD_CLOEXEC), .statm = -1};
    cell.parts = 3;
    const enum javm_status status = nub_cell_wait(&cell, &err);
    demand(status != JAVM_OK || (cell.answer_len <= 4096 && cell.progress <= 3));
    demand(memchr(err.text, '\0', sizeof err.text) != NULL);
    if (nub_cell_take(&cell, 0, 7, &result) == JAVM_OK)
        demand(result.exit_reason <= JAVM_NUB_EXIT_MAX && result.exit_reason != 5);
    nub_cell_close(&cell);
}

/* ---- results ---------------------------------------------------------------------------- */

struct kind {
    struct foreign foreign;
    struct target target;
    struct v2_job v2;
    struct job job;
};

/* The job that the byte describes: on an instance, a PVM program (64), or of JAR v2 (32). */
static void make_job(uint8_t byte, struct kind *kind)
{
    static char *names[] = {(char *)(uintptr_t) "name"};
    static const struct javm_v2_item item = {{"a", 1}, {"1", 1}};
    const bool v2 = (byte & 32) != 0, foreign = !v2 && (byte & 64) != 0;
    *kind = (struct kind){.foreign.names = names,
                          .foreign.program.import_count = 1,
                          .v2.state.context = (byte & 4) != 0 ? JAVM_V2_REFINE : JAVM_V2_ACCUMULATE,
                          .v2.state.exports = 2,
                          .v2.compares = (byte & 12) == 8,
                          .v2.storage = {&item, 1, 36, 1},
                          .v2.storage_text = {"{\"0x61\":\"0x31\"}", 15},
                          .v2.expect.present = 1u << FIELD_STORAGE,
                          .v2.digest = 1}; /* of no program */
    kind->target.foreign = foreign ? &kind->foreign : NULL;
    kind->job = (struct job){.target = v2 ? NULL : &kind->target,
                             .v2 = v2 ? &kind->v2 : NULL,
                             .gas = 1000,
                             .output = byte % 3,
                             .post = !v2 && !foreign && (byte & 4) != 0,
                             .on_pause = !v2 && !foreign && (byte & 8) != 0 ? ON_PAUSE_REPORT
                                                                            : ON_PAUSE_NONE,
                             .expect = v2 && kind->v2.compares ? &kind->v2.expect : NULL};
}

static void write_line(const struct job *job, const struct result *result)
{
    const struct result_style style = {.reproducible = true};
    const size_t room = result_line_max(job, result);
    const uint32_t mismatch = job->expect == NULL ? 0 : expect_compare(job->expect, result);
    char *line = malloc(room);
    demand(line != NULL);
    const char *stop = result_line(line, job, 0, result, mismatch, &style);
    demand((size_t)(stop - line) <= room && stop[-1] == '\n');
    free(line);
}

/* The lines that results become. */
static void read_results(const uint8_t *data, size_t size)
{
    const uint8_t *at = data + 1, *end = data + size;
    struct v2_texts texts = {0};
    struct kind kind;
    make_job(data[0], &kind);
    for (bool good = true; good;) {
        struct ground ground = {.keep = kind.job.v2 == NULL && (data[0] & 16) != 0};
        struct result result;
        struct javm_bytes v2, caps;
        good = parcel_result_get(&at, end, &kind.job, &ground, &result, &v2, &caps);
        if (good) {
            const uint8_t *part = caps.data;
            demand(part >= data && caps.len <= (size_t)(end - part));
            demand(!ground.moved || ground.keep);
        }
        if (good && kind.job.v2 != NULL && result.outcome != OUTCOME_ERROR)
            good = parcel_v2_show(&v2, &kind.job, &texts, &result);
        if (good)
            write_line(&kind.job, &result);
        result_clear(&result);
    }
    v2_texts_clear(&texts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 128)
        read_region(data + 1, size - 1);
    else
        read_results(data, size);
    return 0;
}
