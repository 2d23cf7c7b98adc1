/* The directory's contract, one thread at a time.
 *
 * Would catch: a put that is not idempotent or skips its closure check; failures that change
 * something; a view that dies with its publisher; mutable Images or Types; CapRefs of another
 * directory that pass; a self-reference; a replaced or swept value that leaks or is freed early
 * (under the address sanitizer); a sweep that takes held entries, stops before its fixpoint, or
 * costs a pass per level of a chain; a settle that hashes a live cap, visits a shared child once
 * per path, overflows the stack or hangs on a cycle; statistics that do not add up. */
#include <criterion/criterion.h>

#include "tests/cache/support.h"

static struct javm_directory *dir;
static struct javm_dir_thread *self;

static void set_up(void)
{
    dir = make_directory(1, 4);
    self = javm_directory_join(dir);
    cr_assert_not_null(self);
}

static void tear_down(void)
{
    javm_directory_leave(self);
    javm_directory_destroy(dir);
    REQUIRE_NO_LEAKS();
}

/* Not a Criterion fixture: a failure in one of those does not fail the test. */
#define DIRECTORY_TEST(name) \
    static void name(void);  \
    Test(directory, name)    \
    {                        \
        set_up();            \
        name();              \
        tear_down();         \
    }                        \
    static void name(void)

static struct javm_hash put(struct javm_cap *cap)
{
    struct javm_hash hash;
    cr_assert_eq(javm_directory_put(self, cap, &hash, NULL), JAVM_OK);
    javm_cap_release(cap);
    return hash;
}

static uint64_t read_pages(const struct javm_target *ref)
{
    struct javm_cap *view;
    cr_assert_eq(javm_directory_get_ref(self, ref->ref, &view, NULL), JAVM_OK);
    uint64_t pages = javm_data_pages(view);
    javm_cap_release(view);
    return pages;
}

/* ---- creation --------------------------------------------------------------------------- */

Test(creation, shards_are_a_power_of_two_and_four_per_worker)
{
    const struct {
        unsigned workers, shards;
        uint64_t expected;
    } cases[] = {{1, 1, 4},    {1, 5, 8},  {3, 0, 64},        {0, 0, 64},
                 {17, 0, 128}, {3, 2, 16}, {16384, 0, 65536}, {16, 65536, 65536}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct javm_directory *made = make_directory(cases[i].workers, cases[i].shards);
        struct javm_dir_thread *thread = javm_directory_join(made);
        struct javm_directory_stats stats;
        javm_directory_stats(thread, &stats);
        cr_expect_eq(stats.shards, cases[i].expected, "case %zu: %llu shards", i,
                     (unsigned long long)stats.shards);
        cr_expect_eq(javm_directory_of(thread), made);
        javm_directory_leave(thread);
        javm_directory_destroy(made);
    }
}

Test(creation, too_many_shards_are_an_error)
{
    struct javm_directory *made = NULL;
    struct javm_error err;
    cr_assert_eq(javm_directory_create(1, 65537, &made, &err), JAVM_E_RANGE);
    cr_assert_not_null(strstr(err.text, "65537"));
    cr_assert_eq(javm_directory_create(UINT32_MAX, 0, &made, NULL), JAVM_E_RANGE);
    cr_assert_null(made);
    javm_directory_destroy(NULL);
}

DIRECTORY_TEST(a_thread_that_left_is_replaced_without_growth)
{
    struct javm_dir_thread *first = javm_directory_join(dir);
    javm_directory_leave(first);
    struct javm_dir_thread *second = javm_directory_join(dir);
    cr_assert_eq(first, second);
    struct javm_dir_thread *third = javm_directory_join(dir);
    cr_assert_neq(second, third);
    javm_directory_leave(third);
    javm_directory_leave(second);
}

/* ---- published caps --------------------------------------------------------------------- */

