/* What invocations read and leave: slot[0], the post instance, and what a Vm keeps between calls.
 *
 * Would catch: a published instance that an invocation changes; state that leaks from one
 * invocation into the next; a post instance whose hash is not that of the same value built by
 * hand; a slot[0] that is lost, kept or changed in place; a source found in the wrong order
 * (pinned, own, initial); a program decoded again although it is cached, or used after it was
 * evicted; two Vms that disturb each other. */
#include <criterion/criterion.h>

#include "tests/vm/support.h"

#define PLENTY  100000
#define PAGE    JAVM_PAGE_SIZE
#define AREA(n) (RW_BASE + (uint32_t)(n)*0x10000u)

static const uint64_t none[4];

enum {
    E_READ,       /* φ7 address -> its 8 bytes */
    E_WRITE,      /* φ7 address, φ8 value -> the bytes before */
    E_WRITE_TRAP, /* the same, then a trap */
    E_WRITE_HOST, /* the same, then ecalli 99 */
    ENDPOINTS
};

/* Where the mappings are, by area. */
enum { A_SCRATCH, A_OWN, A_EPHEMERAL, A_PINNED, A_INITIAL, A_NESTED, AREAS };

#define SLOT_OWN     3
#define SLOT_PINNED  9
#define SLOT_INITIAL 5
#define SLOT_NODE    7 /* a CNode, the Data below it under key 2 */

static struct world w;
static struct javm_hash image, pinned, initial;
static struct javm_call_result result;

/* `tag` makes images of different code that behave alike. */
static struct javm_hash state_image(struct javm_dir_thread *dir, int32_t tag)
{
    const uint32_t code[] = {LD(10, 0, 10),   REPLY,                                 /* 0 */
                             LD(12, 0, 10),   SD(11, 0, 10), ADDI(10, 12, 0), REPLY, /* 8 */
                             SD(11, 0, 10),   TRAP,                                  /* 24 */
                             SD(11, 0, 10),   ECALLI(99),                            /* 32 */
                             ADDI(5, 0, tag), TRAP};
    const struct javm_endpoint endpoints[ENDPOINTS] = {{.index = E_READ, .entry_pc = 0},
                                                       {.index = E_WRITE, .entry_pc = 8},
                                                       {.index = E_WRITE_TRAP, .entry_pc = 24},
                                                       {.index = E_WRITE_HOST, .entry_pc = 32}};
    const struct javm_mapping mappings[AREAS] = {
        {.start = AREA(A_SCRATCH), .size = 2 * PAGE, .depth = 1, .path = {javm_key_from_u64(0)}},
        {.start = AREA(A_OWN), .size = 4 * PAGE, .depth = 1, .path = {javm_key_from_u64(SLOT_OWN)}},
        {.start = AREA(A_EPHEMERAL), .size = 2 * PAGE},
        {.start = AREA(A_PINNED),
         .size = 2 * PAGE,
         .depth = 1,
         .path = {javm_key_from_u64(SLOT_PINNED)}},
        {.start = AREA(A_INITIAL),
         .size = 2 * PAGE,
         .depth = 1,
         .path = {javm_key_from_u64(SLOT_INITIAL)}},
        {.start = AREA(A_NESTED),
         .size = 2 * PAGE,
         .depth = 2,
         .path = {javm_key_from_u64(SLOT_NODE), javm_key_from_u64(2)}}};
    pinned = publish(dir, numbered_data(900, 1));
    initial = publish(dir, numbered_data(500, 1));
    const struct javm_pin pin = {javm_key_from_u64(SLOT_PINNED), pinned};
    const struct javm_pin first = {javm_key_from_u64(SLOT_INITIAL), initial};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .code = (const uint8_t *)code,
                                      .code_len = sizeof code,
                                      .endpoints = endpoints,
                                      .endpoint_count = ENDPOINTS,
                                      .mappings = mappings,
                                      .mapping_count = AREAS,
                                      .pinned = &pin,
                                      .pinned_count = 1,
                                      .initial = &first,
                                      .initial_count = 1};
    return publish_image(dir, &fields);
}

