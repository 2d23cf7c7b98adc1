/* Defects that this would catch: two nodes that share a store, or a node that gets a second one;
 * figures of one store told as those of all; a store that cannot be made for a node and leaves its
 * workers with none. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch/natives.h"

/* trap */
static const uint8_t CODE[] = {0, 0, 0, 0};

/* NULL: no recompiler on this machine, nothing to test. */
static struct natives *make(const char *cache)
{
    struct javm_error err;
    struct natives *natives = NULL;
    const enum javm_status status = natives_new(cache, false, &natives, &err);
    if (status == JAVM_E_UNSUPPORTED)
        return NULL;
    cr_assert_eq(status, JAVM_OK, "%s", err.text);
    return natives;
}

static void compile(struct javm_jit *jit)
{
    static const struct javm_program_key KEY = {.footprint_pages = 1};
    struct javm_native *native;
    struct javm_error err;
    cr_assert_eq(javm_native_open(jit, NULL, CODE, sizeof CODE, &KEY, NULL, &native, &err),
                 JAVM_OK);
    cr_assert_eq(javm_native_compile(native, &err), JAVM_OK);
    javm_native_close(native);
}

Test(natives, one_for_each_node)
{
    struct natives *natives = make(NULL);
    if (natives == NULL)
        return;
    struct javm_jit *three = natives_of_node(natives, 3), *zero = natives_of_node(natives, 0);
    cr_expect_neq(three, zero);
    cr_expect_eq(natives_of_node(natives, 3), three);
    cr_expect_eq(natives_of_node(natives, 0), zero);
    struct javm_jit_stats stats;
    compile(three);
    natives_stats(natives, &stats);
    const uint64_t one = stats.compiled_bytes;
    cr_expect_gt(one, 0);
    compile(zero);
    natives_stats(natives, &stats);
    cr_expect_eq(stats.compiled_bytes, 2 * one);
    natives_free(natives);
}

static void *ask(void *arg)
{
    return natives_of_node(arg, 1);
}

Test(natives, workers_that_start_together)
{
    struct natives *natives = make(NULL);
    if (natives == NULL)
        return;
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, ask, natives), 0);
    for (int i = 0; i < 8; i++) {
        void *jit;
        pthread_join(threads[i], &jit);
        cr_expect_eq(jit, natives_of_node(natives, 1));
    }
    natives_free(natives);
}

Test(natives, a_node_without_a_store_of_its_own)
{
    char folder[] = "/tmp/javm-natives-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    struct natives *natives = make(folder);
    if (natives == NULL)
        return;
    struct javm_jit *first = natives_of_node(natives, 0);
    chmod(folder, 0777); /* from here on it is refused */
    cr_expect_eq(natives_of_node(natives, 1), first);
    cr_expect_eq(natives_of_node(natives, 1), first);
    natives_free(natives);
    rmdir(folder);
}

Test(natives, a_cache_that_cannot_be)
{
    struct natives *natives = NULL;
    struct javm_error err;
    const enum javm_status status = natives_new("/dev/null", false, &natives, &err);
    cr_expect(status == JAVM_E_IO || status == JAVM_E_UNSUPPORTED);
    cr_expect_null(natives);
    natives_free(NULL);
}
