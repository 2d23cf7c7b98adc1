/* For the tests of the kernel: guests that are sequences of operations, run on both engines.
 *
 * KERNEL_TEST(suite, name) { ... } is a test that runs once on each engine, in a world `w` of its
 * own; afterwards nothing may be left: no live entry, and in a sanitizer build no memory. */
#ifndef TESTS_VM_KERNEL_SUPPORT_H
#define TESTS_VM_KERNEL_SUPPORT_H

#include <criterion/criterion.h>

#include "javm/handle.h"
#include "tests/vm/kernel_numbers.h"
#include "tests/vm/support.h"

#define PAGE    JAVM_PAGE_SIZE
#define PLENTY  1000000u
#define WINDOW  RW_BASE              /* where windowed guests have slot[0] */
#define STATE   (RW_BASE + 0x10000u) /* where those with a state have slot 3, two pages */
#define SCRAP   (RW_BASE + 0x20000u) /* and two pages of ephemeral memory */
#define S_STATE 3

/* φ7.. as x numbers. */
enum { A0 = 10, A1, A2, A3, A4, A5 };

static struct world w;
static struct javm_call_result result;
static struct javm_error err;
static enum javm_engine engine;

static inline void kernel_open(const struct javm_vm_options *more)
{
    struct javm_vm_options options = more != NULL ? *more : (struct javm_vm_options){0};
    options.engine = engine;
    memset(&result, 0, sizeof result);
    world_open(&w, &options);
}

static inline void kernel_close(void)
{
    javm_call_result_clear(&result);
    world_close(&w);
}

#define KERNEL_TEST_WITH(suite, name, options)                                   \
    static void suite##_##name(void);                                            \
    static void both_##suite##_##name(void)                                      \
    {                                                                            \
        for (engine = JAVM_ENGINE_INTERP; engine <= JAVM_ENGINE_JIT; engine++) { \
            if (!javm_engine_available(engine))                                  \
                continue;                                                        \
            kernel_open(options);                                                \
            suite##_##name();                                                    \
            kernel_close();                                                      \
        }                                                                        \
    }                                                                            \
    Test(suite, name)                                                            \
    {                                                                            \
        both_##suite##_##name();                                                 \
    }                                                                            \
    static void suite##_##name(void)
#define KERNEL_TEST(suite, name) KERNEL_TEST_WITH(suite, name, NULL)

/* ---- code ------------------------------------------------------------------------------- */

struct code {
    uint32_t words[1024];
    uint32_t count;
    struct javm_endpoint endpoints[8];
    uint32_t endpoint_count;
};

static inline void emit(struct code *c, uint32_t word)
{
    REQUIRE(c->count < CODE(c->words));
    c->words[c->count++] = word;
}

/* The next endpoint begins here. */
static inline void endpoint(struct code *c)
{
    if (c->count != 0)
        emit(c, FALLTHROUGH); /* what follows it starts a block */
    c->endpoints[c->endpoint_count] =
        (struct javm_endpoint){.index = c->endpoint_count, .entry_pc = 4 * (uint64_t)c->count};
    c->endpoint_count++;
}

static inline void li32(struct code *c, unsigned x, int32_t value)
{
    const int32_t low = (int32_t)((uint32_t)value << 20) >> 20;
    if (low == value) {
        emit(c, ADDI(x, 0, low));
        return;
    }
    emit(c, LUI(x, (uint32_t)value - (uint32_t)low));
    emit(c, op(PVM2_ADDIW, x, x, 0, low));
}

/* x5 is lost when the value has more than 32 bits. */
static inline void li(struct code *c, unsigned x, uint64_t value)
{
    if ((uint64_t)(int64_t)(int32_t)value == value) {
        li32(c, x, (int32_t)value);
        return;
    }
    li32(c, x, (int32_t)(value >> 32));
    emit(c, op(PVM2_SLLI, x, x, 0, 32));
    li32(c, 5, (int32_t)value);
    emit(c, op(PVM2_SLLI, 5, 5, 0, 32));
    emit(c, op(PVM2_SRLI, 5, 5, 0, 32));
    emit(c, ADD(x, x, 5));
}