/* The slot of the nested mapping: a CNode with one Data. */
static struct javm_hash node_with(uint64_t first)
{
    const struct slot below = {2, publish(w.dir, numbered_data(first, 1))};
    return publish_cnode(w.dir, &below, 1);
}

/* The usual instance: its own Data of two pages, and the nested one. */
static struct javm_hash usual(void)
{
    const struct slot slots[] = {{SLOT_OWN, publish(w.dir, numbered_data(300, 2))},
                                 {SLOT_NODE, node_with(700)}};
    return publish_instance(w.dir, &image, slots, 2);
}

static void open_state(void)
{
    world_open(&w, NULL);
    image = state_image(w.dir, 1);
}

static void close_state(void)
{
    javm_call_result_clear(&result);
    world_close(&w);
}

#define STATE .init = open_state, .fini = close_state

static void call_with(const struct javm_hash *instance, const struct javm_cap *scratchpad,
                      uint32_t endpoint, uint32_t address, uint64_t value)
{
    struct javm_error err;
    const struct javm_call call = {.instance = *instance,
                                   .endpoint = endpoint,
                                   .args = {address, value},
                                   .gas = PLENTY,
                                   .scratchpad = scratchpad,
                                   .want_post = true,
                                   .want_slot0 = true};
    javm_call_result_clear(&result);
    cr_assert_eq(javm_vm_invoke(w.vm, w.dir, &call, &result, &err), JAVM_OK, "%s", err.text);
}

static void call(const struct javm_hash *instance, uint32_t endpoint, uint32_t address,
                 uint64_t value)
{
    call_with(instance, NULL, endpoint, address, value);
}

static uint64_t read_at(const struct javm_hash *instance, uint32_t address)
{
    call(instance, E_READ, address, 0);
    cr_assert_eq(result.end, JAVM_END_HALT, "reading %x: %s", address,
                 javm_fault_name(result.fault));
    return result.value;
}

static void expect_hash(const struct javm_cap *cap, const struct javm_hash *want, const char *what)
{
    struct javm_hash hash;
    cr_assert_not_null(cap, "%s", what);
    cr_assert_eq(javm_cap_hash(cap, &hash), JAVM_OK);
    cr_expect(javm_hash_equal(&hash, want), "%s", what);
}

/* A Data with these first words of its pages. */
static struct javm_hash data_of(const uint64_t *words, size_t pages)
{
    uint8_t *bytes = calloc(pages, PAGE);
    cr_assert_not_null(bytes);
    for (size_t i = 0; i < pages; i++)
        memcpy(bytes + i * PAGE, &words[i], sizeof words[i]);
    struct javm_cap *data = javm_data_new(bytes, pages * PAGE);
    free(bytes);
    return publish(w.dir, data);
}

/* ---- sources ---------------------------------------------------------------------------- */

Test(state, where_pages_come_from, STATE)
{
    const struct javm_hash instance = usual();
    cr_expect_eq(read_at(&instance, AREA(A_OWN)), 300);
    cr_expect_eq(read_at(&instance, AREA(A_OWN) + PAGE), 301);
    cr_expect_eq(read_at(&instance, AREA(A_OWN) + 2 * PAGE), 0);
    cr_expect_eq(read_at(&instance, AREA(A_EPHEMERAL)), 0);
    cr_expect_eq(read_at(&instance, AREA(A_PINNED)), 900);
    cr_expect_eq(read_at(&instance, AREA(A_INITIAL)), 500);
    cr_expect_eq(read_at(&instance, AREA(A_NESTED)), 700);
    cr_expect_eq(read_at(&instance, AREA(A_SCRATCH)), 0);
    call(&instance, E_READ, AREA(A_OWN) + 4 * PAGE, 0);
    cr_expect_eq(result.fault, JAVM_FAULT_PAGE_FAULT);
}

