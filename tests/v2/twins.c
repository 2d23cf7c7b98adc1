#include "tests/v2/twins.h"

#include <string.h>

#include "tests/loaders/pvm_maker.h"
#include "tests/v2/scene.h"
#include "vm/v2/v2.h"

#define TWINS 4u

/* ---- running ------------------------------------------------------------------------------- */

/* Everything that the guest and the host can see, as it is seen. */
struct digest {
    uint64_t state, services;
};

static void mix(struct digest *d, uint64_t value)
{
    d->state = (d->state ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    d->state ^= d->state >> 29;
}

static void mix_memory(struct digest *d, struct javm_v2 *v2)
{
    static uint64_t page[JAVM_PAGE_SIZE / 8];
    for (uint64_t at = 0; at < 64; at++) {
        const bool readable = javm_v2_read(v2, at << 12, page, sizeof page);
        mix(d, readable);
        mix(d, javm_v2_accessible(v2, at << 12, sizeof page, true));
        for (size_t i = 0; i < sizeof page / sizeof *page && readable; i++)
            if (page[i] != 0)
                mix(d, page[i] + i);
    }
}

static enum javm_v2_answer serve(void *context, struct javm_v2 *v2, struct javm_v2_call *c)
{
    struct digest *d = context;
    mix(d, c->id);
    mix(d, c->gas);
    for (unsigned i = 0; i < 13; i++)
        mix(d, c->regs[i]);
    if (++d->services % 8 == 1)
        mix_memory(d, v2);
    c->r7 = c->regs[7];
    if (c->id == 3)
        c->r7 = javm_v2_write(v2, 0x10FFC, "hostbyte", 8);
    if (c->id == 4)
        c->gas /= 2;
    if (c->id == 5)
        return JAVM_V2_PANIC;
    return JAVM_V2_CONTINUE;
}

static struct javm_v2 *kernels[TWINS];

static void close_all(void)
{
    for (unsigned i = 0; i < TWINS; i++)
        javm_v2_destroy(kernels[i]);
}

/* What libgcc keeps for the recompiler hides its pointers from the leak checker, which libFuzzer
 * asks in the middle, because kernels keep programs from input to input. */
static void leaks(bool count)
{
#ifdef TEST_LEAKS
    if (count)
        __lsan_enable();
    else
        __lsan_disable();
#else
    (void)count;
#endif
}

static void open_all(void)
{
    leaks(false);
    for (unsigned i = 0; i < TWINS; i++) {
        const enum javm_engine engine = i % 2 == 0 || !javm_engine_available(JAVM_ENGINE_JIT)
                                            ? JAVM_ENGINE_INTERP
                                            : JAVM_ENGINE_JIT;
        const struct javm_v2_options options = {.engine = engine, .max_memory_pages = 4096};
        REQUIRE(javm_v2_create(&options, &kernels[i], NULL) == JAVM_OK);
        if (i >= 2)
            kernels[i]->window_max = 1;
    }
    leaks(true);
    atexit(close_all);
}

bool twins_run(const uint8_t *bytes, size_t len, uint64_t gas)
{
    struct javm_v2_blob *blob;
    struct javm_v2_result first = {0};
    struct digest digests[TWINS];
    if (kernels[0] == NULL)
        open_all();
    if (javm_v2_blob_load(bytes, len, &blob, NULL) != JAVM_OK)
        return false;
    for (unsigned i = 0; i < 2 * TWINS; i++) { /* once more, where pages are open already */
        struct digest d = {.state = 1};
        const struct javm_v2_host host = {&d, serve};
        const struct javm_v2_invocation invocation = {
            .args = (const uint8_t *)"arguments", .args_len = 9, .gas = gas, .host = &host};
        struct javm_v2_result result = {0};
        REQUIRE(javm_v2_invoke(kernels[i % TWINS], blob, &invocation, &result, NULL) == JAVM_OK);
        if (result.end != JAVM_V2_END_REJECTED)
            mix_memory(&d, kernels[i % TWINS]);
        if (i == 0)
            first = result;
        digests[i % TWINS] = d;
        if (memcmp(&result, &first, sizeof first) == 0 && d.state == digests[0].state &&
            d.services == digests[0].services)
            continue;
        fprintf(stderr,
                "kernel %u: end %d, value %llx, gas %llu, %llu services; the first: %d, %llx, "
                "%llu, %llu\n",
                i, (int)result.end, (unsigned long long)result.value,
                (unsigned long long)result.gas_left, (unsigned long long)d.services, (int)first.end,
                (unsigned long long)first.value, (unsigned long long)first.gas_left,
                (unsigned long long)digests[0].services);
        abort();
    }
    javm_v2_blob_release(blob);
    return true;
}

/* ---- making -------------------------------------------------------------------------------- */

struct choices {
    const uint8_t *at, *end;
};

static uint8_t choose(struct choices *c)
{
    return c->at != c->end ? *c->at++ : 0;
}

#define PICK(c, list) ((list)[choose(c) % (sizeof(list) / sizeof *(list))])

static uint32_t pick_ref(struct choices *c)
{
    static const uint8_t slots[] = {0,  29, 30, 31, 40, 50, 51, 52, 53, 54,
                                    55, 67, 68, 69, 80, 81, 82, 64, 26, 254};
    static const uint8_t steps[] = {0, 0, 0, 0, 80, 81, 82, 50};
    const uint32_t slot = PICK(c, slots), h0 = PICK(c, steps);
    const uint32_t h1 = h0 != 0 && (choose(c) & 3) == 0 ? PICK(c, steps) : 0;
    return h1 << 16 | h0 << 8 | slot;
}

static uint64_t pick_value(struct choices *c)
{
    static const uint64_t values[] = {0,  1,  2,  3,  4,  7,    16,   17,      18,
                                      20, 30, 60, 63, 64, 4096, 8192, 0x10000, UINT64_MAX};
    return PICK(c, values);
}

/* The first VM ends with its first fault: it stays where memory is likely. */
static uint32_t pick_address(struct choices *c, bool first)
{
    static const uint32_t offsets[] = {0, 8, 2048, 4088, 2044, 3000, 4092};
    const uint32_t any = choose(c), page = !first || any > 253 ? 14 + any % 24 : 30;
    return page << 12 | (page == 30 ? any % 4 * 1022 : PICK(c, offsets));
}

static void pick_args(struct choices *c, struct text *t, uint64_t operation)
{
    if (operation == OP_MAP)
        args(t, 16 + choose(c) % 6, choose(c) % 3, choose(c) % 6, choose(c) % 4 != 0);
    else if (operation == OP_DIRTY)
        args(t, 0x10000 + 4096u * (choose(c) % 8), 1 + choose(c) % 8, 0, 0);
    else
        args(t, pick_value(c), pick_value(c), pick_value(c), pick_value(c));
}

static void step(struct choices *c, struct text *t, bool first)
{
    static const uint8_t numbers[] = {1, 1, 3, 4, 26, 29, 30, 31, 40, 50, 51, 52, 80, 81, 82, 81};
    static const uint8_t operations[] = {0, 0, 2, 2,  2,  3,  3,  4,  5,  6,
                                         6, 6, 7, 10, 11, 12, 12, 13, 13, 1};
    const uint8_t kind = choose(c) % 16;
    const uint64_t operation = PICK(c, operations);
    if (kind < 7) {
        pick_args(c, t, operation);
        const uint32_t subject = pick_ref(c);
        op(t, operation, subject, pick_ref(c));
        if (kind < 4)
            probe(t);
    } else if (kind < 9) {
        li(t, 7, pick_value(c));
        li(t, 12, pick_ref(c));
        ecalli(t, first || (choose(c) & 3) != 0 ? PICK(c, numbers) : 0);
    } else if (kind < 12) {
        li(t, 1, pick_value(c) + 0x0102030405060708u);
        store(t, pick_address(c, first), 1);
    } else if (kind < 14) {
        load(t, 7, pick_address(c, first));
        probe(t);
    } else if (kind == 14) {
        PUT(t, 1);
    } else if (!first || choose(c) == 0) {
        ecalli(t, choose(c) % 4 == 0 ? 5 : 200);
    }
}

static void prologue(struct text *t)
{
    op(t, OP_COPY, 64, 29);
    op(t, OP_COPY, 65, 30);
    op(t, OP_COPY, 66, 31);
    op(t, OP_COPY, UNTYPED, 40);
    for (unsigned i = 0; i < 3; i++) {
        li(t, 7, i == 0 ? UINT64_MAX : UINT64_C(1) << 26 | 1u << 3);
        call(t, 65 + i % 2, 80 + i);
    }
    li(t, 7, 4);
    op(t, OP_CALL, UNTYPED, 69);
    op(t, OP_DOWNGRADE, 80, 54);
    op(t, OP_DOWNGRADE, 80, 81u << 8 | 50);
    op(t, OP_MOVE, 82, 80u << 8 | 82);
    li(t, 7, 20000);
    op(t, OP_SET_MAX_GAS, 80, 0);
}

size_t twins_make(const uint8_t *choices, size_t len, uint8_t *bytes)
{
    static const uint8_t payload[9000] = {1, 2, 3};
    static struct text texts[3];
    struct choices c = {choices, choices + len};
    struct jar_source_entry entries[7];
    struct blob data = {0};
    memset(texts, 0, sizeof texts);
    prologue(&texts[0]);
    while (c.at != c.end) {
        const unsigned which = choose(&c) % 4 % 3;
        if (texts[which].len > 4096)
            break;
        step(&c, &texts[which], which == 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        reply(&texts[i]);
        jump(&texts[i], 0);
        const struct pvm_source source = {texts[i].code, texts[i].starts, texts[i].len, NULL, 0, 1};
        const size_t at = data.len;
        blob_code(&data, &source, false);
        entries[i] = (struct jar_source_entry){
            .slot = 64 + i, .offset = (uint32_t)at, .len = (uint32_t)(data.len - at)};
    }
    const uint32_t at = (uint32_t)data.len;
    blob_put(&data, payload, sizeof payload);
    entries[3] = (struct jar_source_entry){67, 1, 16, 4, 1, at, 9000};
    entries[4] = (struct jar_source_entry){68, 1, 22, 3, 0, at, 4500};
    entries[5] = (struct jar_source_entry){0, 1, 44, 1, 1, at, 3};
    entries[6] = (struct jar_source_entry){200, 1, 30, 1, 1, at, 3}; /* no choice leads there */
    struct blob blob = jar_make(64, 64, entries, 7, data.bytes, data.len);
    REQUIRE(blob.len <= TWINS_BLOB);
    memcpy(bytes, blob.bytes, blob.len);
    const size_t size = blob.len;
    blob_free(&blob);
    blob_free(&data);
    return size;
}
