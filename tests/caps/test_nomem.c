/* Memory that runs out: for every operation on a world of caps the first, second, ... allocation
 * fails, once alone and once with all that follow, until the operation succeeds.
 *
 * Would catch: a result that is not NULL or NOMEM; a crash or a use of what was not allocated; a
 * leak, of a block (each run must free what it allocated, in any build) or of a CapRef's count; a
 * value, the one worked on or a relative, that is other than before; a target or an operand that
 * the caller lost. The counts of allocations are also the promised costs: a clone is one block, a
 * page written to a clone is one page and the nodes on its way, hashing takes no memory at all. */
#include "javm/handle.h"
#include "tests/caps/draft.h"
#include "tests/caps/heap.h"
#include "tests/caps/support.h"

#define PAGE ((size_t)JAVM_PAGE_SIZE)

/* ---- a world of caps -------------------------------------------------------------------- */

enum {
    DATA,
    DATA_CLONE,
    CNODE,
    CNODE_CLONE,
    FULL,
    EMPTY,
    IMAGE,
    INSTANCE,
    TYPE,
    SENDER,
    LEFT,
    RIGHT,
    CAPS
};

#define DATA_PAGES 64 /* six levels of inner nodes */
#define DATA_DEPTH 6
#define FULL_SLOTS 4 /* as many as a new table has room for */

struct world {
    struct javm_ref_cell cell; /* 1 for its directory, and one for each holder */
    struct javm_cap *caps[CAPS];
    struct javm_target target; /* of the caller: a counted CapRef */
    struct draft draft;
    struct draft_bytes encoded;
    struct javm_hash before[CAPS];
    uint64_t count_before;
};

static uint8_t page_a[PAGE], page_b[PAGE];

static struct javm_target counted(struct world *world)
{
    javm_ref_clone(&world->cell);
    return (struct javm_target){JAVM_TARGET_REF, {.ref = &world->cell}};
}

/* Pages 0 and 16..31, and zeros. */
static bool build_data(struct world *world)
{
    struct javm_cap *data = javm_data_new_zero(DATA_PAGES);
    bool ok = data != NULL;
    for (uint64_t i = 15; ok && i < 32; i++)
        ok = javm_data_write_page(data, i == 15 ? 0 : i, page_a) == JAVM_OK;
    world->caps[DATA] = data;
    return ok;
}

static bool build_cnode(struct world *world, unsigned which, unsigned slots)
{
    struct javm_cap *cnode = javm_cnode_new();
    bool ok = cnode != NULL;
    world->caps[which] = cnode;
    for (unsigned i = 0; ok && i < slots; i++) {
        const struct javm_key key = javm_key_from_u64(i);
        struct javm_target target = i % 3 == 0 ? counted(world) : hash_target("x");
        ok = javm_cnode_set(cnode, &key, &target) == JAVM_OK;
        javm_target_drop(&target); /* what the cnode did not take */
    }
    return ok;
}

static bool build_instance(struct world *world)
{
    struct javm_instance fields = {.image_hash_chain = hash_of("chain"),
                                   .image_hash = hash_of("image"),
                                   .root_cnode = counted(world),
                                   .mem = javm_data_new("memory", 6)};
    if (fields.mem != NULL)
        world->caps[INSTANCE] = javm_instance_new(&fields);
    if (world->caps[INSTANCE] == NULL) {
        javm_cap_release(fields.mem);
        javm_target_drop(&fields.root_cnode);
        return false;
    }
    return true;
}

static bool build_clone(struct world *world, unsigned clone, unsigned of)
{
    world->caps[clone] = javm_cap_clone(world->caps[of]);
    return world->caps[clone] != NULL;
}

static bool build_others(struct world *world)
{
    const struct javm_hash hash = hash_of("chain");
    const struct javm_key keys[] = {KEY("\3"), KEY("\1"), KEY("\2\2"), KEY("\4")};
    if (javm_image_new(&world->draft.image, &world->caps[IMAGE], NULL) != JAVM_OK)
        return false;
    world->caps[TYPE] = javm_type_new(&hash);
    world->caps[SENDER] = javm_yield_sender(&keys[0]);
    world->caps[LEFT] = javm_yield_receiver(keys, 3);
    world->caps[RIGHT] = javm_yield_receiver(keys + 1, 3);
    return world->caps[TYPE] != NULL && world->caps[SENDER] != NULL && world->caps[LEFT] != NULL &&
           world->caps[RIGHT] != NULL;
}