Test(state, own_before_initial_and_pinned_before_own, STATE)
{
    const struct javm_hash own = publish(w.dir, numbered_data(1000, 1));
    const struct slot slots[] = {
        {SLOT_INITIAL, own}, {SLOT_NODE, node_with(1)}, {SLOT_PINNED, own}};
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, 3);
    cr_expect_eq(read_at(&instance, AREA(A_INITIAL)), 1000);
    cr_expect_eq(read_at(&instance, AREA(A_PINNED)), 900);
}

Test(state, pinned_is_read_only, STATE)
{
    const struct javm_hash instance = usual();
    call(&instance, E_WRITE, AREA(A_PINNED) + 8, 1);
    cr_expect_eq(result.fault, JAVM_FAULT_PAGE_FAULT);
    cr_expect_eq(result.fault_addr, AREA(A_PINNED) + 8);
    cr_expect_null(result.post_instance);
}

static void refuse(const struct slot *slots, size_t count, enum javm_status status,
                   const char *text)
{
    struct javm_error err;
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, count);
    for (int again = 0; again < 2; again++) {
        cr_expect_eq(
            javm_vm_invoke_cached(w.vm, w.dir, &instance, E_READ, none, PLENTY, &result, &err),
            status, "%s", err.text);
        cr_expect_not_null(strstr(err.text, text), "%s", err.text);
    }
}

Test(state, sources_that_do_not_fit, STATE)
{
    const struct javm_hash data = publish(w.dir, numbered_data(1, 1));
    const struct javm_hash large = publish(w.dir, numbered_data(1, 5));
    const struct slot no_node[] = {{SLOT_OWN, data}};
    const struct slot data_as_node[] = {{SLOT_NODE, data}};
    const struct slot node_as_data[] = {{SLOT_OWN, node_with(1)}, {SLOT_NODE, node_with(1)}};
    const struct slot too_large[] = {{SLOT_OWN, large}, {SLOT_NODE, node_with(1)}};
    refuse(no_node, 1, JAVM_E_KIND, "step 0 of its source path is not a CNode");
    refuse(data_as_node, 1, JAVM_E_KIND, "step 0 of its source path is not a CNode");
    refuse(node_as_data, 2, JAVM_E_KIND, "its source is a cap of kind CNode, not Data");
    refuse(too_large, 2, JAVM_E_RANGE, "its Data has 5 pages, the mapping only 4");
    const struct javm_hash good = usual();
    cr_expect_eq(read_at(&good, AREA(A_OWN)), 300);
}

/* ---- the post instance ------------------------------------------------------------------ */

Test(state, unchanged_is_the_same_instance, STATE)
{
    const struct javm_hash instance = usual();
    read_at(&instance, AREA(A_OWN));
    expect_hash(result.post_instance, &instance, "after a run that wrote nothing");
    call(&instance, E_WRITE, AREA(A_EPHEMERAL), 5);
    expect_hash(result.post_instance, &instance, "after a run that wrote ephemeral memory");
    cr_expect_eq(javm_instance_of(result.post_instance)->status, JAVM_IDLE);
}

Test(state, dirty_pages_become_data, STATE)
{
    const struct javm_hash instance = usual();
    const uint64_t changed[] = {300, 7};
    call(&instance, E_WRITE, AREA(A_OWN) + PAGE, 7);
    cr_expect_eq(result.value, 301);
    const struct slot slots[] = {{SLOT_OWN, data_of(changed, 2)}, {SLOT_NODE, node_with(700)}};
    const struct javm_hash by_hand = publish_instance(w.dir, &image, slots, 2);
    expect_hash(result.post_instance, &by_hand, "one page of two");
    /* Published, it goes on from there, and the first one is as it was. */
    struct javm_hash post;
    cr_assert_eq(javm_directory_put(w.dir, result.post_instance, &post, NULL), JAVM_OK);
    cr_expect_eq(read_at(&post, AREA(A_OWN) + PAGE), 7);
    cr_expect_eq(read_at(&post, AREA(A_OWN)), 300);
    cr_expect_eq(read_at(&instance, AREA(A_OWN) + PAGE), 301);
}

