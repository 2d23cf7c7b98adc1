/* Caps that several threads hold, clone, hash and let go of at the same time.
 *
 * Would catch, mostly with the address and thread sanitizers: a count that loses an update, so that
 * a cap is freed too early or never; a page or table that is written while a relative reads it; a
 * remembered hash that is read before it is whole; a missing order between the last use of one
 * holder and the freeing by another; a CapRef count that is off. JAVM_STRESS=n runs n times as
 * long. */
#include <pthread.h>

#include "javm/image.h"
#include "tests/caps/support.h"

#define PAGE    ((size_t)JAVM_PAGE_SIZE)
#define THREADS 4
#define PAGES   24
#define SLOTS   24

/* ---- threads ---------------------------------------------------------------------------- */

struct team {
    void (*work)(void *world, unsigned member);
    void *world;
    pthread_barrier_t start;
};

struct member {
    struct team *team;
    unsigned number;
};

static void *member_run(void *arg)
{
    const struct member *member = arg;
    pthread_barrier_wait(&member->team->start); /* so that they meet */
    member->team->work(member->team->world, member->number);
    return NULL;
}

static void run_team(void (*work)(void *world, unsigned member), void *world)
{
    struct team team = {.work = work, .world = world};
    struct member members[THREADS];
    pthread_t threads[THREADS];
    REQUIRE(pthread_barrier_init(&team.start, NULL, THREADS) == 0);
    for (unsigned i = 0; i < THREADS; i++) {
        members[i] = (struct member){&team, i};
        REQUIRE(pthread_create(&threads[i], NULL, member_run, &members[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    pthread_barrier_destroy(&team.start);
}

/* ---- values that show when they are damaged --------------------------------------------- */

/* Page i holds its number and a seed, over and over. */
static void fill_page(uint8_t page[PAGE], uint64_t number, uint8_t seed)
{
    memset(page, seed, PAGE);
    page[0] = (uint8_t)(number + 1);
    page[PAGE - 1] = (uint8_t)(seed ^ number);
}

static void write_seed(struct javm_cap *data, uint64_t number, uint8_t seed)
{
    uint8_t page[PAGE];
    fill_page(page, number, seed);
    REQUIRE(javm_data_write_page(data, number, page) == JAVM_OK);
}

static uint8_t check_page(const struct javm_cap *data, uint64_t number)
{
    uint8_t expected[PAGE];
    const uint8_t *page = javm_data_page(data, number);
    if (page == NULL)
        return 0;
    const uint8_t seed = page[1];
    fill_page(expected, number, seed);
    REQUIRE(memcmp(page, expected, PAGE) == 0);
    return seed;
}

static struct javm_cap *seeded_data(uint8_t seed)
{
    struct javm_cap *data = javm_data_new_zero(PAGES);
    REQUIRE(data != NULL);
    for (uint64_t i = 0; i < PAGES; i++)
        write_seed(data, i, seed);
    return data;
}

/* Half of the slots are CapRefs. */
static struct javm_cap *seeded_cnode(struct javm_ref_cell *cell)
{
    struct javm_cap *cnode = javm_cnode_new();
    REQUIRE(cnode != NULL);
    for (uint64_t i = 0; i < SLOTS; i++) {
        const struct javm_key key = javm_key_from_u64(i);
        if (i % 2 == 0) {
            cnode_put(cnode, &key, hash_target("even"));
            continue;
        }
        javm_ref_clone(cell);
        cnode_put(cnode, &key, (struct javm_target){JAVM_TARGET_REF, {.ref = cell}});
    }
    return cnode;
}

static struct javm_cap *some_image(uint8_t seed)
{
    const uint8_t code[] = {seed, 2, 3, 4};
    const struct javm_pin pin = {KEY("\1"), hash_of("pin")};
    const struct javm_mapping mapping = {.start = 0x10000000, .size = 0x1000};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .code = code,
                                      .code_len = sizeof code,
                                      .mappings = &mapping,
                                      .mapping_count = 1,
                                      .pinned = &pin,
                                      .pinned_count = 1};
    struct javm_cap *image;
    REQUIRE(javm_image_new(&fields, &image, NULL) == JAVM_OK);
    return image;
}

static struct javm_cap *some_instance(uint8_t seed)
{
    const struct javm_instance fields = {.image_hash_chain = hash_of("chain"),
                                         .image_hash = hash_of("image"),
                                         .root_cnode = hash_target("root"),
                                         .mem = seeded_data(seed),
                                         .regs = {seed}};
    struct javm_cap *instance = javm_instance_new(&fields);
    REQUIRE(instance != NULL);
    return instance;
}

/* ---- one cap, many holders -------------------------------------------------------------- */

#define KINDS 5

struct shared {
    struct javm_cap *caps[KINDS];
    struct javm_ref_cell cell;
};

/* A reference more for a while, at most eight at a time; now and then a clone instead. */
static void hold_and_let_go(void *arg, unsigned member)
{
    struct shared *shared = arg;
    struct random random = {member};
    struct javm_cap *held[8] = {NULL};
    for (unsigned step = 0; step < 20000 * stress_factor(); step++) {
        struct javm_cap **place = &held[random_below(&random, 8)];
        struct javm_cap *cap = shared->caps[random_below(&random, KINDS)];
        javm_cap_release(*place);
        *place = random_below(&random, 4) == 0 ? javm_cap_clone(cap) : javm_cap_retain(cap);
        REQUIRE(*place != NULL);
    }
    for (unsigned i = 0; i < 8; i++)
        javm_cap_release(held[i]);
}

Test(stress, retain_and_release)
{
    struct shared shared = {.cell = {.count = 1, .directory = 1, .id = 1}};
    const struct javm_hash hash = hash_of("type");
    shared.caps[0] = seeded_data(1);
    shared.caps[1] = seeded_cnode(&shared.cell);
    shared.caps[2] = some_image(1);
    shared.caps[3] = some_instance(1);
    shared.caps[4] = javm_type_new(&hash);
    run_team(hold_and_let_go, &shared);
    REQUIRE(shared.cell.count == 1 + SLOTS / 2);
    for (uint64_t i = 0; i < PAGES; i++)
        REQUIRE(check_page(shared.caps[0], i) == 1);
    for (unsigned i = 0; i < KINDS; i++)
        javm_cap_release(shared.caps[i]);
    REQUIRE(shared.cell.count == 1);
    REQUIRE_NO_LEAKS();
}

/* ---- the last one frees ----------------------------------------------------------------- */

#define LETTERS 64

struct letters {
    struct javm_cap *caps[LETTERS];
};

static void read_and_release(void *arg, unsigned member)
{
    const struct letters *letters = arg;
    for (unsigned i = 0; i < LETTERS; i++) {
        struct javm_cap *cap = letters->caps[i];
        REQUIRE(check_page(cap, (i + member) % PAGES) == (uint8_t)(i + 1));
        javm_cap_release(cap); /* any of them may be the last */
    }
}

Test(stress, any_holder_may_be_the_last)
{
    static struct letters letters;
    for (unsigned round = 0; round < 8 * stress_factor(); round++) {
        for (unsigned i = 0; i < LETTERS; i++) {
            letters.caps[i] = seeded_data((uint8_t)(i + 1));
            for (unsigned t = 1; t < THREADS; t++)
                javm_cap_retain(letters.caps[i]);
        }
        run_team(read_and_release, &letters);
    }
    REQUIRE_NO_LEAKS();
}

/* ---- all hash the same ------------------------------------------------------------------ */

struct hashed {
    struct javm_cap *caps[4];
    struct javm_hash found[THREADS][4];
};

static void hash_all(void *arg, unsigned member)
{
    struct hashed *hashed = arg;
    for (unsigned i = 0; i < 4; i++) {
        struct javm_cap *clone = javm_cap_clone(hashed->caps[i]); /* with or without the memo */
        REQUIRE(clone != NULL);
        hashed->found[member][i] = cap_hash_of(member % 2 == 0 ? clone : hashed->caps[i]);
        const struct javm_hash again = cap_hash_of(hashed->caps[i]);
        REQUIRE(javm_hash_equal(&again, &hashed->found[member][i]));
        javm_cap_release(clone);
    }
}

static void make_hashed(struct hashed *hashed, uint8_t seed)
{
    struct javm_cap *cnode = javm_cnode_new();
    const struct javm_key key = javm_key_from_u64(seed);
    cnode_put(cnode, &key, hash_target("x"));
    hashed->caps[0] = seeded_data(seed);
    hashed->caps[1] = cnode;
    hashed->caps[2] = some_image(seed);
    hashed->caps[3] = some_instance(seed);
}

Test(stress, hashing_together)
{
    static struct hashed hashed, alone;
    for (unsigned round = 0; round < 60 * stress_factor(); round++) {
        make_hashed(&hashed, (uint8_t)(round % 250 + 1));
        make_hashed(&alone, (uint8_t)(round % 250 + 1));
        run_team(hash_all, &hashed);
        for (unsigned i = 0; i < 4; i++) {
            const struct javm_hash expected = cap_hash_of(alone.caps[i]);
            for (unsigned t = 0; t < THREADS; t++)
                REQUIRE(javm_hash_equal(&hashed.found[t][i], &expected));
            javm_cap_release(hashed.caps[i]);
            javm_cap_release(alone.caps[i]);
        }
    }
    REQUIRE_NO_LEAKS();
}

/* ---- everything at once ----------------------------------------------------------------- */

#define BOXES 10

/* References travel through the boxes: exchanging what is in one for something else passes on what
 * the giver did to it (acquire-release, on both sides). */
struct market {
    struct javm_cap *boxes[BOXES];
    struct javm_ref_cell cell;
};

static struct javm_cap *exchange(struct javm_cap **box, struct javm_cap *cap)
{
    return __atomic_exchange_n(box, cap, __ATOMIC_ACQ_REL);
}

static void check_data(const struct javm_cap *data)
{
    static _Thread_local uint8_t bytes[PAGES * PAGE];
    for (uint64_t i = 0; i < PAGES; i++)
        check_page(data, i);
    javm_data_read(data, 0, bytes, sizeof bytes);
    struct javm_cap *fresh = javm_data_new(bytes, sizeof bytes);
    const struct javm_hash a = cap_hash_of(data), b = cap_hash_of(fresh);
    REQUIRE(javm_hash_equal(&a, &b));
    javm_cap_release(fresh);
}

static void check_cnode(const struct javm_cap *cnode)
{
    struct javm_key key, before = {.len = 0};
    bool ref = false;
    for (uint32_t i = 0; i < javm_cnode_count(cnode); i++) {
        const struct javm_target *target = javm_cnode_at(cnode, i, &key);
        REQUIRE(javm_key_compare(&before, &key) < 0);
        REQUIRE(javm_cnode_get(cnode, &key) == target);
        REQUIRE((target->kind == JAVM_TARGET_REF) == (javm_key_pack(&key) % 2 == 1));
        ref = ref || target->kind == JAVM_TARGET_REF;
        before = key;
    }
    REQUIRE(javm_cap_has_ref(cnode) == ref);
}

static void change(struct market *market, struct random *random, struct javm_cap *own)
{
    const uint64_t at = random_below(random, PAGES);
    if (javm_cap_kind(own) == JAVM_DATA) {
        static const uint8_t zeros[PAGE];
        const uint8_t seed = (uint8_t)random_u64(random);
        if (seed != 0)
            write_seed(own, at, seed);
        else
            REQUIRE(javm_data_write_page(own, at, zeros) == JAVM_OK);
        return;
    }
    const struct javm_key key = javm_key_from_u64(at);
    struct javm_target target = hash_target("even");
    if (random_below(random, 3) == 0) {
        REQUIRE(javm_cnode_take(own, &key, &target) == JAVM_OK);
        javm_target_drop(&target);
        return;
    }
    if (at % 2 == 1) {
        javm_ref_clone(&market->cell);
        target = (struct javm_target){JAVM_TARGET_REF, {.ref = &market->cell}};
    }
    cnode_put(own, &key, target);
}

/* Each kind has a half of the boxes, so that neither dies out. */
static struct javm_cap **some_box(struct market *market, struct random *random, bool data)
{
    return &market->boxes[random_below(random, BOXES / 2) + (data ? 0 : BOXES / 2)];
}

static void give(struct market *market, struct random *random, struct javm_cap *cap)
{
    struct javm_cap **box = some_box(market, random, javm_cap_kind(cap) == JAVM_DATA);
    javm_cap_release(exchange(box, cap));
}

/* Take one that others may hold as well, change a clone, and give both away. */
static void trade(void *arg, unsigned member)
{
    struct market *market = arg;
    struct random random = {100 + member};
    for (unsigned step = 0; step < 3000 * stress_factor(); step++) {
        const bool data = random_below(&random, 2) == 0;
        struct javm_cap *cap = exchange(some_box(market, &random, data), NULL);
        if (cap == NULL)
            continue;
        struct javm_cap *own = javm_cap_clone(cap);
        REQUIRE(own != NULL);
        for (unsigned i = 0; i < 3; i++)
            change(market, &random, own);
        if (!data)
            check_cnode(cap);
        else if (random_below(&random, 8) == 0)
            check_data(cap);
        give(market, &random, own);
        if (random_below(&random, 2) == 0) /* the same cap in two boxes */
            give(market, &random, javm_cap_retain(cap));
        give(market, &random, cap);
    }
}

/* The CapRefs in all caps that are still there; a cap in two boxes counts once. */
static uint64_t refs_in(struct market *market)
{
    uint64_t refs = 0;
    for (unsigned box = 0; box < BOXES; box++) {
        const struct javm_cap *cap = market->boxes[box];
        bool seen = cap == NULL || javm_cap_kind(cap) != JAVM_CNODE;
        for (unsigned before = 0; before < box; before++)
            seen = seen || market->boxes[before] == cap;
        for (uint32_t i = 0; !seen && i < javm_cnode_count(cap); i++) {
            struct javm_key key;
            refs += javm_cnode_at(cap, i, &key)->kind == JAVM_TARGET_REF;
        }
    }
    return refs;
}

Test(stress, trading)
{
    static struct market market = {.cell = {.count = 1, .directory = 1, .id = 1}};
    for (unsigned i = 0; i < BOXES; i++)
        market.boxes[i] =
            i < BOXES / 2 ? seeded_data((uint8_t)(i + 1)) : seeded_cnode(&market.cell);
    run_team(trade, &market);
    REQUIRE(market.cell.count == 1 + refs_in(&market));
    for (unsigned i = 0; i < BOXES; i++) {
        if (market.boxes[i] != NULL && i < BOXES / 2)
            check_data(market.boxes[i]);
        javm_cap_release(market.boxes[i]);
    }
    REQUIRE(market.cell.count == 1);
    REQUIRE_NO_LEAKS();
}

/* ---- relatives that change at the same time --------------------------------------------- */

struct family {
    struct javm_cap *data, *cnode;
    struct javm_ref_cell cell;
};

/* Every member writes all pages and slots of clones of its own, while the others do the same and
 * the original is read. */
static void diverge(void *arg, unsigned member)
{
    struct family *family = arg;
    struct javm_cap *data = javm_cap_clone(family->data), *cnode = javm_cap_clone(family->cnode);
    const uint8_t seed = (uint8_t)(100 + member);
    REQUIRE(data != NULL && cnode != NULL);
    for (uint64_t i = 0; i < PAGES; i++) {
        const uint64_t at = (i * 7 + member * 5) % PAGES;
        const struct javm_key key = javm_key_from_u64(at);
        write_seed(data, at, seed);
        REQUIRE(check_page(family->data, at) == 1);
        cnode_put(cnode, &key, hash_target("new"));
        const struct javm_target *old = javm_cnode_get(family->cnode, &key);
        REQUIRE(old != NULL && (old->kind == JAVM_TARGET_REF) == (at % 2 == 1));
    }
    for (uint64_t i = 0; i < PAGES; i++)
        REQUIRE(check_page(data, i) == seed);
    REQUIRE(!javm_cap_has_ref(cnode));
    javm_cap_release(data);
    javm_cap_release(cnode);
}

Test(stress, clones_diverge)
{
    for (unsigned round = 0; round < 60 * stress_factor(); round++) {
        struct family family = {.cell = {.count = 1, .directory = 1, .id = 1}};
        family.data = seeded_data(1);
        family.cnode = seeded_cnode(&family.cell);
        run_team(diverge, &family);
        for (uint64_t i = 0; i < PAGES; i++)
            REQUIRE(check_page(family.data, i) == 1);
        REQUIRE(family.cell.count == 1 + SLOTS / 2);
        javm_cap_release(family.data);
        javm_cap_release(family.cnode);
        REQUIRE(family.cell.count == 1);
    }
    REQUIRE_NO_LEAKS();
}