static inline void operate(struct code *c, int32_t number, const uint64_t *arguments, size_t count)
{
    for (unsigned i = 0; i < count; i++)
        li(c, A0 + i, arguments[i]);
    emit(c, ECALLI(number));
}
/* An operation with its arguments in φ7, φ8, ... */
#define OP(c, number, ...)                              \
    operate(c, number, (const uint64_t[]){__VA_ARGS__}, \
            sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static inline void reply(struct code *c, uint64_t value)
{
    OP(c, REPLY_OP, value);
}

/* Store / load a register at an address. Uses x6. */
static inline void store(struct code *c, uint32_t address, unsigned x)
{
    li(c, 6, address);
    emit(c, SD(x, 0, 6));
}
static inline void load(struct code *c, unsigned x, uint32_t address)
{
    li(c, 6, address);
    emit(c, LD(x, 0, 6));
}
/* Trap unless the register has the value. Uses x7; no block starts inside but behind branches. */
static inline void expect(struct code *c, unsigned x, uint64_t value)
{
    li(c, 7, value);
    emit(c, op(PVM2_BEQ, 0, x, 7, 8));
    emit(c, TRAP);
}

/* ---- images and instances --------------------------------------------------------------- */

enum { WITH_WINDOW = 1, WITH_STATE = 2, WITH_SCRAP = 4 };

/* Publish; of `more` what code and mappings do not say. */
static inline struct javm_hash image_with(const struct code *c, unsigned with,
                                          const struct javm_image *more)
{
    struct javm_image fields = more != NULL ? *more : (struct javm_image){0};
    struct javm_mapping mappings[3];
    uint32_t n = 0;
    if (with & WITH_WINDOW)
        mappings[n++] = (struct javm_mapping){
            .start = WINDOW, .size = PAGE, .depth = 1, .path = {javm_key_from_u64(0)}};
    if (with & WITH_STATE)
        mappings[n++] = (struct javm_mapping){
            .start = STATE, .size = 2 * PAGE, .depth = 1, .path = {javm_key_from_u64(S_STATE)}};
    if (with & WITH_SCRAP)
        mappings[n++] = (struct javm_mapping){.start = SCRAP, .size = 2 * PAGE};
    fields.isa = JAVM_ISA_PVM2;
    fields.code = (const uint8_t *)c->words;
    fields.code_len = 4 * (uint64_t)c->count;
    fields.endpoints = c->endpoints;
    fields.endpoint_count = c->endpoint_count;
    fields.mappings = mappings;
    fields.mapping_count = n;
    return publish_image(w.dir, &fields);
}

static inline struct javm_hash image_of(const struct code *c)
{
    return image_with(c, 0, NULL);
}

/* An image with one endpoint that replies with a value. */
static inline struct javm_hash constant_image(uint64_t value)
{
    struct code c = {.count = 0};
    endpoint(&c);
    reply(&c, value);
    return image_of(&c);
}

static inline struct javm_hash handle(struct javm_cap *cap)
{
    return publish(w.dir, cap);
}
static inline struct javm_hash number_data(uint64_t number)
{
    return publish(w.dir, javm_data_new(&number, sizeof number));
}

#define YK(byte)        ((struct javm_key){2, {0xCE, byte}})
#define YK_PACKED(byte) (0xCEu | (uint32_t)(byte) << 8)

/* ---- running ---------------------------------------------------------------------------- */

static inline struct javm_call usual_call(const struct javm_hash *instance)
{
    return (struct javm_call){
        .instance = *instance, .gas = PLENTY, .want_post = true, .want_slot0 = true};
}

static inline void invoke(const struct javm_call *call)
{
    javm_call_result_clear(&result);
    cr_assert_eq(javm_vm_invoke(w.vm, w.dir, call, &result, &err), JAVM_OK, "%s", err.text);
}

/* An instance of the image with these slots, run at endpoint 0. */
static inline void run_with(const struct javm_hash *image, const struct slot *slots, size_t count)
{
    const struct javm_hash instance = publish_instance(w.dir, image, slots, count);
    const struct javm_call call = usual_call(&instance);
    invoke(&call);
}
static inline void run_code(const struct code *c, const struct slot *slots, size_t count)
{
    const struct javm_hash image = image_of(c);
    run_with(&image, slots, count);
}

#define expect_halt(want)                                                                 \
    do {                                                                                  \
        cr_assert_eq(result.end, JAVM_END_HALT, "end %d, %s at pc %llu", (int)result.end, \
                     javm_fault_name(result.fault), (unsigned long long)result.pc);       \
        cr_expect_eq(result.value, (uint64_t)(want), "value %llu",                        \
                     (unsigned long long)result.value);                                   \
    } while (0)
#define expect_fault(want)                                                     \
    do {                                                                       \
        cr_expect_eq(result.end, JAVM_END_FAULTED, "end %d", (int)result.end); \
        cr_expect_eq(result.fault, want, "%s", javm_fault_name(result.fault)); \
    } while (0)

/* ---- what an invocation left ------------------------------------------------------------ */

/* The cap in a slot of a CNode, or NULL; a reference. */
static inline struct javm_cap *below(const struct javm_cap *cnode, uint64_t key)
{
    const struct javm_key name = javm_key_from_u64(key);
    const struct javm_target *target = javm_cnode_get(cnode, &name);
    if (target == NULL)
        return NULL;
    REQUIRE(target->kind == JAVM_TARGET_HASH);
    struct javm_cap *cap = javm_directory_get(w.dir, &target->hash);
    REQUIRE(cap != NULL); /* what a published cap names is there */
    return cap;
}

static inline struct javm_cap *root_of(const struct javm_cap *instance)
{
    REQUIRE(instance != NULL);
    return javm_directory_get(w.dir, &javm_instance_of(instance)->root_cnode.hash);
}

/* The same of a path of slots from an Instance; through Instances it goes by their roots. */
static inline struct javm_cap *cap_at(const struct javm_cap *instance, const uint64_t *path,
                                      size_t count)
{
    struct javm_cap *at = root_of(instance);
    for (size_t i = 0; i < count && at != NULL; i++) {
        if (javm_cap_kind(at) == JAVM_INSTANCE) {
            struct javm_cap *root = root_of(at);
            javm_cap_release(at);
            at = root;
        }
        struct javm_cap *next = below(at, path[i]);
        javm_cap_release(at);
        at = next;
    }
    return at;
}
#define POST(...)                                                 \
    cap_at(result.post_instance, (const uint64_t[]){__VA_ARGS__}, \
           sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static inline bool cap_is(struct javm_cap *cap, const struct javm_hash *hash)
{
    struct javm_hash is;
    const bool same =
        cap != NULL && javm_cap_hash(cap, &is) == JAVM_OK && javm_hash_equal(&is, hash);
    javm_cap_release(cap);
    return same;
}
static inline bool is_empty(struct javm_cap *cap)
{
    javm_cap_release(cap);
    return cap == NULL;
}
static inline uint64_t first_word(struct javm_cap *data)
{
    REQUIRE(data != NULL && javm_cap_kind(data) == JAVM_DATA);
    const uint64_t word = javm_data_pages(data) != 0 ? data_u64(data, 0) : 0;
    javm_cap_release(data);
    return word;
}

/* The Vm keeps two attestations: of Data that begin with 50 and 60. */
static inline void expect_attested_50_60(void)
{
    cr_assert_eq(javm_vm_attestations(w.vm), 2);
    for (size_t i = 0; i < 2; i++) {
        struct javm_key key;
        const struct javm_cap *data;
        cr_assert(javm_vm_attestation(w.vm, i, &key, &data));
        cr_expect_eq(javm_key_compare(&key, &JAVM_YK_ATTEST), 0);
        cr_expect_eq(data_u64(data, 0), 50 + 10 * i);
    }
}

#endif