/* As long as its source, or up to the last page that differs (docs/decisions.md). */
Test(state, data_grows_to_the_last_changed_page, STATE)
{
    const struct javm_hash instance = usual();
    const uint64_t longer[] = {300, 301, 0, 9};
    call(&instance, E_WRITE, AREA(A_OWN) + 3 * PAGE, 9);
    const struct slot slots[] = {{SLOT_OWN, data_of(longer, 4)}, {SLOT_NODE, node_with(700)}};
    const struct javm_hash by_hand = publish_instance(w.dir, &image, slots, 2);
    expect_hash(result.post_instance, &by_hand, "a page behind the end");
    /* A slot that was empty gets as much as is no longer zeros. */
    const struct slot only_node[] = {{SLOT_NODE, node_with(700)}};
    const struct javm_hash bare = publish_instance(w.dir, &image, only_node, 1);
    const uint64_t fresh[] = {0, 8};
    call(&bare, E_WRITE, AREA(A_OWN) + PAGE, 8);
    const struct slot made[] = {{SLOT_OWN, data_of(fresh, 2)}, {SLOT_NODE, node_with(700)}};
    const struct javm_hash with_two = publish_instance(w.dir, &image, made, 2);
    expect_hash(result.post_instance, &with_two, "an empty slot");
}

/* Written is not changed: the post instance is a matter of contents. */
Test(state, writing_what_is_there_changes_nothing, STATE)
{
    const struct javm_hash instance = usual();
    call(&instance, E_WRITE, AREA(A_OWN) + PAGE, 301);
    expect_hash(result.post_instance, &instance, "the same number");
    call(&instance, E_WRITE, AREA(A_OWN) + 3 * PAGE, 0);
    expect_hash(result.post_instance, &instance, "zeros behind the end");
    call(&instance, E_WRITE, AREA(A_INITIAL), 500);
    expect_hash(result.post_instance, &instance, "what the image put there");
    struct javm_cap *given = numbered_data(40, 1);
    struct javm_hash as_given;
    cr_assert_eq(javm_cap_hash(given, &as_given), JAVM_OK);
    call_with(&instance, given, E_WRITE, AREA(A_SCRATCH) + PAGE, 0);
    expect_hash(result.slot0, &as_given, "zeros behind the scratchpad's end");
    javm_cap_release(given);
}

Test(state, initial_data_becomes_own, STATE)
{
    const struct javm_hash instance = usual();
    const uint64_t changed[] = {501};
    call(&instance, E_WRITE, AREA(A_INITIAL), 501);
    cr_expect_eq(result.value, 500);
    const struct slot slots[] = {{SLOT_OWN, publish(w.dir, numbered_data(300, 2))},
                                 {SLOT_INITIAL, data_of(changed, 1)},
                                 {SLOT_NODE, node_with(700)}};
    const struct javm_hash by_hand = publish_instance(w.dir, &image, slots, 3);
    expect_hash(result.post_instance, &by_hand, "a slot that only the image filled");
}

Test(state, data_below_a_cnode, STATE)
{
    const struct javm_hash instance = usual();
    call(&instance, E_WRITE, AREA(A_NESTED), 701);
    cr_expect_eq(result.value, 700);
    const struct slot slots[] = {{SLOT_OWN, publish(w.dir, numbered_data(300, 2))},
                                 {SLOT_NODE, node_with(701)}};
    const struct javm_hash by_hand = publish_instance(w.dir, &image, slots, 2);
    expect_hash(result.post_instance, &by_hand, "a path of two keys");
    cr_expect_eq(read_at(&instance, AREA(A_NESTED)), 700);
}

Test(state, faults_leave_nothing, STATE)
{
    const struct javm_hash instance = usual();
    for (uint32_t area = 0; area < AREAS; area++) {
        if (area == A_PINNED)
            continue;
        call(&instance, E_READ, AREA(area) + 16, 0);
        const uint64_t before = result.value;
        call(&instance, E_WRITE_TRAP, AREA(area) + 16, 12345);
        cr_expect_eq(result.fault, JAVM_FAULT_TRAP);
        cr_expect_null(result.post_instance);
        call(&instance, E_WRITE_HOST, AREA(area) + 16, 12345);
        cr_expect_eq(result.end, JAVM_END_HOST_CALL);
        cr_expect_eq(result.selector, 99);
        cr_expect_null(result.post_instance);
        cr_expect_eq(read_at(&instance, AREA(area) + 16), before, "area %u", area);
    }
}

