/* Kernels that share a store of native code.
 *
 * Would catch: a program that each kernel compiles for itself, or that a store with a cache does
 * not keep; code that is read after its blob is gone; blobs that a store never lets go; two
 * programs under one name, which would run each other's code. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/v2/scene.h"

static void write_scene(struct scene *s, uint64_t value)
{
    struct text *t = begin(s, 16);
    add_data(s, 66, 7, 1, true, &value, sizeof value); /* blobs differ, programs do not */
    load(t, 7, 7u << 12);
    PUT(t, 149, 0x77, 1); /* φ[7] += 1 */
    reply(t);
}

struct user {
    pthread_t thread;
    struct javm_jit *jit;
    uint64_t first, wrong;
};

/* A few blobs, one after the other in a kernel of its own. */
static void *use(void *arg)
{
    struct user *user = arg;
    struct javm_v2 *v2;
    const struct javm_v2_options options = {.engine = JAVM_ENGINE_JIT, .jit = user->jit};
    REQUIRE(javm_v2_create(&options, &v2, NULL) == JAVM_OK);
    for (uint64_t i = user->first; i < user->first + 5; i++) {
        struct scene s;
        struct javm_v2_result result;
        write_scene(&s, i);
        struct javm_v2_blob *blob = make_blob(&s);
        const struct javm_v2_invocation invocation = {.gas = 100000};
        REQUIRE(javm_v2_invoke(v2, blob, &invocation, &result, NULL) == JAVM_OK);
        javm_v2_blob_release(blob);
        user->wrong += result.end != JAVM_V2_END_HALT || result.value != i + 1;
    }
    javm_v2_destroy(v2);
    return NULL;
}

static struct javm_jit_stats used(struct javm_jit *jit, unsigned users)
{
    struct user all[4];
    struct javm_jit_stats stats;
    for (unsigned i = 0; i < users; i++) {
        all[i] = (struct user){.jit = jit, .first = 10 * i};
        REQUIRE(pthread_create(&all[i].thread, NULL, use, &all[i]) == 0);
    }
    for (unsigned i = 0; i < users; i++) {
        pthread_join(all[i].thread, NULL);
        cr_expect_eq(all[i].wrong, 0);
    }
    javm_jit_stats(jit, &stats);
    return stats;
}

static struct javm_jit *store_in(const char *dir)
{
    const struct javm_jit_options options = {.cache_dir = dir};
    struct javm_jit *jit;
    cr_assert_eq(javm_jit_create(&options, &jit, NULL), JAVM_OK);
    return jit;
}

static void remove_files(const char *path)
{
    DIR *dir = opendir(path);
    cr_assert_not_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        unlinkat(dirfd(dir), entry->d_name, 0); /* refuses . and .. */
    closedir(dir);
    cr_expect_eq(rmdir(path), 0);
}

Test(v2_share, a_program_is_compiled_once)
{
    char dir[] = "/tmp/javm-v2-XXXXXX";
    if (!javm_engine_available(JAVM_ENGINE_JIT))
        return;
    cr_assert_not_null(mkdtemp(dir));
    struct javm_jit *jit = store_in(dir);
    const uint64_t once = used(jit, 1).compiled_bytes;
    cr_expect_gt(once, 0);
    struct javm_jit_stats stats = used(jit, 4);
    cr_expect_eq(stats.compiled_bytes, once, "%lu, %lu at first", stats.compiled_bytes, once);
    cr_expect_eq(stats.programs, 1);
    javm_jit_forget(jit);
    javm_jit_stats(jit, &stats);
    cr_expect_eq(stats.programs, 0);
    javm_jit_destroy(jit);

    jit = store_in(dir);
    stats = used(jit, 4);
    cr_expect_eq(stats.compiled_bytes, 0);
    cr_expect_eq(stats.files_loaded, 1);
    javm_jit_destroy(jit);
    remove_files(dir);
    REQUIRE_NO_LEAKS();
}

Test(v2_share, other_programs_have_other_names)
{
    static const uint8_t code[] = {0, 1, 0, 1, 0, 0, 0, 0, 0}, mask[] = {1, 1};
    static const uint8_t code2[] = {0, 1, 0, 1, 0, 0, 0, 0, 1}, mask2[] = {3, 1};
    static const uint32_t jumps[] = {0, 8}, jumps2[] = {8, 0};
    const struct javm_pvm_code first = {code, 9, mask, jumps, 2, JAVM_PVM_JAR1, JAVM_PVM_ECALL};
    struct javm_pvm_code others[8];
    unsigned n = 0;
    for (; n < 8; n++)
        others[n] = first;
    others[1].code = code2;
    others[2].bitmask = mask2;
    others[3].jump_table = jumps2;
    others[4].jump_len = 1;
    others[5].code_len = 8; /* then the mask is a byte, as the last one of the code was */
    others[6].profile = JAVM_PVM_GP;
    others[7].features = JAVM_PVM_SBRK;
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < i; k++) {
            const struct javm_hash a = javm_pvm_name(&others[i]), b = javm_pvm_name(&others[k]);
            cr_expect_not(javm_hash_equal(&a, &b), "%u, %u", i, k);
        }
    const struct javm_hash a = javm_pvm_name(&first), b = javm_pvm_name(&others[0]);
    cr_expect(javm_hash_equal(&a, &b));
}
