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
#include "batch/parcel.h"
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

/* The job that the first byte describes, and the line that its result becomes. */
static void read_results(const uint8_t *data, size_t size)
{
    static const struct target target = {.paused = false};
    const struct job job = {.target = &target,
                            .output = data[0] % 3,
                            .post = (data[0] & 4) != 0,
                            .on_pause = (data[0] & 8) != 0 ? ON_PAUSE_REPORT : ON_PAUSE_NONE};
    const uint8_t *at = data + 1, *end = data + size;
    for (;;) {
        struct ground ground = {.keep = (data[0] & 16) != 0};
        struct result result;
        const uint8_t *caps;
        size_t caps_len;
        const bool good = parcel_result_get(&at, end, &job, &ground, &result, &caps, &caps_len);
        if (good) {
            const struct result_style style = {.reproducible = true};
            const size_t room = result_line_max(&job, &result);
            char *line = malloc(room);
            demand(line != NULL);
            const char *stop = result_line(line, &job, 0, &result, 0, &style);
            demand((size_t)(stop - line) <= room && stop[-1] == '\n');
            demand(caps >= data && caps_len <= (size_t)(end - caps));
            demand(!ground.moved || ground.keep);
            free(line);
        }
        result_clear(&result);
        if (!good)
            return;
    }
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