/* ---- slot[0] ---------------------------------------------------------------------------- */

Test(state, the_scratchpad_goes_in_and_comes_back, STATE)
{
    const struct javm_hash instance = usual();
    struct javm_cap *given = numbered_data(40, 1);
    struct javm_hash as_given;
    const uint64_t changed[] = {41}, longer[] = {40, 42};
    cr_assert_eq(javm_cap_hash(given, &as_given), JAVM_OK);
    call_with(&instance, given, E_READ, AREA(A_SCRATCH), 0);
    cr_expect_eq(result.value, 40);
    expect_hash(result.slot0, &as_given, "read only");
    expect_hash(result.post_instance, &instance, "slot[0] is not the instance's any more");
    call_with(&instance, given, E_WRITE, AREA(A_SCRATCH), 41);
    cr_expect_eq(result.value, 40);
    const struct javm_hash want = data_of(changed, 1), want_longer = data_of(longer, 2);
    expect_hash(result.slot0, &want, "written");
    expect_hash(result.post_instance, &instance, "written to slot[0] only");
    cr_expect_eq(data_u64(given, 0), 40); /* the caller's own is not touched */
    call_with(&instance, given, E_WRITE, AREA(A_SCRATCH) + PAGE, 42);
    expect_hash(result.slot0, &want_longer, "written behind its end");
    call_with(&instance, given, E_WRITE_TRAP, AREA(A_SCRATCH), 43);
    expect_hash(result.slot0, &as_given, "after a fault");
    call_with(&instance, given, E_WRITE_HOST, AREA(A_SCRATCH), 44);
    expect_hash(result.slot0, &as_given, "after an operation that is not served");
    /* Nothing of it is there for the next one. */
    cr_expect_eq(read_at(&instance, AREA(A_SCRATCH)), 0);
    cr_expect_null(result.slot0);
    javm_cap_release(given);
}

Test(state, a_published_slot0, STATE)
{
    const struct javm_hash kept = publish(w.dir, numbered_data(60, 1));
    const struct slot slots[] = {{0, kept}, {SLOT_NODE, node_with(700)}};
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, 2);
    const struct javm_hash emptied = publish_instance(w.dir, &image, slots + 1, 1);
    cr_expect_eq(read_at(&instance, AREA(A_SCRATCH)), 60);
    expect_hash(result.slot0, &kept, "given to the caller");
    expect_hash(result.post_instance, &emptied, "and gone from the instance");
    struct javm_cap *other = numbered_data(61, 1);
    call_with(&instance, other, E_READ, AREA(A_SCRATCH), 0);
    cr_expect_eq(result.value, 61); /* what the caller gives goes first */
    javm_cap_release(other);
    call(&instance, E_WRITE_TRAP, AREA(A_SCRATCH), 1);
    expect_hash(result.slot0, &kept, "after a fault");
}

Test(state, scratchpads_that_do_not_fit, STATE)
{
    const struct javm_hash instance = usual();
    struct javm_cap *large = numbered_data(1, 3), *cnode = javm_cnode_new();
    struct javm_error err;
    struct javm_call refused = {.instance = instance,
                                .endpoint = E_READ,
                                .args = {AREA(A_SCRATCH)},
                                .gas = PLENTY,
                                .scratchpad = large,
                                .want_slot0 = true};
    cr_expect_eq(javm_vm_invoke(w.vm, w.dir, &refused, &result, &err), JAVM_E_RANGE);
    cr_expect_not_null(strstr(err.text, "slot[0] has 3 pages, its mapping only 2"), "%s", err.text);
    refused.scratchpad = cnode;
    cr_expect_eq(javm_vm_invoke(w.vm, w.dir, &refused, &result, &err), JAVM_E_KIND);
    cr_expect_not_null(strstr(err.text, "kind CNode"), "%s", err.text);
    cr_expect_eq(read_at(&instance, AREA(A_SCRATCH)), 0);
    javm_cap_release(large);
    javm_cap_release(cnode);
}

