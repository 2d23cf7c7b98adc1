/* From an image that is published, and of which nothing was decoded or compiled, to the result of
 * its first invocation; then the same for another worker, who finds native code; then once more,
 * when all is there. Each time is of another image: they differ in a register that the entry
 * does not read, and so in their hash, under which everything is kept. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/image.h"
#include "javm/vm.h"

enum {
    IMAGES = 600, /* per program and engine */
    TURN = 100,   /* that many in a row, so that most find what images of their own kind left */
    UNREAD = 12,  /* a5 */
    AGAIN = 3,    /* so often until everything is ready */
    PROGRAMS = 4
};
enum { COLD, OTHER, READY, KINDS };

static const struct program {
    const char *file, *title;
    uint64_t args[4];
} programs[PROGRAMS] = {
    {"nop", "nop", {7}},
    {"blake2b", "blake2b of 64 bytes", {64, 0, 1}},
    {"keccak", "keccak of 64 bytes", {64, 0, 1}},
    {"signatures", "signatures: one Ed25519", {0, 1}},
};

struct way {
    enum javm_engine engine;
    struct javm_vm *vm[2]; /* of two workers */
    struct javm_hash instances[PROGRAMS][IMAGES];
    double ns[KINDS][PROGRAMS][IMAGES];
};

static struct way ways[2] = {{.engine = JAVM_ENGINE_INTERP}, {.engine = JAVM_ENGINE_JIT}};

static void publish(struct javm_dir_thread *dir, const char *folder, size_t p)
{
    struct bench_image image;
    struct javm_error err = {.text = ""};
    bench_image_load(folder, programs[p].file, &image);
    bench_check(javm_bundle_publish(&image.bundle, dir, NULL, &err), programs[p].file, &err);
    struct javm_image fields = *image.image;
    struct javm_endpoint entry = fields.endpoints[0];
    fields.endpoints = &entry;
    fields.endpoint_count = 1;
    for (unsigned i = 0; i < 2 * IMAGES; i++) {
        struct javm_cap *cap;
        struct javm_hash hash;
        entry.initial_regs[UNREAD] = i + 1;
        bench_check(javm_image_new(&fields, &cap, &err), programs[p].file, &err);
        bench_check(javm_directory_put(dir, cap, &hash, &err), programs[p].file, &err);
        bench_check(javm_vm_instantiate(dir, &hash, &ways[i % 2].instances[p][i / 2], &err),
                    programs[p].file, &err);
        javm_cap_release(cap);
    }
    javm_bundle_clear(&image.bundle);
}

static double invoke(const struct way *way, size_t worker, struct javm_dir_thread *dir, size_t p,
                     size_t i)
{
    const struct program *program = &programs[p];
    const struct javm_call call = {.instance = way->instances[p][i],
                                   .args = {program->args[0], program->args[1], program->args[2]},
                                   .gas = UINT64_MAX / 2};
    struct javm_call_result result;
    struct javm_error err = {.text = ""};
    const uint64_t start = bench_now_ns();
    const enum javm_status status = javm_vm_invoke(way->vm[worker], dir, &call, &result, &err);
    const uint64_t end = bench_now_ns();
    bench_check(status, program->title, &err);
    if (result.end != JAVM_END_HALT)
        abort();
    return (double)(end - start);
}

const struct bench_series *bench_cold(const char *images, size_t *count)
{
    static struct bench_series series[PROGRAMS * 2 * KINDS];
    struct javm_jit *jit;
    struct javm_directory *directory;
    struct javm_error err = {.text = ""};
    bench_check(javm_directory_create(1, 0, &directory, &err), "directory", &err);
    struct javm_dir_thread *dir = javm_directory_join(directory);
    if (dir == NULL)
        abort();
    for (size_t p = 0; p < PROGRAMS; p++)
        publish(dir, images, p);
    bench_check(javm_jit_create(NULL, &jit, &err), "recompiler", &err);
    for (size_t v = 0; v < 4; v++) {
        struct way *way = &ways[v / 2];
        const struct javm_vm_options options = {
            .engine = way->engine, .jit = jit, .program_cache_bytes = 256 << 20};
        bench_check(javm_vm_create(&options, &way->vm[v % 2], &err), "machine", &err);
    }
    for (size_t turn = 0; turn < IMAGES; turn += TURN)
        for (size_t p = 0; p < PROGRAMS; p++)
            for (size_t w = 0; w < 2; w++)
                for (size_t i = turn; i < turn + TURN; i++) {
                    ways[w].ns[COLD][p][i] = invoke(&ways[w], 0, dir, p, i);
                    ways[w].ns[OTHER][p][i] = invoke(&ways[w], 1, dir, p, i);
                    for (int again = 0; again < AGAIN; again++)
                        ways[w].ns[READY][p][i] = invoke(&ways[w], 0, dir, p, i);
                }
    *count = 0;
    for (size_t p = 0; p < PROGRAMS; p++)
        for (size_t k = 0; k < 2 * KINDS; k++) {
            static const char *const columns[2 * KINDS] = {
                "interpreter", "interpreter, other", "interpreter, ready",
                "recompiler",  "recompiler, other",  "recompiler, ready"};
            series[(*count)++] = (struct bench_series){"cold", programs[p].title, columns[k],
                                                       ways[k / KINDS].ns[k % KINDS][p], IMAGES};
        }
    for (size_t v = 0; v < 4; v++)
        javm_vm_destroy(ways[v / 2].vm[v % 2]);
    javm_jit_destroy(jit);
    javm_directory_leave(dir);
    javm_directory_destroy(directory);
    return series;
}
