/* Random graphs: Data, CNodes, handles, Images and Instances of them, published, and one root
 * Instance for each case. Slots have what the conventions say, mostly. */
#include "tests/vm/kernel_fuzz.h"

struct javm_key fuzz_meter_key(uint64_t i)
{
    static const uint64_t keys[FUZZ_KEYS] = {0x41, 0x4241, UINT64_C(0x4847464544434241), 0x49};
    return javm_key_from_u64(keys[i % FUZZ_KEYS]);
}

struct javm_key fuzz_yield_key(uint64_t i)
{
    static const uint64_t keys[FUZZ_KEYS] = {0x61, 0x6261, UINT64_C(0xFF00666564636261), 0x69};
    return javm_key_from_u64(keys[i % FUZZ_KEYS]);
}

static struct javm_key kernel_key(struct choices *choices)
{
    static const struct javm_key *const keys[] = {&JAVM_YK_SET_GAS_METER,
                                                  &JAVM_YK_SET_GAS_METER,
                                                  &JAVM_YK_MINT_YIELD,
                                                  &JAVM_YK_SET_STORAGE_QUOTA,
                                                  &JAVM_YK_MERGE_YIELD_RECEIVER,
                                                  &JAVM_YK_MINT_GAS,
                                                  &JAVM_YK_MINT_QUOTA,
                                                  &JAVM_YK_ATTEST,
                                                  &JAVM_YK_OOG,
                                                  &JAVM_YK_STORAGE_EXHAUSTED};
    return *keys[choose(choices, sizeof keys / sizeof *keys)];
}

#define ENCODINGS 4u

/* ---- the pool --------------------------------------------------------------------------- */

void graph_add(struct fuzz_world *world, const struct javm_hash *hash)
{
    struct pool *pool = &world->pool;
    const struct value value = {.kind = VALUE_HASH, {.hash = *hash}};
    if (pool->count == FUZZ_VALUES)
        return;
    struct pooled *at = &pool->at[pool->count++];
    *at = (struct pooled){.hash = *hash, .what = view_what(world->base.dir, &value)};
    struct javm_cap *cap = javm_directory_get(world->base.dir, hash);
    REQUIRE(cap != NULL);
    if (at->what == W_IDLE) {
        struct javm_cap *image =
            javm_directory_get(world->base.dir, &javm_instance_of(cap)->image_hash);
        at->endpoints = image != NULL ? javm_image_of(image)->endpoint_count : 0;
        javm_cap_release(image);
    } else if (at->what == W_IMAGE) {
        at->endpoints = javm_image_of(cap)->endpoint_count;
    }
    javm_cap_release(cap);
}

static void add_cap(struct fuzz_world *world, struct javm_cap *cap)
{
    const struct javm_hash hash = publish(world->base.dir, cap);
    graph_add(world, &hash);
}

int pool_any(const struct pool *pool, struct choices *choices, unsigned kinds)
{
    if (pool->count == 0)
        return -1;
    const uint32_t first = (uint32_t)choose(choices, pool->count);
    for (uint32_t i = 0; i < pool->count; i++) {
        const uint32_t k = (first + i) % pool->count;
        if (kinds & W_BIT(pool->at[k].what))
            return (int)k;
    }
    return -1;
}

/* ---- Data and handles ------------------------------------------------------------------- */

static void add_data(struct fuzz_world *world, struct choices *choices)
{
    static const uint8_t sizes[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 5, 0};
    uint64_t words[5 * PAGE / sizeof(uint64_t)] = {0};
    const size_t pages = sizes[choose(choices, sizeof sizes)];
    for (size_t i = 0; i < pages; i++)
        for (uint64_t n = choose(choices, 4); n != 0; n--)
            words[i * (PAGE / sizeof *words) + choose(choices, 12)] = choose(choices, 300);
    add_cap(world, javm_data_new(words, pages * PAGE));
}

static void add_handles(struct fuzz_world *world, struct choices *choices)
{
    for (uint64_t i = 0; i < FUZZ_KEYS; i++) {
        const struct javm_key meter = fuzz_meter_key(i), key = fuzz_yield_key(i);
        add_cap(world, javm_gas_handle(&meter));
        add_cap(world, javm_quota_handle(&meter));
        add_cap(world, javm_yield_sender(&key));
    }
    for (unsigned i = 0; i < 6; i++) {
        const struct javm_key key = kernel_key(choices);
        add_cap(world, javm_yield_sender(&key));
    }
    for (unsigned i = 0; i < 5; i++) {
        struct javm_key keys[5];
        const size_t count = (size_t)choose(choices, 6);
        for (size_t k = 0; k < count; k++)
            keys[k] = likely(choices, 65)   ? fuzz_yield_key(choose(choices, FUZZ_KEYS))
                      : likely(choices, 40) ? JAVM_YK_OOG
                                            : kernel_key(choices);
        add_cap(world, javm_yield_receiver(keys, count));
    }
}