/* An image that does not map slot[0] passes any cap through. */
Test(state, an_unmapped_scratchpad, STATE)
{
    const uint32_t code[] = {REPLY, TRAP};
    const struct javm_endpoint endpoints[] = {{.index = 0, .entry_pc = 0},
                                              {.index = 1, .entry_pc = 4}};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .code = (const uint8_t *)code,
                                      .code_len = sizeof code,
                                      .endpoints = endpoints,
                                      .endpoint_count = 2};
    const struct javm_hash plain = publish_image(w.dir, &fields);
    const struct slot slots[] = {{0, publish(w.dir, javm_data_new("y", 1))}};
    const struct javm_hash instance = publish_instance(w.dir, &plain, slots, 1);
    const struct javm_hash emptied = instantiate(w.dir, &plain);
    struct javm_cap *given = javm_cnode_new();
    struct javm_hash as_given;
    cr_assert_eq(javm_cap_hash(given, &as_given), JAVM_OK);
    for (uint32_t endpoint = 0; endpoint < 2; endpoint++) {
        call_with(&instance, given, endpoint, 0, 0);
        expect_hash(result.slot0, &as_given, "a CNode");
        call(&instance, endpoint, 0, 0);
        expect_hash(result.slot0, &slots[0].hash, "the instance's own");
        if (endpoint == 0)
            expect_hash(result.post_instance, &emptied, "slot[0] is empty now");
    }
    javm_cap_release(given);
}

/* ---- what is kept between calls --------------------------------------------------------- */

static struct javm_vm_stats stats(void)
{
    struct javm_vm_stats now;
    javm_vm_stats(w.vm, &now);
    return now;
}

Test(state, programs_are_decoded_once, STATE)
{
    const struct javm_hash first = usual();
    const struct slot slots[] = {{SLOT_NODE, node_with(1)}};
    const struct javm_hash second = publish_instance(w.dir, &image, slots, 1);
    cr_expect_eq(stats().program_bytes, 0);
    for (int i = 0; i < 10; i++)
        cr_expect_eq(read_at(&first, AREA(A_OWN)), 300);
    cr_expect_eq(stats().program_misses, 1);
    cr_expect_eq(read_at(&second, AREA(A_NESTED)), 1);
    cr_expect_eq(stats().program_misses, 1);
    cr_expect_eq(stats().program_hits, 10); /* each of the 11 hits or misses */
    cr_expect_eq(stats().invocations, 11);
    cr_expect_gt(stats().program_bytes, sizeof(uint32_t) * 10);
    javm_vm_flush(w.vm);
    cr_expect_eq(stats().program_bytes, 0);
    cr_expect_eq(read_at(&first, AREA(A_OWN)), 300);
    cr_expect_eq(stats().program_misses, 2);
}

Test(state, pages_touched_are_counted, STATE)
{
    const struct javm_hash instance = usual();
    for (int i = 0; i < 3; i++) {
        read_at(&instance, AREA(A_OWN)); /* small: brought in whole, and then it is there */
        cr_expect_eq(stats().pages_touched, 4);
    }
    call(&instance, E_WRITE, AREA(A_OWN) + PAGE - 4, 1); /* a straddle, of pages that are there */
    cr_expect_eq(stats().pages_touched, 4);
    read_at(&instance, AREA(A_EPHEMERAL)); /* and the two that could be written are filled again */
    cr_expect_eq(stats().pages_touched, 7);
}

