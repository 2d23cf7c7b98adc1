/* Annexes: published caps beside the directory.
 *
 * Would catch: a cap that gets into the directory, or is seen by who has not opened the annex; one
 * that is in both; a closure check that believes what is in another annex; keep() that drops what
 * is reached, keeps what is not, recurses, or loses a count. */
#include <criterion/criterion.h>

#include "tests/cache/support.h"

static struct javm_directory *dir;
static struct javm_dir_thread *self, *other;
static struct javm_annex *annex;

static void set_up(void)
{
    dir = make_directory(2, 8);
    self = javm_directory_join(dir);
    other = javm_directory_join(dir);
    annex = javm_annex_new();
    REQUIRE(self != NULL && other != NULL && annex != NULL);
    javm_annex_open(self, annex);
}

static void tear_down(void)
{
    javm_annex_free(annex);
    javm_directory_leave(self);
    javm_directory_leave(other);
    javm_directory_destroy(dir);
    REQUIRE_NO_LEAKS();
}

#define ANNEX_TEST(name)    \
    static void name(void); \
    Test(annex, name)       \
    {                       \
        set_up();           \
        name();             \
        tear_down();        \
    }                       \
    static void name(void)

static struct javm_hash put(struct javm_dir_thread *thread, struct javm_cap *cap)
{
    struct javm_hash hash;
    struct javm_error err;
    cr_assert_eq(javm_directory_put(thread, cap, &hash, &err), JAVM_OK, "%s", err.text);
    javm_cap_release(cap);
    return hash;
}

static bool sees(struct javm_dir_thread *thread, const struct javm_hash *hash)
{
    struct javm_cap *cap = javm_directory_get(thread, hash);
    struct javm_hash is;
    if (cap == NULL)
        return false;
    cr_assert_eq(javm_cap_hash(cap, &is), JAVM_OK);
    cr_expect(javm_hash_equal(&is, hash));
    javm_cap_release(cap);
    return true;
}

/* A CNode with one slot. */
static struct javm_cap *around(const struct javm_hash *hash)
{
    struct javm_cap *cnode = cnode_cap();
    cnode_put(cnode, 1, javm_target_hash(hash));
    return cnode;
}

ANNEX_TEST(what_is_put_is_seen_by_its_holder_only)
{
    const struct javm_hash both = put(other, type_cap(1)), again = put(self, type_cap(1));
    cr_expect(javm_hash_equal(&both, &again));
    cr_expect_eq(javm_annex_count(annex, NULL), 0); /* the directory has it */
    cr_expect_not(javm_annex_has(self, &both));
    const struct javm_hash own = put(self, around(&both));
    uint64_t bytes = 0;
    cr_expect_eq(javm_annex_count(annex, &bytes), 1);
    cr_expect_gt(bytes, 0);
    put(self, around(&both)); /* again: nothing */
    cr_expect_eq(javm_annex_count(annex, NULL), 1);
    cr_expect(javm_annex_has(self, &own));
    cr_expect_not(javm_annex_has(other, &own));
    cr_expect(sees(self, &own));
    cr_expect_not(sees(other, &own));
    struct javm_directory_stats stats;
    javm_directory_stats(self, &stats);
    cr_expect_eq(stats.blobs, 1);
    javm_annex_open(self, NULL);
    cr_expect_not(sees(self, &own));
    cr_expect_not(javm_annex_has(self, &own));
}

ANNEX_TEST(closures_count_what_is_open)
{
    const struct javm_hash own = put(self, type_cap(1));
    const struct javm_hash parent = put(self, around(&own));
    struct javm_cap *cap = around(&own);
    struct javm_annex *second = javm_annex_new();
    cr_expect_eq(javm_directory_put(other, cap, NULL, NULL), JAVM_E_MISSING);
    javm_annex_open(self, second);
    cr_expect_eq(javm_directory_put(self, cap, NULL, NULL), JAVM_E_MISSING);
    cr_expect_eq(javm_annex_count(second, NULL), 0);
    javm_annex_open(self, annex);
    struct javm_target mutable;
    cr_assert_eq(javm_directory_get_mut(self, &parent, &mutable, NULL), JAVM_OK);
    struct javm_hash settled;
    cr_assert_eq(javm_directory_settle(self, &mutable, &settled, NULL), JAVM_OK);
    cr_expect(javm_hash_equal(&settled, &parent));
    const struct javm_target name = javm_target_hash(&parent);
    cr_assert_eq(javm_directory_settle(self, &name, &settled, NULL), JAVM_OK);
    cr_expect_eq(javm_directory_settle(other, &name, &settled, NULL), JAVM_E_MISSING);
    javm_target_drop(&mutable);
    javm_directory_sweep(self);
    cr_expect_eq(live_entries(self), 0);
    javm_cap_release(cap);
    javm_annex_free(second);
}

/* A chain of a hundred thousand with something shared below, among as much that nobody names. */
ANNEX_TEST(keeps_what_is_reached)
{
    enum { DEEP = 100000 };
    const struct javm_hash outside = put(other, type_cap(1));
    struct javm_hash shared = put(self, around(&outside)), at = shared;
    for (uint64_t i = 0; i < DEEP; i++) {
        struct javm_cap *cnode = around(&at);
        cnode_put(cnode, 2, javm_target_hash(&shared));
        at = put(self, cnode);
        put(self, type_cap(2 + i));
    }
    cr_expect_eq(javm_annex_count(annex, NULL), 2 * DEEP + 1);
    cr_assert_eq(javm_annex_keep(annex, &at), JAVM_OK);
    cr_expect_eq(javm_annex_count(annex, NULL), DEEP + 1);
    cr_expect(sees(self, &at));
    cr_expect(sees(self, &shared));
    const struct javm_hash gone = type_hash(2);
    cr_expect_not(sees(self, &gone));
    cr_assert_eq(javm_annex_keep(annex, &shared), JAVM_OK);
    cr_expect_eq(javm_annex_count(annex, NULL), 1);
    cr_assert_eq(javm_annex_keep(annex, &outside), JAVM_OK);
    uint64_t bytes = 1;
    cr_expect_eq(javm_annex_count(annex, &bytes), 0);
    cr_expect_eq(bytes, 0);
    cr_expect_not(sees(self, &shared));
    cr_expect(sees(self, &outside));
}

ANNEX_TEST(moves)
{
    struct javm_annex *second = javm_annex_new();
    const struct javm_hash first = put(self, type_cap(1)), both = put(self, type_cap(2));
    javm_annex_open(self, second);
    put(self, type_cap(2));
    const struct javm_hash last = put(self, around(&both));
    cr_assert_eq(javm_annex_move(annex, second), JAVM_OK);
    cr_expect_eq(javm_annex_count(second, NULL), 0);
    cr_expect_eq(javm_annex_count(annex, NULL), 3);
    cr_expect_not(sees(self, &last));
    javm_annex_open(self, annex);
    cr_expect(sees(self, &first));
    cr_expect(sees(self, &both));
    cr_expect(sees(self, &last));
    put(self, type_cap(3)); /* it has room and memory of its own */
    javm_annex_free(second);
}