DIRECTORY_TEST(get_finds_what_was_put_and_nothing_else)
{
    struct javm_hash hashes[3000];
    for (uint64_t i = 0; i < 3000; i++)
        hashes[i] = put(type_cap(i));
    for (uint64_t i = 0; i < 3000; i++) {
        struct javm_cap *view = javm_directory_get(self, &hashes[i]);
        cr_assert_not_null(view);
        cr_assert_eq(type_number(view), i);
        javm_cap_release(view);
        hashes[i].bytes[i % JAVM_HASH_BYTES] ^= (uint8_t)(1 + i % 255);
        cr_assert_null(javm_directory_get(self, &hashes[i]));
    }
    struct javm_directory_stats stats;
    javm_directory_stats(self, &stats);
    cr_expect_eq(stats.blobs, 3000);
    cr_expect_eq(stats.puts, 3000);
    cr_expect_eq(stats.put_hits, 0);
    cr_expect_eq(stats.gets, 6000);
    cr_expect_eq(stats.get_misses, 3000);
}

DIRECTORY_TEST(put_is_idempotent)
{
    struct javm_hash first = put(type_cap(7)), second = put(type_cap(7));
    cr_assert(javm_hash_equal(&first, &second));
    struct javm_cap *again = type_cap(7);
    cr_assert_eq(javm_directory_put(self, again, NULL, NULL), JAVM_OK);
    javm_cap_release(again);
    struct javm_directory_stats stats;
    javm_directory_stats(self, &stats);
    cr_expect_eq(stats.blobs, 1);
    cr_expect_eq(stats.put_hits, 2);
}

DIRECTORY_TEST(put_needs_the_hashes_that_the_cap_names)
{
    struct javm_hash child = type_hash(1);
    struct javm_cap *cnode = cnode_cap();
    cnode_put(cnode, 3, javm_target_hash(&child));
    struct javm_hash hash = {{0}};
    struct javm_error err;
    cr_assert_eq(javm_directory_put(self, cnode, &hash, &err), JAVM_E_MISSING);
    char text[JAVM_HASH_TEXT];
    javm_hash_format(&child, text);
    cr_expect_not_null(strstr(err.text, text), "%s", err.text);
    cr_expect(javm_hash_is_zero(&hash));
    struct javm_directory_stats stats;
    javm_directory_stats(self, &stats);
    cr_expect_eq(stats.blobs, 0);
    put(type_cap(1));
    cr_assert_eq(javm_directory_put(self, cnode, &hash, &err), JAVM_OK);
    javm_cap_release(cnode);
    cnode = javm_directory_get(self, &hash);
    cr_assert_eq(javm_cnode_count(cnode), 1);
    javm_cap_release(cnode);
}

DIRECTORY_TEST(put_refuses_a_live_cap)
{
    struct javm_cap *cnode = cnode_cap();
    cnode_put(cnode, 1, make_entry(self, value_cap(1)));
    struct javm_error err;
    cr_assert_eq(javm_directory_put(self, cnode, NULL, &err), JAVM_E_LIVE);
    cr_expect_not_null(strstr(err.text, "settle"));
    javm_cap_release(cnode);
    cr_expect_eq(javm_directory_sweep(self), 1);
}

DIRECTORY_TEST(shard_statistics_add_up)
{
    for (uint64_t i = 0; i < 500; i++)
        put(type_cap(i));
    struct javm_target ref = make_entry(self, value_cap(1));
    struct javm_directory_stats all;
    javm_directory_stats(self, &all);
    struct javm_shard_stats sum = {0}, one;
    for (uint64_t i = 0; i < all.shards; i++) {
        javm_directory_shard_stats(self, i, &one);
        cr_expect_gt(one.blobs, 0, "500 hashes leave shard %llu empty", (unsigned long long)i);
        cr_expect_geq(one.capacity, one.blobs + one.instances);
        sum.blobs += one.blobs;
        sum.blob_bytes += one.blob_bytes;
        sum.instances += one.instances;
    }
    cr_expect_eq(sum.blobs, 500);
    cr_expect_eq(sum.blobs, all.blobs);
    cr_expect_eq(sum.blob_bytes, all.blob_bytes);
    struct javm_cap *type = type_cap(1);
    cr_expect_eq(all.blob_bytes, 500 * javm_cap_bytes(type));
    javm_cap_release(type);
    cr_expect_eq(sum.instances, 1);
    javm_target_drop(&ref);
}