/* What one image's instances touched stays while others run, in up to 16 memories. */
Test(state, memories_of_images, STATE)
{
    enum { IMAGES = 40, KEPT = 16 };
    struct javm_hash instances[IMAGES];
    for (unsigned i = 0; i < IMAGES; i++) {
        const struct javm_hash other = state_image(w.dir, (int32_t)i);
        const struct slot slots[] = {{SLOT_OWN, publish(w.dir, numbered_data(10 * i, 3))},
                                     {SLOT_NODE, node_with(1)}};
        instances[i] = publish_instance(w.dir, &other, slots, 2);
    }
    for (unsigned round = 0; round < 5; round++)
        for (unsigned i = 0; i < KEPT; i++)
            cr_assert_eq(read_at(&instances[i], AREA(A_OWN) + 2 * PAGE), 10 * i + 2);
    cr_expect_eq(stats().pages_touched, KEPT * 4);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < IMAGES; i++) {
            cr_assert_eq(read_at(&instances[i], AREA(A_OWN) + PAGE), 10 * i + 1);
            call(&instances[i], E_WRITE, AREA(A_OWN) + PAGE, 7);
            cr_assert_eq(result.value, 10 * i + 1);
        }
    /* The one used last is there still, with what may be written from the image before it; after a
     * flush it is not. */
    uint64_t before = stats().pages_touched;
    cr_expect_eq(read_at(&instances[IMAGES - 1], AREA(A_OWN) + PAGE), 10 * IMAGES - 9);
    cr_expect_eq(stats().pages_touched - before, 3);
    javm_vm_flush(w.vm);
    before = stats().pages_touched;
    cr_expect_eq(read_at(&instances[IMAGES - 1], AREA(A_OWN) + PAGE), 10 * IMAGES - 9);
    cr_expect_eq(stats().pages_touched - before, 4);
}

/* Instances of one image take turns in one memory, with and without own Data. */
Test(state, instances_of_one_image_take_turns, STATE)
{
    enum { MANY = 5 };
    struct javm_hash instances[MANY];
    for (uint64_t i = 0; i < MANY; i++) {
        const struct slot slots[] = {{SLOT_NODE, node_with(i + 1)},
                                     {SLOT_OWN, publish(w.dir, numbered_data(50 * i, i % 3 + 1))}};
        instances[i] = publish_instance(w.dir, &image, slots, i == 0 ? 1 : 2);
    }
    struct random random = {.state = 3};
    for (unsigned round = 0; round < 2000; round++) {
        const uint64_t i = random_below(&random, MANY), page = random_below(&random, 4);
        const uint64_t there = i != 0 && page <= i % 3 ? 50 * i + page : 0;
        struct javm_cap *given = random_below(&random, 2) ? numbered_data(round, 1) : NULL;
        call_with(&instances[i], given, random_below(&random, 2) ? E_WRITE : (uint32_t)E_READ,
                  AREA(A_OWN) + (uint32_t)page * PAGE, round + 1000);
        cr_assert_eq(result.value, there, "instance %u, page %u, round %u", (unsigned)i,
                     (unsigned)page, round);
        call_with(&instances[i], given, E_READ, AREA(A_SCRATCH), 0);
        cr_assert_eq(result.value, given != NULL ? round : 0);
        cr_assert_eq(read_at(&instances[i], AREA(A_NESTED)), i + 1);
        javm_cap_release(given);
    }
}

Test(state, programs_are_evicted)
{
    const struct javm_vm_options options = {.program_cache_bytes = 1};
    world_open(&w, &options);
    struct javm_hash images[3], instances[3];
    for (int32_t i = 0; i < 3; i++) {
        images[i] = state_image(w.dir, i);
        const struct slot slots[] = {
            {SLOT_OWN, publish(w.dir, numbered_data(10 * (uint64_t)(i + 1), 1))},
            {SLOT_NODE, node_with(1)}};
        instances[i] = publish_instance(w.dir, &images[i], slots, 2);
    }
    cr_expect_eq(read_at(&instances[0], AREA(A_OWN)), 10);
    const uint64_t one = stats().program_bytes; /* the one in use stays, whatever the limit */
    cr_expect_gt(one, 1);
    for (unsigned round = 1; round <= 30; round++) {
        cr_expect_eq(read_at(&instances[round % 3], AREA(A_OWN)), 10 * (round % 3 + 1));
        cr_expect_eq(stats().program_bytes, one);
        cr_expect_eq(stats().program_misses, round + 1);
    }
    close_state();
}

