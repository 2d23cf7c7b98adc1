/* Invocations of one blob after the first ones: they change no protection, and so take no fault of
 * generated code either (each of which opens a page).
 *
 * Would catch: a page that is closed and opened in each invocation because its bytes are others
 * (arguments), or because the host writes to it; workers of one process wait for each other there.
 * And bytes of the invocation before in a page that stays open. */
#include <criterion/criterion.h>

#include <string.h>
#include <sys/mman.h>

#include "tests/v2/scene.h"

int __real_mprotect(void *address, size_t len, int protection);
int __wrap_mprotect(void *address, size_t len, int protection);

static uint64_t changes;

int __wrap_mprotect(void *address, size_t len, int protection)
{
    changes++;
    return __real_mprotect(address, len, protection);
}

#define A        70u
#define CHILD    80u
#define NOTHING  96u
#define ANSWER   20u
#define AT(page) ((uint32_t)(page) << 12)
#define BUFFER   AT(10)

/* The service writes what it counts to, where the guest has read before. */
static enum javm_v2_answer serve(void *context, struct javm_v2 *v2, struct javm_v2_call *c)
{
    uint64_t *count = context;
    ++*count;
    if (c->id == ANSWER)
        cr_assert(javm_v2_write(v2, BUFFER, count, sizeof *count));
    return JAVM_V2_CONTINUE;
}

static void add_from(struct text *t, uint32_t address)
{
    load(t, 1, address);
    PUT(t, 200, 0x19, 9); /* φ[9] += φ[1] */
}

static void ask_and_add(struct text *t)
{
    ecalli(t, ANSWER);
    add_from(t, BUFFER);
}

/* Sums up the arguments, a constant, what a service wrote twice and what a child left in a page
 * that was zeros before. */
static void write_scene(struct scene *s, bool writable_args)
{
    static const uint64_t constant = 1000;
    struct text *t = begin(s, 32), *child;
    li(t, 9, 0);
    add_from(t, AT(5));
    add_from(t, AT(7));
    add_from(t, BUFFER);
    ask_and_add(t);
    ask_and_add(t);
    PUT(t, 100, 0x95); /* move_reg φ[5], φ[9] */
    li(t, 7, 1);
    op(t, OP_CALL, UNTYPED, A);
    li(t, 7, 0);
    call(t, 65, CHILD);
    op(t, OP_MOVE, A, CHILD << 8 | A);
    args(t, 100, 0, 1, 1);
    op(t, OP_MAP, CHILD << 8 | A, 0);
    call(t, CHILD, NOTHING);
    PUT(t, 200, 0x57, 7); /* φ[7] += φ[5] */
    reply(t);
    child = add_code(s, 65);
    load(child, 7, AT(100));
    li(child, 1, 1000000);
    PUT(child, 200, 0x17, 7);
    store(child, AT(100), 7);
    reply(child);
    add_data(s, 0, 5, 1, writable_args, NULL, 0);
    add_data(s, 66, 7, 1, false, &constant, sizeof constant);
    add_data(s, 67, BUFFER >> 12, 1, true, NULL, 0);
}

/* The most changes of protection in an invocation after the second. */
static uint64_t most_changes(const struct scene *s, enum javm_engine engine)
{
    struct javm_v2_blob *blob = make_blob(s);
    uint64_t count = 0, most = 0;
    const struct javm_v2_host host = {&count, serve};
    struct javm_v2 *v2;
    cr_assert_eq(javm_v2_create(&(struct javm_v2_options){.engine = engine}, &v2, NULL), JAVM_OK);
    for (uint64_t i = 0; i < 20; i++) {
        const uint64_t words[2] = {i, i};
        const struct javm_v2_invocation invocation = {.args = (const uint8_t *)words,
                                                      .args_len = i % 2 == 0 ? 8 : 16,
                                                      .gas = 10000000,
                                                      .host = &host};
        struct javm_v2_result result;
        changes = count = 0;
        cr_assert_eq(javm_v2_invoke(v2, blob, &invocation, &result, NULL), JAVM_OK);
        cr_expect_eq(result.end, JAVM_V2_END_HALT);
        cr_expect_eq(result.value, i + 1000 + 1 + 2 + 1000000, "%lu: %lu", i, result.value);
        if (i >= 2 && changes > most)
            most = changes;
    }
    javm_v2_destroy(v2);
    javm_v2_blob_release(blob);
    return most;
}

Test(v2_warm, no_change_of_protection)
{
    struct scene s;
    for (unsigned e = 0; e < 2; e++) {
        if (!javm_engine_available((enum javm_engine)e))
            continue;
        write_scene(&s, true);
        cr_expect_eq(most_changes(&s, (enum javm_engine)e), 0, "engine %u", e);
        /* Arguments in a page that the guest may only read: open for writing, and not. */
        write_scene(&s, false);
        cr_expect_eq(most_changes(&s, (enum javm_engine)e), 2, "engine %u", e);
    }
    REQUIRE_NO_LEAKS();
}
