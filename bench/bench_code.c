/* One iteration makes all the code of a set of programs ready and forgets it again: the gas model
 * is part of both ways, freeing too. */
#include "bench/bench_code.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/image.h"
#include "guest/native/guest_native.h"

struct set {
    struct bench_image *images;
    size_t count;
    uint64_t bytes;
    struct javm_jit *jit;
};

static void decode(void *context)
{
    const struct set *set = context;
    struct javm_error err = {.text = ""};
    for (size_t i = 0; i < set->count; i++) {
        const struct bench_image *image = &set->images[i];
        struct javm_program *program;
        bench_check(javm_program_decode_pvm2(image->image->code, image->image->code_len,
                                             &image->key, &program, &err),
                    "decode", &err);
        javm_program_free(program);
    }
}

static void compile(void *context)
{
    const struct set *set = context;
    struct javm_error err = {.text = ""};
    for (size_t i = 0; i < set->count; i++) {
        const struct bench_image *image = &set->images[i];
        struct javm_native *native;
        bench_check(javm_native_open(set->jit, NULL, image->image->code, image->image->code_len,
                                     &image->key, NULL, &native, &err),
                    "compile", &err);
        bench_check(javm_native_compile(native, &err), "compile", &err);
        javm_native_close(native);
    }
}

static void load(struct set *set, const char *folder, const char *name)
{
    struct bench_image *image = &set->images[set->count++];
    bench_image_load(folder, name, image);
    set->bytes += image->image->code_len;
}

void bench_code_rows(const char *images, struct bench *rows)
{
    static struct set sets[2];
    struct javm_error err = {.text = ""};
    bench_check(javm_jit_create(NULL, &sets[0].jit, &err), "recompiler", &err);
    sets[1].jit = sets[0].jit;
    for (size_t s = 0; s < 2; s++) {
        sets[s].images = calloc(guest_native_count, sizeof *sets[s].images);
        if (sets[s].images == NULL)
            abort();
    }
    for (size_t i = 0; i < guest_native_count; i++)
        load(&sets[0], images, guest_natives[i].name);
    load(&sets[1], images, "signatures");
    for (size_t i = 0; i < BENCH_CODE_ROWS; i++) {
        struct set *set = &sets[i / 2];
        rows[i].section = "compile";
        snprintf(rows[i].name, sizeof rows[i].name, "%s, %.1f KB",
                 set == sets ? "all guests" : "signatures", (double)set->bytes / 1e3);
        rows[i].column = i % 2 == 0 ? "interpreter" : "recompiler";
        rows[i].run = i % 2 == 0 ? decode : compile;
        rows[i].context = set;
        rows[i].items = (double)set->bytes;
    }
}