/* More instances than a Vm keeps prepared, in two orders. */
Test(state, many_instances, STATE)
{
    enum { MANY = 700 };
    static struct javm_hash instances[MANY];
    for (uint64_t i = 0; i < MANY; i++) {
        const struct slot slots[] = {{SLOT_OWN, publish(w.dir, numbered_data(i, 1))},
                                     {SLOT_NODE, node_with(i + 1)}};
        instances[i] = publish_instance(w.dir, &image, slots, 2);
    }
    for (uint64_t i = 0; i < MANY; i++)
        cr_assert_eq(read_at(&instances[i], AREA(A_OWN)), i);
    for (uint64_t i = 0; i < MANY; i++)
        cr_assert_eq(read_at(&instances[i * 37 % MANY], AREA(A_NESTED)), i * 37 % MANY + 1);
    cr_expect_eq(stats().program_misses, 1);
}

/* Each call starts from the post instance of the one before. */
Test(state, a_chain_of_invocations, STATE)
{
    struct javm_hash instance = usual();
    for (uint64_t i = 0; i < 200; i++) {
        call(&instance, E_WRITE, AREA(A_OWN) + 8 + (uint32_t)(i % 3) * PAGE, i + 1);
        cr_assert_eq(result.value, i < 3 ? 0 : i - 2);
        cr_assert_eq(javm_directory_put(w.dir, result.post_instance, &instance, NULL), JAVM_OK);
    }
    cr_expect_eq(read_at(&instance, AREA(A_OWN)), 300);
    cr_expect_eq(read_at(&instance, AREA(A_OWN) + PAGE), 301);
}

/* ---- threads ---------------------------------------------------------------------------- */

#define RUNS 3000

struct job {
    struct javm_hash instance;
    uint64_t number;
    pthread_barrier_t *start;
};

/* Reads and writes its way through the shared instance; post instances are the same caps in both
 * threads, published by both at the same time. */
static void *invoke_often(void *arg)
{
    const struct job *job = arg;
    struct javm_dir_thread *dir = javm_directory_join(w.directory);
    struct javm_vm *vm;
    struct javm_call_result mine;
    REQUIRE(dir != NULL);
    REQUIRE(javm_vm_create(NULL, &vm, NULL) == JAVM_OK);
    pthread_barrier_wait(job->start);
    for (uint64_t i = 0; i < RUNS; i++) {
        const uint64_t write[4] = {AREA(A_OWN), i}, read[4] = {AREA(A_OWN)};
        struct javm_hash post;
        REQUIRE(javm_vm_invoke_cached(vm, dir, &job->instance, E_WRITE, write, PLENTY, &mine,
                                      NULL) == JAVM_OK);
        REQUIRE(mine.end == JAVM_END_HALT && mine.value == 300);
        REQUIRE(javm_directory_put(dir, mine.post_instance, &post, NULL) == JAVM_OK);
        javm_call_result_clear(&mine);
        REQUIRE(javm_vm_invoke_cached(vm, dir, &post, E_READ, read, PLENTY, &mine, NULL) ==
                JAVM_OK);
        REQUIRE(mine.end == JAVM_END_HALT && mine.value == i);
        javm_call_result_clear(&mine);
    }
    javm_vm_destroy(vm);
    javm_directory_leave(dir);
    return NULL;
}

Test(state, two_vms_in_two_threads)
{
    pthread_t threads[2];
    pthread_barrier_t start;
    REQUIRE(javm_directory_create(3, 0, &w.directory, NULL) == JAVM_OK);
    w.dir = javm_directory_join(w.directory);
    REQUIRE(javm_vm_create(NULL, &w.vm, NULL) == JAVM_OK);
    image = state_image(w.dir, 1);
    struct job job = {.instance = usual(), .start = &start};
    pthread_barrier_init(&start, NULL, 2);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, invoke_often, &job), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    cr_expect_eq(read_at(&job.instance, AREA(A_OWN)), 300);
    close_state();
}
