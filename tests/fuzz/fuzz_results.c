/* Any bytes as a results file that a batch is to go on with, and that verify compares. The first
 * byte says whether it is plain, gzip or zstd. Beyond memory errors it would catch: a file that is
 * cut to what is said to be whole and then is not whole, or holds more or fewer lines; a refusal
 * without a message that names the file; a head of a line that reaches behind it; and a line that
 * differs from itself. */
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batch/difference.h"
#include "batch/history.h"
#include "batch/json.h"
#include "batch/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const NAMES[] = {"results", "results.gz", "results.zst"};
static char folder[512], paths[3][600];
static struct difference *difference;

static void require(bool good)
{
    if (!good)
        abort();
}

static void clean_up(void)
{
    for (int i = 0; i < 3; i++)
        unlink(paths[i]);
    rmdir(folder);
    difference_free(difference);
}

static void set_up(void)
{
    const char *base = getenv("TMPDIR");
    require(sodium_init() >= 0);
    snprintf(folder, sizeof folder, "%s/javm-fuzz-results-XXXXXX", base == NULL ? "/tmp" : base);
    require(mkdtemp(folder) != NULL);
    for (int i = 0; i < 3; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%s", folder, NAMES[i]);
    difference = difference_new();
    require(difference != NULL);
    atexit(clean_up);
}

/* The bag of what is whole; NULL: refused. */
static struct history *read_all(const char *path, uint64_t *whole)
{
    struct javm_error err = {.text = ""};
    struct history *history = history_new();
    require(history != NULL);
    const enum javm_status status = history_read(history, path, false, whole, &err);
    if (status == JAVM_OK)
        return history;
    require(status == JAVM_E_FORMAT && strstr(err.text, "results") != NULL);
    history_free(history);
    return NULL;
}

static bool check_line(void *arg, const struct line *line, const struct result_head *head,
                       struct javm_error *err)
{
    uint64_t *lines = arg;
    (void)err;
    ++*lines;
    require(head->id_len > 0 && RESULT_ID_AT + head->id_len < head->key_len);
    require(head->key_len + head->rep_len < head->same_len && head->same_len < line->len);
    if (line->len > 100000)
        return true;
    /* Against itself: the same bytes, or a message that it is damaged. */
    char *copy = calloc(1, line->len + json_padding()), *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);
    require(copy != NULL && memory != NULL);
    memcpy(copy, line->text, line->len);
    const bool differs =
        difference_tell(difference, memory, line->text, line->len, copy, line->len, head);
    require(fclose(memory) == 0);
    require(differs == (len > 0) && (!differs || strstr(text, "damaged") != NULL));
    free(text);
    free(copy);
    return true;
}

static bool count_whole(void *arg, struct javm_error *err)
{
    (void)arg;
    (void)err;
    return true;
}

static void check_lines(const char *path, uint64_t count)
{
    struct input *input;
    struct javm_error err;
    uint64_t lines = 0;
    const struct result_reader reader = {check_line, count_whole, &lines};
    require(input_open_results(path, &input, &err) == JAVM_OK);
    require(results_read(input, &reader, &err) == JAVM_OK && lines == count);
    input_close(input);
}

static void check_verify(const char *path)
{
    struct verify *verify;
    struct javm_error err;
    require(verify_open(path, path, &verify, &err) == JAVM_OK);
    verify_free(verify);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (difference == NULL)
        set_up();
    if (size == 0)
        return 0;
    const char *path = paths[data[0] % 3];
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)size - 1);
    uint64_t whole, again;
    struct history *history = read_all(path, &whole);
    if (history != NULL) {
        require(whole <= size - 1 && ftruncate(fd, (off_t)whole) == 0);
        struct history *cut = read_all(path, &again);
        require(cut != NULL && again == whole && history_count(cut) == history_count(history));
        check_lines(path, history_count(cut));
        check_verify(path);
        history_free(cut);
        history_free(history);
    }
    close(fd);
    return 0;
}