/* Stops where memory runs out; what stands is closed by world_close. */
static bool world_open(struct world *world)
{
    memset(world, 0, sizeof *world);
    pattern_page(1, page_a);
    pattern_page(2, page_b);
    world->cell = (struct javm_ref_cell){.count = 1, .directory = 1, .id = 1};
    world->target = counted(world);
    draft_rich(&world->draft, JAVM_ISA_PVM);
    draft_encode(&world->draft.image, &world->encoded);
    return build_data(world) && build_clone(world, DATA_CLONE, DATA) &&
           build_cnode(world, CNODE, 10) && build_clone(world, CNODE_CLONE, CNODE) &&
           build_cnode(world, FULL, FULL_SLOTS) && build_cnode(world, EMPTY, 0) &&
           build_instance(world) && build_others(world);
}

static void world_close(struct world *world)
{
    for (unsigned i = 0; i < CAPS; i++)
        javm_cap_release(world->caps[i]);
    javm_target_drop(&world->target);
    REQUIRE(world->cell.count == 1);
}

/* ---- what a value is, with nothing remembered ------------------------------------------- */

static struct javm_hash data_value(const struct javm_cap *data)
{
    const uint64_t pages = javm_data_pages(data);
    uint8_t *bytes = malloc(pages * PAGE + 1);
    REQUIRE(bytes != NULL);
    javm_data_read(data, 0, bytes, pages * PAGE);
    struct javm_cap *fresh = javm_data_new(bytes, pages * PAGE);
    const struct javm_hash hash = cap_hash_of(fresh), remembered = cap_hash_of(data);
    REQUIRE(javm_hash_equal(&hash, &remembered));
    const struct javm_hash root = javm_data_root(fresh), same = javm_data_root(data);
    REQUIRE(javm_hash_equal(&root, &same)); /* of the nodes, whatever the cap remembers */
    REQUIRE(javm_cap_bytes(fresh) == javm_cap_bytes(data)); /* no node above zeros only */
    javm_cap_release(fresh);
    free(bytes);
    return hash;
}

static struct javm_hash cnode_value(const struct javm_cap *cnode)
{
    struct javm_hash value = hash_of("cnode");
    for (uint32_t i = 0; i < javm_cnode_count(cnode); i++) {
        struct javm_key key;
        const struct javm_target *target = javm_cnode_at(cnode, i, &key);
        const uint8_t kind = (uint8_t)target->kind;
        const bool ref = target->kind == JAVM_TARGET_REF;
        const struct javm_bytes pieces[] = {{value.bytes, sizeof value},
                                            {&key, sizeof key},
                                            {&kind, 1},
                                            {ref ? (const void *)&target->ref : &target->hash,
                                             ref ? sizeof target->ref : sizeof target->hash}};
        value = javm_hash_pieces(pieces, 4);
        REQUIRE(javm_cnode_get(cnode, &key) == target);
    }
    return value;
}

static struct javm_hash image_value(const struct javm_cap *image)
{
    uint8_t *bytes;
    size_t len;
    REQUIRE(javm_image_encode(image, &bytes, &len) == JAVM_OK);
    const struct javm_bytes piece = {bytes, len};
    const struct javm_hash hash = javm_hash_pieces(&piece, 1);
    free(bytes);
    return hash;
}

static struct javm_hash value_of(const struct javm_cap *cap)
{
    switch (javm_cap_kind(cap)) {
    case JAVM_DATA:
        return data_value(cap);
    case JAVM_CNODE:
        return cnode_value(cap);
    case JAVM_IMAGE:
        return image_value(cap);
    case JAVM_INSTANCE: {
        const struct javm_instance *fields = javm_instance_of(cap);
        const struct javm_hash mem = data_value(fields->mem);
        const struct javm_bytes pieces[] = {{fields, sizeof *fields}, {mem.bytes, sizeof mem}};
        return javm_hash_pieces(pieces, 2);
    }
    default:
        return cap_hash_of(cap);
    }
}

static void world_note(struct world *world)
{
    for (unsigned i = 0; i < CAPS; i++)
        world->before[i] = value_of(world->caps[i]);
    world->count_before = world->cell.count;
}