/* ---- live entries ----------------------------------------------------------------------- */

DIRECTORY_TEST(replace_shows_the_new_value_and_leaves_old_views)
{
    struct javm_target ref = make_entry(self, value_cap(1));
    struct javm_cap *old;
    cr_assert_eq(javm_directory_get_ref(self, ref.ref, &old, NULL), JAVM_OK);
    for (uint64_t i = 2; i < 300; i++) {
        cr_assert_eq(javm_directory_replace(self, ref.ref, value_cap(i), NULL), JAVM_OK);
        cr_assert_eq(read_pages(&ref), i);
    }
    cr_expect_eq(javm_data_pages(old), 1);
    javm_cap_release(old);
    javm_target_drop(&ref);
}

DIRECTORY_TEST(images_and_types_cannot_be_mutable)
{
    struct javm_cap *type = type_cap(1);
    struct javm_target ref;
    struct javm_error err;
    cr_expect_eq(javm_directory_put_instance(self, type, &ref, &err), JAVM_E_KIND);
    cr_expect_not_null(strstr(err.text, "Type"));
    struct javm_hash hash = put(type_cap(1));
    cr_expect_eq(javm_directory_get_mut(self, &hash, &ref, &err), JAVM_E_KIND);
    ref = make_entry(self, value_cap(1));
    cr_expect_eq(javm_directory_replace(self, ref.ref, type, &err), JAVM_E_KIND);
    cr_expect_eq(read_pages(&ref), 1);
    javm_cap_release(type);
    javm_target_drop(&ref);
}

DIRECTORY_TEST(get_mut_copies_and_the_blob_stays)
{
    struct javm_cap *cnode = cnode_cap();
    struct javm_hash child = put(type_cap(1));
    cnode_put(cnode, 1, javm_target_hash(&child));
    struct javm_hash hash = put(cnode);
    struct javm_target ref;
    cr_assert_eq(javm_directory_get_mut(self, &hash, &ref, NULL), JAVM_OK);
    struct javm_cap *view, *changed;
    cr_assert_eq(javm_directory_get_ref(self, ref.ref, &view, NULL), JAVM_OK);
    changed = javm_cap_clone(view);
    javm_cap_release(view);
    cnode_put(changed, 2, javm_target_hash(&child));
    cr_assert_eq(javm_directory_replace(self, ref.ref, changed, NULL), JAVM_OK);
    view = javm_directory_get(self, &hash);
    cr_expect_eq(javm_cnode_count(view), 1);
    javm_cap_release(view);
    javm_target_drop(&ref);
    struct javm_hash absent = type_hash(99);
    struct javm_error err;
    cr_expect_eq(javm_directory_get_mut(self, &absent, &ref, &err), JAVM_E_MISSING);
}

DIRECTORY_TEST(refs_of_another_directory_are_refused)
{
    struct javm_directory *other = make_directory(1, 4);
    struct javm_dir_thread *there = javm_directory_join(other);
    struct javm_target ours = make_entry(self, value_cap(1));
    struct javm_target theirs = make_entry(there, value_cap(2));
    cr_assert_eq(ours.ref->id, theirs.ref->id, "the test needs equal ids to mean something");
    struct javm_cap *cap = NULL;
    struct javm_error err;
    cr_expect_eq(javm_directory_get_ref(self, theirs.ref, &cap, &err), JAVM_E_FOREIGN);
    cr_expect_null(cap);
    cr_expect_not_null(strstr(err.text, "directory"));
    cap = value_cap(3);
    cr_expect_eq(javm_directory_replace(self, theirs.ref, cap, &err), JAVM_E_FOREIGN);
    struct javm_hash hash;
    cr_expect_eq(javm_directory_settle(self, &theirs, &hash, &err), JAVM_E_FOREIGN);
    struct javm_cap *holder = cnode_cap();
    cnode_put(holder, 2, javm_target_clone(&theirs));
    struct javm_target ref;
    cr_expect_eq(javm_directory_put_instance(self, holder, &ref, &err), JAVM_E_FOREIGN);
    cr_expect_eq(javm_directory_replace(self, ours.ref, holder, &err), JAVM_E_FOREIGN);
    javm_cap_release(holder);
    javm_cap_release(cap);
    javm_target_drop(&ours);
    javm_target_drop(&theirs);
    cr_expect_eq(javm_directory_sweep(self), 1);
    cr_expect_eq(javm_directory_sweep(there), 1);
    javm_directory_leave(there);
    javm_directory_destroy(other);
}