/* ---- images ----------------------------------------------------------------------------- */

static struct javm_mapping mapping(uint64_t start, uint64_t pages, uint64_t slot)
{
    return (struct javm_mapping){
        .start = start, .size = pages * PAGE, .depth = 1, .path = {javm_key_from_u64(slot)}};
}

static uint32_t choose_mappings(struct guest_code *code, struct choices *choices,
                                struct javm_mapping *mappings)
{
    uint32_t n = 0;
    code->mappings = 0;
    if (likely(choices, 55)) {
        code->mappings |= M_WINDOW;
        mappings[n++] = mapping(AT_WINDOW, between(choices, 1, 3), 0);
    }
    if (likely(choices, 60)) {
        code->mappings |= M_STATE;
        mappings[n++] = mapping(AT_STATE, likely(choices, 97) ? 3 : 1, KEY_STATE);
    }
    if (likely(choices, 30)) {
        code->mappings |= M_NODE;
        mappings[n] = mapping(AT_NODE, 3, KEY_NODE);
        mappings[n].depth = 2;
        mappings[n++].path[1] = javm_key_from_u64(1);
    }
    if (likely(choices, 60)) {
        code->mappings |= M_SCRAP;
        mappings[n++] = (struct javm_mapping){.start = AT_SCRAP, .size = 2 * PAGE};
    }
    if (likely(choices, 35)) {
        code->mappings |= M_PINNED;
        mappings[n++] = mapping(AT_PINNED, 5, KEY_PINNED);
    }
    if (likely(choices, 10)) {
        code->mappings |= M_WIDE;
        mappings[n++] = (struct javm_mapping){.start = AT_WIDE, .size = WIDE * PAGE};
    }
    return n;
}

static struct javm_pin pin(const struct pool *pool, uint64_t key, int which)
{
    return (struct javm_pin){javm_key_from_u64(key), pool->at[which].hash};
}

static uint32_t choose_keys(struct choices *choices, uint64_t first, uint64_t second,
                            struct javm_key *keys)
{
    const bool swapped = likely(choices, 30);
    keys[0] = javm_key_from_u64(swapped ? second : first);
    keys[1] = javm_key_from_u64(swapped ? first : second);
    return likely(choices, 60) ? 2 : 1;
}

static void add_image(struct fuzz_world *world, struct choices *choices, bool silent)
{
    struct guest_code code;
    struct pool *pool = &world->pool;
    struct javm_mapping mappings[6];
    struct javm_pin pinned[3], initial[2];
    struct javm_key gas[2], quota[2];
    struct javm_image fields = {.isa = JAVM_ISA_PVM2};
    code.silent = silent;
    fields.mappings = mappings;
    fields.mapping_count = choose_mappings(&code, choices, mappings);
    code_make(&code, choices);
    fields.code = (const uint8_t *)code.words;
    fields.code_len = 4 * (uint64_t)code.count;
    fields.endpoints = code.endpoints;
    fields.endpoint_count = code.endpoint_count;
    fields.pinned = pinned;
    if (likely(choices, 3) && !(code.mappings & M_WINDOW))
        pinned[fields.pinned_count++] = pin(pool, 0, pool_any(pool, choices, W_BIT(W_DATA)));
    if (code.mappings & M_PINNED || likely(choices, 20))
        pinned[fields.pinned_count++] =
            pin(pool, KEY_PINNED, pool_any(pool, choices, W_BIT(W_DATA)));
    const int image = pool_any(pool, choices, W_BIT(W_IMAGE));
    if (image >= 0 && likely(choices, 40))
        pinned[fields.pinned_count++] = pin(pool, KEY_PINNED_IMAGE, image);
    fields.initial = initial;
    if (code.mappings & M_WINDOW && likely(choices, 20))
        initial[fields.initial_count++] = pin(pool, 0, pool_any(pool, choices, W_BIT(W_DATA)));
    if (likely(choices, 30))
        initial[fields.initial_count++] =
            pin(pool, KEY_STATE, pool_any(pool, choices, W_BIT(W_DATA)));
    if (likely(choices, 35)) {
        fields.gas_slots = gas;
        fields.gas_slot_count = choose_keys(choices, KEY_GAS, KEY_GAS + 1, gas);
    }
    if (likely(choices, 35)) {
        fields.quota_slots = quota;
        fields.quota_slot_count = choose_keys(choices, KEY_QUOTA, KEY_QUOTA2, quota);
    }
    if (likely(choices, 75))
        fields.yield_receiver_slot = javm_key_from_u64(KEY_RECEIVER);
    struct javm_cap *cap;
    struct javm_error err = {.text = ""};
    if (javm_image_new(&fields, &cap, &err) != JAVM_OK) {
        fprintf(stderr, "image: %s\n", err.text);
        abort();
    }
    add_cap(world, cap);
}