static void expect_unharmed(const struct world *world, const char *name)
{
    for (unsigned i = 0; i < CAPS; i++) {
        const struct javm_hash now = value_of(world->caps[i]);
        cr_assert(javm_hash_equal(&now, &world->before[i]), "%s harmed cap %u", name, i);
    }
    cr_assert_eq(world->cell.count, world->count_before, "%s lost a count", name);
    cr_assert_eq(world->target.kind, JAVM_TARGET_REF, "%s took the caller's target", name);
}

/* ---- operations ------------------------------------------------------------------------- */

#define RUN(name) static enum javm_status name(struct world *world)

static enum javm_status null_is_nomem(struct javm_cap *cap)
{
    const enum javm_status status = cap != NULL ? JAVM_OK : JAVM_E_NOMEM;
    javm_cap_release(cap);
    return status;
}

RUN(run_build)
{
    static struct world other;
    (void)world;
    const bool ok = world_open(&other);
    world_close(&other);
    return ok ? JAVM_OK : JAVM_E_NOMEM;
}

RUN(run_clone_all)
{
    for (unsigned i = 0; i < CAPS; i++)
        if (null_is_nomem(javm_cap_clone(world->caps[i])) != JAVM_OK)
            return JAVM_E_NOMEM;
    return JAVM_OK;
}

RUN(run_data_new)
{
    static uint8_t bytes[5 * PAGE + 7];
    (void)world;
    for (unsigned i = 0; i < 6; i++)
        bytes[i * PAGE] = (uint8_t)(i != 2); /* one page is zero */
    return null_is_nomem(javm_data_new(bytes, sizeof bytes));
}

RUN(run_write_shared)
{
    return javm_data_write_page(world->caps[DATA_CLONE], 21, page_b);
}

/* The source is the page that is replaced, in a tree that must be copied on the way. */
RUN(run_write_itself)
{
    struct javm_cap *clone = world->caps[DATA_CLONE];
    return javm_data_write_page(clone, 21, javm_data_page(clone, 21));
}

RUN(run_write_hole)
{
    return javm_data_write_page(world->caps[DATA_CLONE], 50, page_b);
}

RUN(run_write_zeros)
{
    static const uint8_t zeros[PAGE];
    return javm_data_write_page(world->caps[DATA_CLONE], 21, zeros);
}

/* The only page of its half of the tree: nodes that were just copied go away again. */
RUN(run_write_last_zeros)
{
    static const uint8_t zeros[PAGE];
    return javm_data_write_page(world->caps[DATA_CLONE], 0, zeros);
}

static enum javm_status set_slot(struct world *world, unsigned which, uint64_t slot)
{
    const struct javm_key key = javm_key_from_u64(slot);
    return javm_cnode_set(world->caps[which], &key, &world->target);
}

RUN(run_set_shared)
{
    return set_slot(world, CNODE_CLONE, 77);
}

RUN(run_replace_hash_shared)
{
    return set_slot(world, CNODE_CLONE, 1);
}

RUN(run_replace_ref_shared)
{
    return set_slot(world, CNODE_CLONE, 3);
}

RUN(run_set_full)
{
    return set_slot(world, FULL, 77);
}

RUN(run_set_empty)
{
    return set_slot(world, EMPTY, 77);
}

RUN(run_take_shared)
{
    const struct javm_key key = javm_key_from_u64(3); /* a CapRef */
    struct javm_target taken;
    const enum javm_status status = javm_cnode_take(world->caps[CNODE_CLONE], &key, &taken);
    REQUIRE((taken.kind == JAVM_TARGET_REF) == (status == JAVM_OK));
    javm_target_drop(&taken);
    return status;
}

RUN(run_clear_shared)
{
    const struct javm_key key = javm_key_from_u64(3);
    struct javm_target none = {.kind = JAVM_TARGET_EMPTY};
    return javm_cnode_set(world->caps[CNODE_CLONE], &key, &none);
}

static enum javm_status image_result(enum javm_status status, struct javm_cap *cap,
                                     const struct javm_error *err)
{
    if (status == JAVM_OK)
        return null_is_nomem(cap);
    REQUIRE(cap == NULL && err->status == status);
    REQUIRE(status != JAVM_E_NOMEM || strstr(err->text, "out of memory") != NULL);
    return status;
}

