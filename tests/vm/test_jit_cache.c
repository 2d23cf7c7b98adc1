/* The sample guests with a cache directory: compiled, then loaded by another store.
 *
 * Would catch: what generated code needs and a file does not bring back; a region of the real
 * compiler that the loader takes for a damaged one; a loaded program that is compiled again. */
#include <criterion/criterion.h>

#include <inttypes.h>

#include "tests/vm/jit_file_support.h"
#include "tests/vm/prebuilt.h"

TestSuite(jit_cache, .init = make_dir, .fini = remove_dir);

#define GUESTS 64

/* Every line of tests/guest/gas.txt. Returns how many guests it names. */
static unsigned run_all(struct javm_jit *jit, struct world *w)
{
    static struct {
        char name[32];
        struct javm_hash instance;
    } guests[GUESTS];
    const struct javm_vm_options options = {.engine = JAVM_ENGINE_JIT, .jit = jit};
    unsigned count = 0, lines = 0;
    char name[32];
    struct javm_call call = {.gas = UINT64_C(1) << 40};
    uint64_t value, gas;
    world_open(w, &options);
    FILE *golden = fopen(JAVM_SOURCE "/tests/guest/gas.txt", "r");
    REQUIRE(golden != NULL);
    while (fscanf(golden,
                  "%31s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " value %" SCNx64
                  " gas %" SCNu64,
                  name, &call.args[0], &call.args[1], &call.args[2], &call.args[3], &value,
                  &gas) == 7) {
        struct javm_call_result result;
        unsigned i = 0;
        while (i < count && strcmp(guests[i].name, name) != 0)
            i++;
        if (i == count) {
            REQUIRE(count++ < GUESTS);
            strcpy(guests[i].name, name);
            guests[i].instance = prebuilt(w->dir, name);
        }
        call.instance = guests[i].instance;
        REQUIRE(javm_vm_invoke(w->vm, w->dir, &call, &result, NULL) == JAVM_OK);
        cr_assert_eq(result.end, JAVM_END_HALT, "%s", name);
        cr_assert(result.value == value && result.gas_used == gas, "%s", name);
        javm_call_result_clear(&result);
        lines++;
    }
    REQUIRE(feof(golden) && lines >= 80);
    fclose(golden);
    javm_vm_destroy(w->vm); /* closes what it has open of the recompiler */
    w->vm = NULL;
    return count;
}

Test(jit_cache, guests_run_from_files_as_they_do_from_the_compiler)
{
    for (unsigned round = 0; round < 3; round++) {
        struct javm_jit *jit = jit_with(0);
        struct world w;
        const unsigned guests = run_all(jit, &w);
        cr_assert_eq(javm_jit_save(jit, NULL), JAVM_OK);
        const struct javm_jit_stats stats = stats_of(jit);
        cr_assert(stats.files_refused == 0 && stats.files_failed == 0);
        cr_assert_eq(stats.files_loaded, round == 0 ? 0 : guests);
        cr_assert_eq(stats.files_saved, round == 0 ? guests : 0);
        cr_assert_eq(stats.compiled_bytes == 0, round != 0);
        cr_assert_eq(files_in_dir(false), guests);
        javm_jit_destroy(jit);
        world_close(&w); /* looks for leaks, so after the recompiler is gone (see twin_no_leaks) */
    }
}
