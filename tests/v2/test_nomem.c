/* Every allocation that an invocation makes is refused once.
 *
 * Would catch: a crash, a leak or a result where there is none; a kernel that is of no use
 * afterwards. */
#include <criterion/criterion.h>

#include <string.h>

#include "tests/v2/scene.h"
#include "tests/vm/refusing_malloc.h"

#define A     70u
#define CHILD 80u

/* Creates, lends, copies, asks for DIRTY, and goes deep. */
static void write_scene(struct scene *s)
{
    struct text *t = begin(s, 64), *v;
    li(t, 7, 3);
    op(t, OP_CALL, UNTYPED, A);
    args(t, 16, 0, 3, 1);
    op(t, OP_MAP, A, 0);
    store(t, 0x10000, 7);
    args(t, 0x11000, 8, 0, 0);
    op(t, OP_DIRTY, A, 0);
    for (unsigned i = 0; i < 20; i++) {
        li(t, 7, UINT64_MAX);
        call(t, 65, CHILD + i);
    }
    call(t, CHILD, A);
    load(t, 7, 0x10000);
    op(t, OP_COPY, 65, 29);
    li(t, 7, UINT64_MAX);
    call(t, 29, 200);
    call(t, 29, 201);
    reply(t);
    v = add_code(s, 65);
    args(v, 16, 0, 3, 1);
    op(v, OP_MAP, 0, 0);
    li(v, 7, 5);
    store(v, 0x10000, 7);
    li(v, 7, UINT64_MAX);
    call(v, 29, CHILD);
    call(v, CHILD, 0);
    reply(v);
}

static enum javm_status run(enum javm_engine engine, uint64_t refuse, struct javm_v2 **kept,
                            const struct javm_v2_blob *blob, struct javm_v2_result *result)
{
    const struct javm_v2_options options = {.engine = engine};
    const struct javm_v2_invocation invocation = {.gas = 10000000};
    countdown = refuse;
    refused = false;
    enum javm_status status = *kept != NULL ? JAVM_OK : javm_v2_create(&options, kept, NULL);
    if (status == JAVM_OK)
        status = javm_v2_invoke(*kept, (struct javm_v2_blob *)(uintptr_t)blob, &invocation, result,
                                NULL);
    countdown = 0;
    return status;
}

Test(v2_nomem, every_allocation_fails_once)
{
    struct scene s;
    write_scene(&s);
    struct javm_v2_blob *blob = make_blob(&s);
    for (unsigned e = 0; e < 2; e++) {
        const enum javm_engine engine = e == 0 || !javm_engine_available(JAVM_ENGINE_JIT)
                                            ? JAVM_ENGINE_INTERP
                                            : JAVM_ENGINE_JIT;
        struct javm_v2_result good, result;
        struct javm_v2 *v2 = NULL;
        uint64_t failures = 0;
        cr_assert_eq(run(engine, 0, &v2, blob, &good), JAVM_OK);
        cr_assert_eq(good.end, JAVM_V2_END_HALT);
        cr_assert_eq(good.value, 201);
        javm_v2_destroy(v2);
        for (uint64_t i = 1;; i++) {
            v2 = NULL;
            const enum javm_status status = run(engine, i, &v2, blob, &result);
            if (!refused) {
                cr_expect_eq(status, JAVM_OK);
                javm_v2_destroy(v2);
                break;
            }
            failures++;
            /* The recompiler does without some of its memory; then the result is as ever. */
            if (status == JAVM_OK)
                cr_expect(memcmp(&result, &good, sizeof good) == 0, "allocation %lu", i);
            else
                cr_expect_eq(status, JAVM_E_NOMEM, "allocation %lu: %d", i, (int)status);
            if (v2 != NULL) {
                cr_expect_eq(run(engine, 0, &v2, blob, &result), JAVM_OK, "allocation %lu", i);
                cr_expect(memcmp(&result, &good, sizeof good) == 0, "allocation %lu", i);
            }
            javm_v2_destroy(v2);
        }
        cr_expect_gt(failures, 15);
    }
    javm_v2_blob_release(blob);
    REQUIRE_NO_LEAKS();
}