RUN(run_image_new)
{
    struct javm_cap *cap = NULL;
    struct javm_error err = {.text = ""};
    const enum javm_status status = javm_image_new(&world->draft.image, &cap, &err);
    return image_result(status, cap, &err);
}

RUN(run_decode)
{
    struct javm_cap *cap = NULL;
    struct javm_error err = {.text = ""};
    const enum javm_status status =
        javm_image_decode(world->encoded.bytes, world->encoded.len, &cap, &err);
    return image_result(status, cap, &err);
}

/* A bad image is bad whatever the memory: refused, or the memory is named. The offset of what is
 * wrong takes memory to find. */
RUN(run_decode_refused)
{
    struct javm_cap *cap = NULL;
    struct javm_error err = {.text = ""};
    const size_t at = world->encoded.element[DRAFT_QUOTA][2];
    world->encoded.bytes[at + 1] = 0x60; /* the same as element 0 */
    world->encoded.bytes[at + 2] = 0x61;
    const enum javm_status status =
        javm_image_decode(world->encoded.bytes, world->encoded.len, &cap, &err);
    if (status == JAVM_E_FORMAT) {
        REQUIRE(cap == NULL && strncmp(err.text, "quota_slots[2]: ", 16) == 0);
        REQUIRE(err.where == at || (heap_failed() && err.where == JAVM_NOWHERE));
        return heap_failed() ? JAVM_E_NOMEM : JAVM_OK;
    }
    return image_result(status, cap, &err);
}

RUN(run_encode)
{
    uint8_t *bytes;
    size_t len;
    const enum javm_status status = javm_image_encode(world->caps[IMAGE], &bytes, &len);
    if (status == JAVM_OK)
        free(bytes);
    return status;
}

/* Of values that nobody has hashed yet. */
RUN(run_hash)
{
    struct javm_hash hash;
    struct javm_cap *data = world->caps[DATA];
    javm_cap_release(world->caps[DATA_CLONE]);
    world->caps[DATA_CLONE] = NULL;
    for (uint64_t i = 16; i < 32; i++) /* forgets what is remembered, in pages that nobody shares */
        REQUIRE(javm_data_write_page(data, i, javm_data_page(data, i)) == JAVM_OK);
    REQUIRE(javm_cap_hash(data, &hash) == JAVM_OK);
    for (unsigned i = 0; i < CAPS; i++) {
        if (world->caps[i] == NULL)
            continue;
        const enum javm_status status = javm_cap_hash(world->caps[i], &hash);
        REQUIRE(status == (javm_cap_has_ref(world->caps[i]) ? JAVM_E_LIVE : JAVM_OK));
    }
    return JAVM_OK;
}

RUN(run_lookups)
{
    const struct javm_key one = KEY("\1"), none = KEY("\x66");
    struct javm_key key;
    REQUIRE(javm_yield_receiver_has(world->caps[LEFT], &one));
    REQUIRE(!javm_yield_receiver_has(world->caps[LEFT], &none));
    REQUIRE(javm_yield_sender_key(world->caps[SENDER], &key));
    REQUIRE(javm_cnode_get(world->caps[CNODE], &one) != NULL);
    return JAVM_OK;
}

RUN(run_handles)
{
    const struct javm_key key = KEY("\1\2");
    (void)world;
    if (null_is_nomem(javm_gas_handle(&key)) != JAVM_OK)
        return JAVM_E_NOMEM;
    if (null_is_nomem(javm_quota_handle(&key)) != JAVM_OK)
        return JAVM_E_NOMEM;
    return null_is_nomem(javm_yield_sender(&key));
}

RUN(run_receiver)
{
    const struct javm_key keys[] = {KEY("\3"), KEY("\1"), KEY("\3")};
    (void)world;
    return null_is_nomem(javm_yield_receiver(keys, 3));
}

RUN(run_merge)
{
    return null_is_nomem(javm_merge_yield_receivers(world->caps[LEFT], world->caps[RIGHT]));
}

RUN(run_keys)
{
    struct javm_key *keys;
    size_t count;
    const enum javm_status status = javm_yield_receiver_keys(world->caps[LEFT], &keys, &count);
    REQUIRE(status == JAVM_OK ? count == 3 : keys == NULL && count == 0);
    free(keys);
    return status;
}