DIRECTORY_TEST(a_ref_that_nobody_holds_is_noticed)
{
    struct javm_target ref = make_entry(self, value_cap(1)), kept = ref;
    struct javm_cap *cap;
    javm_target_drop(&ref);
    cr_expect_eq(javm_directory_get_ref(self, kept.ref, &cap, NULL), JAVM_E_STATE);
}

DIRECTORY_TEST(an_entry_cannot_hold_itself)
{
    struct javm_target ref = make_entry(self, cnode_cap());
    struct javm_cap *loop = cnode_cap();
    cnode_put(loop, 1, javm_target_clone(&ref));
    struct javm_error err;
    cr_expect_eq(javm_directory_replace(self, ref.ref, loop, &err), JAVM_E_STATE);
    javm_cap_release(loop);
    javm_target_drop(&ref);
    cr_expect_eq(javm_directory_sweep(self), 1);
}

/* ---- sweep ------------------------------------------------------------------------------ */

DIRECTORY_TEST(sweep_takes_what_nobody_holds_and_no_more)
{
    struct javm_target refs[200];
    for (uint64_t i = 0; i < 200; i++)
        refs[i] = make_entry(self, value_cap(i));
    cr_expect_eq(javm_directory_sweep(self), 0);
    for (size_t i = 0; i < 200; i += 2)
        javm_target_drop(&refs[i]);
    cr_expect_eq(javm_directory_sweep(self), 100);
    cr_expect_eq(live_entries(self), 100);
    for (size_t i = 1; i < 200; i += 2) {
        cr_assert_eq(read_pages(&refs[i]), i);
        javm_target_drop(&refs[i]);
    }
    cr_expect_eq(javm_directory_sweep(self), 100);
    cr_expect_eq(live_entries(self), 0);
    struct javm_directory_stats stats;
    javm_directory_stats(self, &stats);
    cr_expect_eq(stats.swept, 200);
}

/* A chain of entries, each holding the one before; the ends of its links are known by number. */
static struct javm_target chain(uint64_t length, struct javm_target end)
{
    for (uint64_t i = 0; i < length; i++) {
        struct javm_cap *cnode = cnode_cap();
        cnode_put(cnode, i, end);
        end = make_entry(self, cnode);
    }
    return end;
}

DIRECTORY_TEST(sweep_reaches_the_end_of_a_long_chain)
{
    struct javm_target top = chain(50000, make_entry(self, value_cap(1)));
    cr_expect_eq(javm_directory_sweep(self), 0);
    javm_target_drop(&top);
    cr_expect_eq(javm_directory_sweep(self), 50001);
    cr_expect_eq(live_entries(self), 0);
}

DIRECTORY_TEST(a_view_keeps_what_it_names)
{
    struct javm_target top = chain(3, make_entry(self, value_cap(1)));
    struct javm_cap *view;
    cr_assert_eq(javm_directory_get_ref(self, top.ref, &view, NULL), JAVM_OK);
    javm_target_drop(&top);
    cr_expect_eq(javm_directory_sweep(self), 1, "the view holds the three below");
    cr_expect_eq(live_entries(self), 3);
    javm_cap_release(view);
    cr_expect_eq(javm_directory_sweep(self), 3);
}

/* Another thread replaced a value and is idle since: what the old value held must not wait for it.
 */
