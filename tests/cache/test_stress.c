/* All operations at once on few things, by more threads than the machine has cores.
 *
 * Would catch, mostly with the address and thread sanitizers: memory reused while a reader is on
 * it, missing orders, a count given up twice or never, a value torn or mixed up, a published cap
 * that is not found again, an entry that a sweep took although it was held or left although it was
 * not, statistics that lose events. JAVM_STRESS=n runs n times as long. */
#include <criterion/criterion.h>

#include "cache/atomic.h"
#include "tests/cache/support.h"

#define THREADS 4
#define BOXES   12
#define KEYS    64

/* Threads pass counted CapRefs to each other through the boxes. */
struct world {
    struct javm_directory *dir;
    struct javm_ref_cell *box[BOXES];
    struct javm_hash keys[KEYS];
    unsigned steps;
};

struct actor {
    struct world *world;
    struct javm_dir_thread *dir;
    struct random random;
    bool published[KEYS]; /* by this thread */
    uint64_t puts, gets, swept;
};

/* A value checks itself: every Data has 100..199 pages, and a CNode has as many slots as its slot 0
 * says. */
static struct javm_cap *fresh_value(struct actor *self, struct javm_ref_cell *inner)
{
    if (inner == NULL)
        return value_cap(100 + random_below(&self->random, 100));
    struct javm_cap *cnode = cnode_cap();
    uint64_t key = random_below(&self->random, KEYS);
    cnode_put(cnode, 1, (struct javm_target){JAVM_TARGET_REF, {.ref = inner}});
    if (self->published[key])
        cnode_put(cnode, 2, javm_target_hash(&self->world->keys[key]));
    return cnode;
}

static void check_value(struct actor *self, const struct javm_cap *view, unsigned depth)
{
    if (javm_cap_kind(view) == JAVM_DATA) {
        uint64_t pages = javm_data_pages(view);
        REQUIRE(pages >= 100 && pages < 200);
        return;
    }
    REQUIRE(javm_cap_kind(view) == JAVM_CNODE);
    struct javm_key one = javm_key_from_u64(1);
    const struct javm_target *target = javm_cnode_get(view, &one);
    REQUIRE(target != NULL && target->kind == JAVM_TARGET_REF);
    if (depth == 8)
        return;
    struct javm_cap *below; /* the view holds the ref, so it can be followed */
    REQUIRE(javm_directory_get_ref(self->dir, target->ref, &below, NULL) == JAVM_OK);
    check_value(self, below, depth + 1);
    javm_cap_release(below);
}

static struct javm_ref_cell *take(struct actor *self)
{
    size_t i = random_below(&self->random, BOXES);
    return exchange_acq_rel(&self->world->box[i], NULL);
}

/* Gives the count away: to a box, and what was in the box is dropped. */
static void give(struct actor *self, struct javm_ref_cell *ref)
{
    size_t i = random_below(&self->random, BOXES);
    struct javm_ref_cell *old = exchange_acq_rel(&self->world->box[i], ref);
    if (old != NULL)
        javm_ref_drop(old);
}

static void publish(struct actor *self)
{
    uint64_t key = random_below(&self->random, KEYS);
    struct javm_cap *cap = type_cap(key);
    struct javm_hash hash;
    REQUIRE(javm_directory_put(self->dir, cap, &hash, NULL) == JAVM_OK);
    REQUIRE(javm_hash_equal(&hash, &self->world->keys[key]));
    javm_cap_release(cap);
    self->published[key] = true;
    self->puts++;
}

static void look_up(struct actor *self)
{
    uint64_t key = random_below(&self->random, KEYS);
    struct javm_cap *view = javm_directory_get(self->dir, &self->world->keys[key]);
    self->gets++;
    REQUIRE(view != NULL || !self->published[key]);
    REQUIRE(view == NULL || type_number(view) == key);
    javm_cap_release(view);
}

static void create(struct actor *self)
{
    struct javm_ref_cell *inner = random_below(&self->random, 2) ? take(self) : NULL;
    struct javm_target ref = make_entry(self->dir, fresh_value(self, inner));
    give(self, ref.ref);
}

static void use(struct actor *self)
{
    struct javm_ref_cell *ref = take(self);
    if (ref == NULL)
        return;
    struct javm_cap *view;
    for (int i = 0; i < 3; i++) {
        REQUIRE(javm_directory_get_ref(self->dir, ref, &view, NULL) == JAVM_OK);
        check_value(self, view, 0);
        javm_cap_release(view);
        /* no CapRef in the new value: two entries that come to hold each other would be a cycle */
        struct javm_cap *next = fresh_value(self, NULL);
        REQUIRE(javm_directory_replace(self->dir, ref, next, NULL) == JAVM_OK);
    }
    javm_ref_clone(ref);
    give(self, ref);
    give(self, ref);
}