/* `exactly`: how many allocations a run makes; -1: not promised, but at least one. */
static const struct {
    const char *name;
    enum javm_status (*run)(struct world *world);
    int exactly;
} operations[] = {
    {"build", run_build, -1},
    {"clone of every cap", run_clone_all, CAPS},
    {"Data from bytes", run_data_new, 1 + 5 * 2 + 6}, /* the cap, 5 leaves, 3 + 2 + 1 nodes */
    {"page of a clone", run_write_shared, DATA_DEPTH + 2},
    {"page of a clone from itself", run_write_itself, DATA_DEPTH + 2},
    {"page in a hole", run_write_hole, DATA_DEPTH + 2},
    {"zeros in a clone", run_write_zeros, DATA_DEPTH},
    {"last page to zeros", run_write_last_zeros, DATA_DEPTH},
    {"slot of a shared table", run_set_shared, 1},
    {"slot for a hash", run_replace_hash_shared, 1},
    {"slot for a ref", run_replace_ref_shared, 1},
    {"slot of a full table", run_set_full, 1},
    {"first slot", run_set_empty, 1},
    {"take from a shared table", run_take_shared, 1},
    {"clear in a shared table", run_clear_shared, 1},
    {"image", run_image_new, -1},
    {"decode", run_decode, -1},
    {"decode what is refused", run_decode_refused, -1},
    {"encode", run_encode, 1},
    {"hash", run_hash, 0},
    {"lookups", run_lookups, 0},
    {"handles", run_handles, 3 * 2},
    {"receiver", run_receiver, -1},
    {"merge", run_merge, -1},
    {"keys of a receiver", run_keys, 1},
};
#define OPERATIONS (sizeof operations / sizeof *operations)

/* One run in a fresh world; true when no allocation was made to fail. */
static bool attempt(size_t operation, unsigned long fail_at, bool fail_on)
{
    static struct world world;
    const char *name = operations[operation].name;
    const long blocks = heap_blocks();
    cr_assert(world_open(&world));
    world_note(&world);
    heap_arm(fail_at, fail_on);
    const enum javm_status status = operations[operation].run(&world);
    const unsigned long calls = heap_calls();
    const bool failed = heap_disarm();
    cr_assert_eq(status, failed ? JAVM_E_NOMEM : JAVM_OK, "%s, allocation %lu", name, fail_at);
    if (failed) {
        expect_unharmed(&world, name);
        cr_assert_eq(operations[operation].run(&world), JAVM_OK, "%s fails for good", name);
        for (unsigned i = 0; i < CAPS; i++)
            if (world.caps[i] != NULL)
                value_of(world.caps[i]); /* which checks it */
    } else if (operations[operation].exactly >= 0)
        cr_assert_eq(calls, (unsigned long)operations[operation].exactly, "%s: %lu allocations",
                     name, calls);
    else
        cr_assert_gt(calls, 0, "%s allocates nothing", name);
    world_close(&world);
    cr_assert_eq(heap_blocks(), blocks, "%s, allocation %lu: %ld blocks leak", name, fail_at,
                 heap_blocks() - blocks);
    return !failed;
}

/* Through volatile pointers, or the compiler might do without the blocks. */
static unsigned gained_of_three(unsigned long fail_at, bool fail_on)
{
    void *volatile blocks[3];
    unsigned gained_bits = 0;
    heap_arm(fail_at, fail_on);
    blocks[0] = malloc(10);
    blocks[1] = calloc(1, 10);
    blocks[2] = malloc(10);
    cr_expect_eq(heap_disarm(), fail_at != 0);
    for (unsigned i = 0; i < 3; i++) {
        gained_bits |= (unsigned)(blocks[i] != NULL) << i;
        free(blocks[i]);
    }
    cr_expect_eq(heap_blocks(), 0);
    return gained_bits;
}

Test(nomem, the_wrapper_works)
{
    cr_expect_eq(gained_of_three(0, false), 7);
    cr_expect_eq(gained_of_three(2, false), 5);
    cr_expect_eq(gained_of_three(2, true), 1);
}

Test(nomem, every_allocation_alone)
{
    for (size_t i = 0; i < OPERATIONS; i++)
        for (unsigned long n = 1; !attempt(i, n, false); n++)
            ;
    REQUIRE_NO_LEAKS();
}

