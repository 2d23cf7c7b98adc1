#include "batch/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "batch/diag.h"
#include "batch/difference.h"
#include "batch/history.h"
#include "batch/json.h"
#include "batch/text.h"

#define KEPT_BYTES (64u << 20)

/* A line of the new run that was not recorded so. */
struct kept {
    uint64_t key;
    uint64_t order;
    char *line; /* with json_padding() */
    size_t len;
    bool told;
};

struct verify {
    const char *path, *name;  /* name: for messages */
    struct history *recorded; /* whole lines, without us and worker */
    struct history *open;     /* what names the job in lines of the new run without their like */
    struct difference *difference;
    struct kept *kept;
    size_t kept_count, kept_capacity, kept_bytes;
    uint64_t equal, different, missing, extra;
    /* while it is told */
    FILE *to;
    bool complete;
};

static enum javm_status no_memory(const char *path, struct javm_error *err)
{
    return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", path);
}

/* ---- the recorded lines ----------------------------------------------------------------- */

static bool no_matter(void *arg, struct javm_error *err)
{
    (void)arg;
    (void)err;
    return true;
}

static bool record(void *arg, const struct line *line, const struct result_head *head,
                   struct javm_error *err)
{
    struct verify *verify = arg;
    if (history_add(verify->recorded, history_hash(verify->recorded, line->text, head->same_len),
                    false))
        return true;
    no_memory(verify->name, err);
    return false;
}

static enum javm_status read_twice(struct verify *verify, bool first, struct javm_error *err);

enum javm_status verify_open(const char *path, const char *name, struct verify **out,
                             struct javm_error *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE,
                         "%s: results are read twice, so they have to be in a file", name);
    struct verify *verify = calloc(1, sizeof *verify);
    if (verify == NULL)
        return no_memory(name, err);
    verify->path = path;
    verify->name = name;
    verify->recorded = history_new();
    verify->open = history_new();
    verify->difference = difference_new();
    enum javm_status status = JAVM_OK;
    if (verify->recorded == NULL || verify->open == NULL || verify->difference == NULL)
        status = no_memory(name, err);
    if (status == JAVM_OK)
        status = read_twice(verify, true, err);
    if (status == JAVM_OK)
        *out = verify;
    else
        verify_free(verify);
    return status;
}

void verify_free(struct verify *verify)
{
    if (verify == NULL)
        return;
    for (size_t i = 0; i < verify->kept_count; i++)
        free(verify->kept[i].line);
    free(verify->kept);
    difference_free(verify->difference);
    history_free(verify->recorded);
    history_free(verify->open);
    free(verify);
}

/* ---- the new ones ----------------------------------------------------------------------- */

/* As long as there is room; without it the difference is told without what it is. */
static bool keep(struct verify *verify, uint64_t key, const char *line, size_t len)
{
    if (len > KEPT_BYTES - verify->kept_bytes)
        return true;
    if (verify->kept_count == verify->kept_capacity) {
        const size_t capacity = verify->kept_capacity * 2 + 64;
        struct kept *more = realloc(verify->kept, capacity * sizeof *more);
        if (more == NULL)
            return false;
        verify->kept = more;
        verify->kept_capacity = capacity;
    }
    char *copy = calloc(1, len + json_padding());
    if (copy == NULL)
        return false;
    memcpy(copy, line, len);
    verify->kept[verify->kept_count] = (struct kept){key, verify->kept_count, copy, len, false};
    verify->kept_count++;
    verify->kept_bytes += len;
    return true;
}

static bool one_line(struct verify *verify, const char *line, size_t len)
{
    struct result_head head;
    struct problem problem;
    bool failed;
    errno = EINVAL;
    if (!result_head(line, len, &head, &problem))
        return false;
    if (history_take(verify->recorded, history_hash(verify->recorded, line, head.same_len),
                     &failed)) {
        verify->equal++;
        return true;
    }
    const uint64_t key = history_hash(verify->open, line, head.key_len);
    errno = ENOMEM;
    return history_add(verify->open, key, false) && keep(verify, key, line, len);
}

bool verify_lines(struct verify *verify, const char *bytes, size_t len)
{
    for (const char *at = bytes, *end = bytes + len; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!one_line(verify, at, (size_t)(newline - at)))
            return false;
        at = newline + 1;
    }
    return true;
}

