/* The system refuses a change of protection: each one once, and all from one on.
 *
 * Would catch: a page that stays accessible after the kernel believed that it closed it; bytes lost
 * when all windows are given up; a crash or a wrong result instead of NOMEM. */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/v2/scene.h"

int __real_mprotect(void *address, size_t len, int protection);
int __wrap_mprotect(void *address, size_t len, int protection);

static uint64_t countdown; /* the so manieth is refused; 0: none */
static bool for_good, refused;

int __wrap_mprotect(void *address, size_t len, int protection)
{
    if (countdown != 0 && (countdown == 1 || --countdown == 0)) {
        countdown = for_good;
        refused = true;
        errno = ENOMEM;
        return -1;
    }
    return __real_mprotect(address, len, protection);
}

#define A        70u
#define CHILD    80u
#define AT(page) ((uint32_t)(page) << 12)

static void change(struct text *t, uint32_t page)
{
    load(t, 1, AT(page));
    PUT(t, 149, 0x11, 1);
    store(t, AT(page), 1);
}

static void write_scene(struct scene *s)
{
    struct text *t = begin(s, 64), *v;
    li(t, 7, 12);
    op(t, OP_CALL, UNTYPED, A);
    args(t, 16, 0, 12, 1);
    op(t, OP_MAP, A, 0);
    for (uint32_t i = 0; i < 12; i += 2)
        change(t, 16 + i);
    store(t, AT(21) - 4, 1); /* two pages */
    args(t, 0, 5, 0, 0);
    op(t, OP_UNMAP, A, 0);
    args(t, 16, 0, 5, 1);
    op(t, OP_MAP, A, 0);
    args(t, AT(8), 8, 0, 0);
    op(t, OP_DIRTY, A, 0);
    for (uint32_t i = 0; i < 12; i++)
        change(t, 16 + i);
    li(t, 7, 0);
    call(t, 65, CHILD);
    call(t, CHILD, A);
    load(t, 7, AT(8));
    for (uint32_t i = 0; i < 12; i++) {
        load(t, 1, AT(16 + i));
        PUT(t, 200, 0x17, 7);
    }
    reply(t);
    v = add_code(s, 65);
    args(v, 40, 0, 12, 1);
    op(v, OP_MAP, 0, 0);
    for (uint32_t i = 0; i < 12; i++)
        change(v, 40 + i);
    reply(v);
    add_data(s, 66, 8, 1, true, NULL, 0);
}

Test(v2_refused, every_change_of_protection)
{
    struct scene s;
    write_scene(&s);
    struct javm_v2_blob *blob = make_blob(&s);
    const struct javm_v2_invocation invocation = {.gas = 10000000};
    for (unsigned e = 0; e < 4; e++) {
        const struct javm_v2_options options = {.engine = (enum javm_engine)(e % 2)};
        struct javm_v2_result good, result;
        struct javm_v2 *v2;
        unsigned failures = 0;
        if (!javm_engine_available(options.engine))
            continue;
        cr_assert_eq(javm_v2_create(&options, &v2, NULL), JAVM_OK);
        cr_assert_eq(javm_v2_invoke(v2, blob, &invocation, &good, NULL), JAVM_OK);
        cr_assert_eq(good.end, JAVM_V2_END_HALT);
        refused = true;
        for (uint64_t i = 1; refused; i++) {
            for_good = e >= 2;
            countdown = i;
            refused = false;
            const enum javm_status status = javm_v2_invoke(v2, blob, &invocation, &result, NULL);
            countdown = 0;
            for_good = false;
            failures += refused;
            if (status == JAVM_OK)
                cr_expect(memcmp(&result, &good, sizeof good) == 0, "%u, change %lu", e, i);
            else
                cr_expect(refused && status == JAVM_E_NOMEM, "%u, change %lu", e, i);
            cr_expect_eq(javm_v2_invoke(v2, blob, &invocation, &result, NULL), JAVM_OK);
            cr_expect(memcmp(&result, &good, sizeof good) == 0, "%u, after change %lu", e, i);
        }
        cr_expect_gt(failures, 5);
        javm_v2_destroy(v2);
    }
    javm_v2_blob_release(blob);
    REQUIRE_NO_LEAKS();
}