Test(nomem, every_allocation_and_all_that_follow)
{
    for (size_t i = 0; i < OPERATIONS; i++)
        for (unsigned long n = 1; !attempt(i, n, true); n++)
            ;
    REQUIRE_NO_LEAKS();
}

/* ---- other costs ------------------------------------------------------------------------ */

/* A write to a page that nobody shares takes no memory. */
Test(cost, own_pages)
{
    static struct world world;
    cr_assert(world_open(&world));
    javm_cap_release(world.caps[DATA_CLONE]);
    world.caps[DATA_CLONE] = NULL;
    heap_arm(0, false);
    cr_expect_eq(javm_data_write_page(world.caps[DATA], 21, page_b), JAVM_OK);
    cr_expect_eq(heap_calls(), 0);
    world_close(&world);
}

/* A clone of a large value is as cheap as that of a small one. */
Test(cost, clones)
{
    struct javm_cap *data = javm_data_new_zero(1000), *cnode = javm_cnode_new();
    for (uint64_t i = 0; i < 1000; i++) {
        const struct javm_key key = javm_key_from_u64(i);
        pattern_page((unsigned)i + 1, page_a);
        REQUIRE(javm_data_write_page(data, i, page_a) == JAVM_OK);
        cnode_put(cnode, &key, hash_target("x"));
    }
    struct javm_cap *const caps[] = {data, cnode};
    for (unsigned i = 0; i < 2; i++) {
        const size_t before = heap_bytes();
        struct javm_cap *clone = javm_cap_clone(caps[i]);
        cr_expect_lt(heap_bytes() - before, 1024);
        javm_cap_release(clone);
        javm_cap_release(caps[i]);
    }
}

/* ---- input that asks for more than it is ------------------------------------------------ */

static void put_number(uint8_t *at, uint64_t number, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        at[i] = (uint8_t)(number >> 8 * i);
}

static void expect_bounded(const uint8_t *bytes, size_t len, enum javm_status expected)
{
    struct javm_error err = {.text = ""};
    struct javm_cap *cap = NULL;
    const size_t before = heap_bytes();
    heap_reset_peak();
    cr_expect_eq(javm_image_decode(bytes, len, &cap, &err), expected, "%s", err.text);
    const size_t peak = heap_peak() - before;
    cr_expect_lt(peak, 13 * len + 4096, "%zu bytes for an input of %zu", peak, len);
    javm_cap_release(cap);
}

/* Lists whose elements are as small in the input as they can be. */
Test(cost, decoding)
{
    enum { COUNT = 20000 };
    static uint8_t bytes[100 + COUNT * 17];
    bytes[0] = JAVM_ISA_PVM2; /* then code, bitmask, jump_table, endpoints: none */
    put_number(bytes + 17, COUNT, 4);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint8_t *mapping = bytes + 21 + (size_t)i * 17;
        put_number(mapping, 0x10000000u + i * 0x1000u, 8);
        put_number(mapping + 8, 0x1000, 8);
    }
    expect_bounded(bytes, 21 + COUNT * 17 + 17, JAVM_OK);
    memset(bytes + 17, 0, sizeof bytes - 17); /* mappings, pinned, initial: none */
    put_number(bytes + 29, COUNT, 4);
    for (uint32_t i = 0; i < COUNT;
         i++) /* gas slots, the shortest keys, and so not all different */
        memcpy(bytes + 33 + (size_t)i * 2, (const uint8_t[]){1, (uint8_t)i}, 2);
    expect_bounded(bytes, 33 + COUNT * 2 + 5, JAVM_E_FORMAT);
    for (uint32_t i = 0; i < COUNT; i++)
        memcpy(bytes + 33 + (size_t)i * 3, (const uint8_t[]){2, (uint8_t)i, (uint8_t)(i >> 8)}, 3);
    memset(bytes + 33 + COUNT * 3, 0, 5);
    expect_bounded(bytes, 33 + COUNT * 3 + 5, JAVM_OK);
}

/* Counts that are not true get nothing. */
Test(cost, lying_counts)
{
    uint8_t bytes[38];
    for (size_t at = 1; at < 37; at += 4) {
        memset(bytes, 0, sizeof bytes);
        bytes[0] = at == 9 ? JAVM_ISA_PVM : JAVM_ISA_PVM2;
        put_number(bytes + at, UINT32_MAX, 4);
        expect_bounded(bytes, sizeof bytes, JAVM_E_FORMAT);
    }
}