DIRECTORY_TEST(what_a_replaced_value_held_does_not_wait_for_the_replacing_thread)
{
    struct javm_dir_thread *idle = javm_directory_join(dir);
    struct javm_target ref = chain(1, make_entry(self, value_cap(1)));
    cr_assert_eq(javm_directory_replace(idle, ref.ref, value_cap(2), NULL), JAVM_OK);
    cr_expect_eq(javm_directory_sweep(self), 1);
    javm_target_drop(&ref);
    cr_expect_eq(javm_directory_sweep(self), 1);
    cr_expect_eq(live_entries(self), 0);
    javm_directory_leave(idle);
}

DIRECTORY_TEST(freed_places_are_used_again)
{
    struct javm_shard_stats first, later;
    for (int round = 0; round < 40; round++) {
        struct javm_target refs[100];
        for (uint64_t i = 0; i < 100; i++)
            refs[i] = make_entry(self, value_cap(1));
        for (size_t i = 0; i < 100; i++)
            javm_target_drop(&refs[i]);
        cr_assert_eq(javm_directory_sweep(self), 100);
        javm_directory_shard_stats(self, 0, round < 2 ? &first : &later);
    }
    cr_expect_leq(later.capacity, first.capacity * 2, "%llu slots after %llu",
                  (unsigned long long)later.capacity, (unsigned long long)first.capacity);
}

DIRECTORY_TEST(destroy_frees_entries_that_are_still_linked)
{
    struct javm_target top = chain(20, make_entry(self, value_cap(1)));
    struct javm_cap *holder = cnode_cap();
    cnode_put(holder, 1, javm_target_clone(&top));
    struct javm_target second = make_entry(self, holder);
    javm_target_drop(&top);
    javm_target_drop(&second);
}

/* ---- settle ----------------------------------------------------------------------------- */

static struct javm_hash settle(const struct javm_target *target)
{
    struct javm_hash hash;
    struct javm_error err = {.text = ""};
    enum javm_status status = javm_directory_settle(self, target, &hash, &err);
    cr_assert_eq(status, JAVM_OK, "%s", err.text);
    return hash;
}

static struct javm_cap *instance_cap(struct javm_target root)
{
    struct javm_instance fields = {.root_cnode = root, .mem = value_cap(0), .pc = 4};
    struct javm_cap *cap = javm_instance_new(&fields);
    cr_assert_not_null(cap);
    return cap;
}

DIRECTORY_TEST(settle_gives_the_hash_of_the_same_graph_without_refs)
{
    struct javm_hash data = put(value_cap(3));
    struct javm_cap *inner = cnode_cap();
    cnode_put(inner, 1, javm_target_hash(&data));
    struct javm_hash inner_hash = put(inner);
    struct javm_hash expected = put(instance_cap(javm_target_hash(&inner_hash)));
    struct javm_directory_stats before, after;
    javm_directory_stats(self, &before);

    inner = cnode_cap();
    cnode_put(inner, 1, make_entry(self, value_cap(3)));
    struct javm_target ref = make_entry(self, instance_cap(make_entry(self, inner)));
    struct javm_hash settled = settle(&ref);
    cr_expect(javm_hash_equal(&settled, &expected));
    javm_directory_stats(self, &after);
    cr_expect_eq(after.blobs, before.blobs);
    cr_expect_eq(after.instances, 3, "the live entries stay");
    settled = settle(&ref);
    cr_expect(javm_hash_equal(&settled, &expected), "and can be settled again");
    javm_target_drop(&ref);
    cr_expect_eq(javm_directory_sweep(self), 3);
}

DIRECTORY_TEST(settle_publishes_children_first)
{
    struct javm_target ref = chain(10, make_entry(self, value_cap(1)));
    struct javm_hash hash = settle(&ref);
    for (uint64_t i = 10; i-- > 0;) {
        struct javm_cap *cnode = javm_directory_get(self, &hash);
        cr_assert_not_null(cnode);
        struct javm_key key;
        const struct javm_target *target = javm_cnode_at(cnode, 0, &key);
        cr_assert_eq(javm_key_pack(&key), i);
        cr_assert_eq(target->kind, JAVM_TARGET_HASH);
        hash = target->hash;
        javm_cap_release(cnode);
    }
    struct javm_cap *data = javm_directory_get(self, &hash);
    cr_assert_eq(javm_data_pages(data), 1);
    javm_cap_release(data);
    javm_target_drop(&ref);
}