/* Data that holds an image's encoding, whole or damaged. */
static void add_encoding(struct fuzz_world *world, struct choices *choices)
{
    const int which = pool_any(&world->pool, choices, W_BIT(W_IMAGE));
    struct javm_cap *image = javm_directory_get(world->base.dir, &world->pool.at[which].hash);
    uint8_t *bytes;
    size_t len;
    REQUIRE(javm_image_encode(image, &bytes, &len) == JAVM_OK);
    if (likely(choices, 40))
        bytes[choose(choices, len)] ^= (uint8_t)(1u << choose(choices, 8));
    else if (likely(choices, 20))
        len = (size_t)choose(choices, len);
    add_cap(world, javm_data_new(bytes, len));
    free(bytes);
    javm_cap_release(image);
}

/* ---- CNodes and instances --------------------------------------------------------------- */

#define ANYTHING                                                                       \
    (W_BIT(W_DATA) | W_BIT(W_CNODE) | W_BIT(W_IMAGE) | W_BIT(W_TYPE) | W_BIT(W_IDLE) | \
     W_BIT(W_PAUSED) | W_BIT(W_SENDER) | W_BIT(W_RECEIVER) | W_BIT(W_GAS) | W_BIT(W_QUOTA))

static void set(struct fuzz_world *world, struct javm_cap *cnode, const struct javm_key *key,
                int which)
{
    if (which < 0)
        return;
    struct javm_target target = javm_target_hash(&world->pool.at[which].hash);
    REQUIRE(javm_cnode_set(cnode, key, &target) == JAVM_OK);
}

static void set_number(struct fuzz_world *world, struct javm_cap *cnode, uint64_t key,
                       struct choices *choices, unsigned kinds)
{
    const struct javm_key name = javm_key_from_u64(key);
    set(world, cnode, &name, pool_any(&world->pool, choices, kinds));
}

static void add_cnode(struct fuzz_world *world, struct choices *choices)
{
    struct javm_cap *cnode = javm_cnode_new();
    REQUIRE(cnode != NULL);
    if (likely(choices, 60))
        set_number(world, cnode, 1, choices, W_BIT(W_DATA));
    for (uint64_t n = choose(choices, 6); n != 0; n--) {
        struct javm_key key = javm_key_from_u64(choose(choices, 8));
        if (likely(choices, 25))
            key = fuzz_meter_key(choose(choices, FUZZ_KEYS)); /* a wide one, mostly */
        set(world, cnode, &key, pool_any(&world->pool, choices, ANYTHING));
    }
    add_cap(world, cnode);
}

/* Is the key free for an instance of this image? */
static bool is_free(const struct javm_image *image, uint64_t key)
{
    const struct javm_key name = javm_key_from_u64(key);
    return javm_image_pinned(image, &name) == NULL;
}