/* ---- the report ------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static int by_order(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    return x->order < y->order ? -1 : 1;
}

/* The first one of that job that was not told. */
static struct kept *find_kept(const struct verify *verify, uint64_t key)
{
    size_t low = 0, high = verify->kept_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (verify->kept[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < verify->kept_count && verify->kept[low].key == key; low++)
        if (!verify->kept[low].told)
            return &verify->kept[low];
    return NULL;
}

/* A recorded line: has it its like, the same job with another result, or nothing? */
static bool look_up(void *arg, const struct line *line, const struct result_head *head,
                    struct javm_error *err)
{
    struct verify *verify = arg;
    bool failed;
    (void)err;
    if (!history_take(verify->recorded, history_hash(verify->recorded, line->text, head->same_len),
                      &failed))
        return true; /* its like was found in the run */
    const uint64_t key = history_hash(verify->open, line->text, head->key_len);
    if (!history_take(verify->open, key, &failed)) {
        if (verify->complete) {
            verify->extra++;
            difference_name(verify->to, line->text, head);
            fprintf(verify->to, "extra: line %llu, no job of the file\n",
                    (unsigned long long)line->number);
        }
        return true;
    }
    struct kept *kept = find_kept(verify, key);
    if (kept == NULL) {
        verify->different++;
        difference_name(verify->to, line->text, head);
        fputs("differs\n", verify->to);
        return true;
    }
    kept->told = true;
    if (difference_tell(verify->difference, verify->to, line->text, line->len, kept->line,
                        kept->len, head))
        verify->different++;
    else
        verify->equal++; /* the same, written differently */
    return true;
}

static void tell_missing(struct verify *verify)
{
    uint64_t told = 0;
    verify->missing = history_count(verify->open);
    if (verify->kept_count > 0)
        qsort(verify->kept, verify->kept_count, sizeof *verify->kept, by_order);
    for (size_t i = 0; i < verify->kept_count; i++) {
        struct result_head head;
        struct problem problem;
        const struct kept *kept = &verify->kept[i];
        if (kept->told || !result_head(kept->line, kept->len, &head, &problem))
            continue;
        difference_name(verify->to, kept->line, &head);
        fputs("missing: no such line was recorded\n", verify->to);
        told++;
    }
    if (verify->missing > told)
        fprintf(verify->to, "and %llu more missing\n",
                (unsigned long long)(verify->missing - told));
}

static enum javm_status read_twice(struct verify *verify, bool first, struct javm_error *err)
{
    struct input *input;
    const struct result_reader reader = {first ? record : look_up, no_matter, verify};
    enum javm_status status = input_open_results(verify->path, &input, err);
    if (status != JAVM_OK)
        return status;
    input_call(input, verify->name);
    status = results_read(input, &reader, err);
    uint64_t consumed, size;
    input_position(input, &consumed, &size);
    if (status == JAVM_OK && first && input_whole(input) != size)
        complain("warning: %s is torn behind byte %llu", verify->name,
                 (unsigned long long)input_whole(input));
    input_close(input);
    return status;
}

enum javm_status verify_report(struct verify *verify, FILE *to, FILE *log, bool complete,
                               bool *equal, struct javm_error *err)
{
    char a[32], b[32], c[32], d[32];
    verify->to = to;
    verify->complete = complete;
    if (verify->kept_count > 0)
        qsort(verify->kept, verify->kept_count, sizeof *verify->kept, by_key);
    enum javm_status status = read_twice(verify, false, err);
    if (status == JAVM_OK && complete)
        tell_missing(verify);
    if (status == JAVM_OK && (fflush(to) != 0 || ferror(to)))
        status = javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "<stdout>: %s", strerror(errno));
    fprintf(log, "%s: %s equal, %s different, %s missing, %s extra%s\n", verify->name,
            text_grouped(a, verify->equal), text_grouped(b, verify->different),
            text_grouped(c, verify->missing), text_grouped(d, verify->extra),
            complete ? "" : "; the run is not complete, so what is missing or extra is not known");
    *equal = verify->different + verify->missing + verify->extra == 0;
    return status;
}