DIRECTORY_TEST(settle_of_a_long_chain_needs_no_call_stack)
{
    struct javm_target ref = chain(20000, make_entry(self, value_cap(1)));
    settle(&ref);
    struct javm_directory_stats stats;
    javm_directory_stats(self, &stats);
    cr_expect_eq(stats.blobs, 20001);
    javm_target_drop(&ref);
}

/* 60 levels, both slots of each naming the next: 2^60 paths. */
DIRECTORY_TEST(settle_visits_a_shared_child_once)
{
    struct javm_target ref = make_entry(self, value_cap(1));
    for (int level = 0; level < 60; level++) {
        struct javm_cap *cnode = cnode_cap();
        cnode_put(cnode, 1, javm_target_clone(&ref));
        cnode_put(cnode, 2, ref);
        ref = make_entry(self, cnode);
    }
    settle(&ref);
    struct javm_directory_stats stats;
    javm_directory_stats(self, &stats);
    cr_expect_eq(stats.blobs, 61);
    javm_target_drop(&ref);
    cr_expect_eq(javm_directory_sweep(self), 61);
}

DIRECTORY_TEST(settle_of_a_wide_cnode)
{
    struct javm_cap *cnode = cnode_cap();
    for (uint64_t i = 0; i < 5000; i++)
        cnode_put(cnode, i, make_entry(self, value_cap(i)));
    struct javm_target ref = make_entry(self, cnode);
    settle(&ref);
    struct javm_directory_stats stats;
    javm_directory_stats(self, &stats);
    cr_expect_eq(stats.blobs, 5001);
    javm_target_drop(&ref);
    cr_expect_eq(javm_directory_sweep(self), 5001);
}

DIRECTORY_TEST(settle_of_a_cycle_is_an_error_and_ends)
{
    struct javm_target a = make_entry(self, cnode_cap()), b;
    struct javm_cap *to_a = cnode_cap(), *to_b = cnode_cap();
    cnode_put(to_a, 1, javm_target_clone(&a));
    b = make_entry(self, to_a);
    cnode_put(to_b, 1, javm_target_clone(&b));
    cr_assert_eq(javm_directory_replace(self, a.ref, to_b, NULL), JAVM_OK);
    struct javm_hash hash;
    struct javm_error err;
    cr_expect_eq(javm_directory_settle(self, &a, &hash, &err), JAVM_E_STATE);
    cr_expect_not_null(strstr(err.text, "itself"));
    cr_assert_eq(javm_directory_replace(self, a.ref, value_cap(1), NULL), JAVM_OK);
    settle(&b);
    javm_target_drop(&a);
    javm_target_drop(&b);
    cr_expect_eq(javm_directory_sweep(self), 2);
}

DIRECTORY_TEST(settle_of_a_hash_is_the_hash)
{
    struct javm_hash hash = put(type_cap(5));
    struct javm_target target = javm_target_hash(&hash);
    struct javm_hash settled = settle(&target);
    cr_expect(javm_hash_equal(&hash, &settled));
    target.hash = type_hash(6);
    cr_expect_eq(javm_directory_settle(self, &target, &settled, NULL), JAVM_E_MISSING);
    target.kind = JAVM_TARGET_EMPTY;
    cr_expect_eq(javm_directory_settle(self, &target, &settled, NULL), JAVM_E_KIND);
}

DIRECTORY_TEST(settle_fails_when_a_named_hash_is_missing)
{
    struct javm_hash absent = type_hash(1);
    struct javm_cap *cnode = cnode_cap();
    cnode_put(cnode, 1, javm_target_hash(&absent));
    cnode_put(cnode, 2, make_entry(self, value_cap(2)));
    struct javm_target ref = make_entry(self, cnode);
    struct javm_hash hash;
    cr_expect_eq(javm_directory_settle(self, &ref, &hash, NULL), JAVM_E_MISSING);
    javm_target_drop(&ref);
    cr_expect_eq(javm_directory_sweep(self), 2);
}