static void fill_root(struct fuzz_world *world, struct choices *choices,
                      const struct javm_image *image, struct javm_cap *root)
{
    static const struct {
        uint8_t key, percent;
        unsigned kinds;
    } usual[] = {{0, 20, W_BIT(W_DATA)},
                 {1, 50, W_BIT(W_DATA)},
                 {KEY_PINNED, 50, W_BIT(W_DATA)},
                 {KEY_STATE, 60, W_BIT(W_DATA)},
                 {KEY_NODE, 98, W_BIT(W_CNODE)},
                 {5, 60, W_BIT(W_CNODE)},
                 {KEY_PINNED_IMAGE, 60, W_BIT(W_IMAGE)},
                 {7, 60, W_BIT(W_IMAGE)},
                 {KEY_GAS, 75, W_BIT(W_GAS)},
                 {KEY_GAS + 1, 60, W_BIT(W_GAS)},
                 {KEY_QUOTA, 75, W_BIT(W_QUOTA)},
                 {KEY_QUOTA2, 60, W_BIT(W_QUOTA)},
                 {KEY_RECEIVER, 80, W_BIT(W_RECEIVER)},
                 {13, 70, W_BIT(W_IDLE)},
                 {14, 70, W_BIT(W_IDLE)},
                 {15, 60, W_BIT(W_IDLE)},
                 {16, 40, W_BIT(W_IDLE)},
                 {17, 40, W_BIT(W_PAUSED)},
                 {18, 60, ANYTHING},
                 {19, 30, ANYTHING},
                 {KEY_SENDERS, 85, W_BIT(W_SENDER)},
                 {KEY_SENDERS + 1, 85, W_BIT(W_SENDER)},
                 {KEY_SENDERS + 2, 70, W_BIT(W_SENDER)},
                 {KEY_SENDERS + 3, 50, W_BIT(W_SENDER)}};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (is_free(image, usual[i].key) && likely(choices, usual[i].percent))
            set_number(world, root, usual[i].key, choices,
                       likely(choices, 99) ? usual[i].kinds : ANYTHING);
    /* Chains of callees: the one that was made last. */
    const struct javm_key next = javm_key_from_u64(13);
    for (uint32_t k = world->pool.count; k-- != 0 && likely(choices, 97);)
        if (world->pool.at[k].what == W_IDLE) {
            set(world, root, &next, (int)k);
            break;
        }
    for (uint64_t key = KEY_ENCODINGS; key < KEY_ENCODINGS + 2; key++) {
        const struct javm_key name = javm_key_from_u64(key);
        if (likely(choices, 50))
            set(world, root, &name, (int)(world->pool.encodings + choose(choices, ENCODINGS)));
    }
}

static uint32_t add_instance(struct fuzz_world *world, struct choices *choices, int which)
{
    const struct javm_hash image_hash = world->pool.at[which].hash;
    struct javm_cap *image = javm_directory_get(world->base.dir, &image_hash);
    struct javm_cap *root = javm_cnode_new();
    REQUIRE(image != NULL && root != NULL);
    fill_root(world, choices, javm_image_of(image), root);
    javm_cap_release(image);
    const struct javm_hash cnode = publish(world->base.dir, root);
    const struct javm_instance fields = {.image_hash_chain = image_hash,
                                         .image_hash = image_hash,
                                         .root_cnode = javm_target_hash(&cnode),
                                         .mem = javm_data_new_zero(0)};
    add_cap(world, javm_instance_new(&fields));
    return world->pool.count - 1;
}

/* ---- the whole -------------------------------------------------------------------------- */

uint32_t graph_root(struct fuzz_world *world, struct choices *choices, bool silent)
{
    struct pool *pool = &world->pool;
    if (pool->count > FUZZ_VALUES - 8)
        pool->count = FUZZ_VALUES - 8; /* the same places again, for what is new */
    if (likely(choices, 25))
        add_cnode(world, choices);
    if (silent || likely(choices, 40)) {
        add_image(world, choices, silent);
        return add_instance(world, choices, (int)pool->count - 1);
    }
    return add_instance(world, choices, pool_any(pool, choices, W_BIT(W_IMAGE)));
}

void graph_make(struct fuzz_world *world, struct choices *choices)
{
    world->pool.count = 0;
    for (unsigned i = 0; i < 12; i++)
        add_data(world, choices);
    add_handles(world, choices);
    for (uint64_t n = between(choices, 3, 6); n != 0; n--)
        add_image(world, choices, false);
    const struct javm_hash *chain =
        &world->pool.at[pool_any(&world->pool, choices, W_BIT(W_IMAGE))].hash;
    add_cap(world, javm_type_new(chain));
    world->pool.encodings = world->pool.count;
    for (unsigned i = 0; i < ENCODINGS; i++)
        add_encoding(world, choices);
    for (uint64_t n = between(choices, 2, 4); n != 0; n--)
        add_cnode(world, choices);
    for (uint64_t n = between(choices, 4, 14); n != 0; n--) {
        add_instance(world, choices, pool_any(&world->pool, choices, W_BIT(W_IMAGE)));
        if (likely(choices, 30))
            add_cnode(world, choices);
    }
}