static void settle(struct actor *self)
{
    struct javm_ref_cell *ref = take(self);
    if (ref == NULL)
        return;
    struct javm_target target = {JAVM_TARGET_REF, {.ref = ref}};
    struct javm_hash hash;
    REQUIRE(javm_directory_settle(self->dir, &target, &hash, NULL) == JAVM_OK);
    struct javm_cap *view = javm_directory_get(self->dir, &hash);
    self->gets++;
    REQUIRE(view != NULL && !javm_cap_has_ref(view));
    javm_target_drop(&target);
    struct javm_target copy;
    REQUIRE(javm_directory_get_mut(self->dir, &hash, &copy, NULL) == JAVM_OK);
    javm_target_drop(&copy);
    javm_cap_release(view);
}

static void *act(void *arg)
{
    struct actor *self = arg;
    self->dir = javm_directory_join(self->world->dir);
    REQUIRE(self->dir != NULL);
    for (unsigned step = 0; step < self->world->steps; step++) {
        switch (random_below(&self->random, 12)) {
        case 0:
        case 1:
            publish(self);
            break;
        case 2:
        case 3:
        case 4:
            look_up(self);
            break;
        case 5:
        case 6:
        case 7:
            create(self);
            break;
        case 8:
        case 9:
            use(self);
            break;
        case 10:
            if (random_below(&self->random, 8) == 0)
                settle(self);
            break;
        default:
            if (random_below(&self->random, 16) == 0)
                self->swept += javm_directory_sweep(self->dir);
        }
        if (random_below(&self->random, 512) == 0) {
            javm_directory_leave(self->dir);
            self->dir = javm_directory_join(self->world->dir);
            REQUIRE(self->dir != NULL);
        }
    }
    javm_directory_leave(self->dir);
    return NULL;
}

Test(stress, all_operations_at_once)
{
    static struct world world;
    static struct actor actors[THREADS];
    pthread_t threads[THREADS];
    world.dir = make_directory(1, 4);
    world.steps = 100000 * stress_factor();
    for (uint64_t i = 0; i < KEYS; i++)
        world.keys[i] = type_hash(i);
    for (size_t i = 0; i < THREADS; i++) {
        actors[i] = (struct actor){.world = &world, .random = {i + 1}};
        threads[i] = start_thread(act, &actors[i]);
    }
    uint64_t puts = 0, gets = 0, swept = 0;
    for (size_t i = 0; i < THREADS; i++) {
        join_thread(threads[i]);
        puts += actors[i].puts;
        gets += actors[i].gets;
        swept += actors[i].swept;
    }
    struct javm_dir_thread *self = javm_directory_join(world.dir);
    for (size_t i = 0; i < BOXES; i++)
        if (world.box[i] != NULL)
            javm_ref_drop(world.box[i]);
    struct javm_directory_stats stats;
    javm_directory_stats(self, &stats);
    uint64_t left = stats.instances;
    cr_expect_eq(javm_directory_sweep(self), left);
    cr_expect_eq(live_entries(self), 0);
    javm_directory_stats(self, &stats);
    cr_expect_eq(stats.swept, swept + left);
    cr_expect_eq(stats.gets, gets);
    cr_expect_geq(stats.puts, puts, "settle puts too");
    cr_expect_gt(swept, 0);
    javm_directory_leave(self);
    javm_directory_destroy(world.dir);
    REQUIRE_NO_LEAKS();
}

/* Sweepers only, on garbage that was made before: every entry is removed by exactly one of them. */
struct sweeper {
    struct javm_directory *dir;
    uint64_t removed;
};

static void *sweep_once(void *arg)
{
    struct sweeper *sweeper = arg;
    struct javm_dir_thread *self = javm_directory_join(sweeper->dir);
    REQUIRE(self != NULL);
    sweeper->removed = javm_directory_sweep(self);
    javm_directory_leave(self);
    return NULL;
}

Test(stress, sweepers_share_the_garbage)
{
    for (unsigned round = 0; round < 40 * stress_factor(); round++) {
        struct javm_directory *dir = make_directory(1, 4);
        struct javm_dir_thread *self = javm_directory_join(dir);
        for (int i = 0; i < 100; i++) {
            struct javm_target ref = make_entry(self, value_cap(1));
            for (uint64_t depth = 0; depth < 4; depth++) {
                struct javm_cap *cnode = cnode_cap();
                cnode_put(cnode, depth, ref);
                ref = make_entry(self, cnode);
            }
            javm_target_drop(&ref);
        }
        struct sweeper sweepers[3] = {{dir, 0}, {dir, 0}, {dir, 0}};
        pthread_t threads[3];
        for (size_t i = 0; i < 3; i++)
            threads[i] = start_thread(sweep_once, &sweepers[i]);
        for (size_t i = 0; i < 3; i++)
            join_thread(threads[i]);
        cr_assert_eq(sweepers[0].removed + sweepers[1].removed + sweepers[2].removed +
                         javm_directory_sweep(self),
                     500);
        cr_assert_eq(live_entries(self), 0);
        javm_directory_leave(self);
        javm_directory_destroy(dir);
    }
    REQUIRE_NO_LEAKS();
}
