/* Any bytes as the description of a recorded run (docs/formats.md), with jobs, results and two
 * files beside it. Beyond memory errors it would catch: a refusal without a message that names the
 * file; options that a recording must not set; bytes that are not those of a part; anything that
 * was opened and stays. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/memory_file.h"
#include "batch/record.h"
#include "javm/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good)
        abort();
}

static void add(struct javm_bundle *b, const char *name, const void *bytes, size_t len)
{
    b->roots[b->root_count].name = strdup(name);
    require(b->roots[b->root_count].name != NULL);
    b->roots[b->root_count++].cap = b->cap_count;
    b->caps[b->cap_count] = javm_data_new(bytes, len);
    require(b->caps[b->cap_count++] != NULL);
}

static void use(struct recording *r)
{
    static const char *const FILES[] = {"a.jimg", "in/b"};
    struct options options = {.gas = DEFAULT_GAS, .shards = 1, .workers = 7};
    struct javm_error err;
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *bytes;
        size_t len;
        if (recording_file(r, FILES[i], &bytes, &len, &err) != JAVM_OK)
            continue;
        for (size_t k = 0; k < len; k++)
            require(bytes[k] == (k < 4 ? "file"[k] : 0));
        free(bytes);
    }
    require(recording_base(r) != NULL && recording_jobs(r).name != NULL);
    if (recording_options(r, &options, &err) == JAVM_OK)
        require(options.workers == 7 && options.output == NULL && options.cache == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct javm_bundle bundle = {0};
    struct memory_file file;
    struct recording *recording;
    struct javm_error err = {.text = ""};
    uint8_t *bytes;
    size_t len;
    require(sodium_init() >= 0);
    if (size == 0)
        return 0;
    bundle.caps = calloc(5, sizeof *bundle.caps);
    bundle.roots = calloc(5, sizeof *bundle.roots);
    require(bundle.caps != NULL && bundle.roots != NULL);
    add(&bundle, "recording", data, size);
    add(&bundle, "jobs", "{\"invoke\":\"d\"}\n", 15);
    add(&bundle, "results", "{}\n", 3);
    add(&bundle, "file.0", "file", 4);
    add(&bundle, "file.1", "file", 4);
    require(javm_bundle_encode(&bundle, &bytes, &len, &err) == JAVM_OK);
    javm_bundle_clear(&bundle);
    require(memory_file_make(&file, bytes, len));
    free(bytes);
    require(recording_is(file.name));
    if (recording_open(file.name, &recording, &err) == JAVM_OK) {
        use(recording);
        recording_free(recording);
    } else {
        require(strstr(err.text, file.name) != NULL);
    }
    memory_file_close(&file);
    return 0;
}
