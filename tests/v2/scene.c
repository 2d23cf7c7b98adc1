#include "tests/v2/scene.h"

#include <string.h>

#include "tests/loaders/pvm_maker.h"

/* ---- text -------------------------------------------------------------------------------- */

void put(struct text *t, const uint8_t *bytes, uint32_t len)
{
    REQUIRE(t->len + len <= sizeof t->code);
    t->starts[t->len] = 1;
    memcpy(t->code + t->len, bytes, len);
    t->len += len;
}

void li(struct text *t, unsigned reg, uint64_t value)
{
    uint8_t bytes[10] = {20, (uint8_t)reg};
    for (unsigned i = 0; i < 8; i++)
        bytes[2 + i] = (uint8_t)(value >> 8 * i);
    put(t, bytes, sizeof bytes);
}

void ecalli(struct text *t, uint32_t number)
{
    PUT(t, 10, (uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16),
        (uint8_t)(number >> 24));
}

void args(struct text *t, uint64_t r7, uint64_t r8, uint64_t r9, uint64_t r10)
{
    li(t, 7, r7);
    li(t, 8, r8);
    li(t, 9, r9);
    li(t, 10, r10);
}

void call(struct text *t, unsigned slot, uint32_t object)
{
    li(t, 12, object);
    ecalli(t, slot);
}

void op(struct text *t, uint64_t operation, uint32_t subject, uint32_t object)
{
    li(t, 11, operation);
    li(t, 12, (uint64_t)subject << 32 | object);
    PUT(t, 3);
}

void probe(struct text *t)
{
    ecalli(t, PROBE);
}

void store(struct text *t, uint32_t address, unsigned reg)
{
    PUT(t, 62, (uint8_t)reg, (uint8_t)address, (uint8_t)(address >> 8), (uint8_t)(address >> 16),
        (uint8_t)(address >> 24));
}

void load(struct text *t, unsigned reg, uint32_t address)
{
    PUT(t, 58, (uint8_t)reg, (uint8_t)address, (uint8_t)(address >> 8), (uint8_t)(address >> 16),
        (uint8_t)(address >> 24));
}

void reply(struct text *t)
{
    ecalli(t, 0);
}

void halt(struct text *t)
{
    li(t, 2, 0xFFFF0000);
    PUT(t, 50, 2);
}

void jump(struct text *t, uint32_t to)
{
    const uint32_t by = to - t->len;
    PUT(t, 40, (uint8_t)by, (uint8_t)(by >> 8), (uint8_t)(by >> 16), (uint8_t)(by >> 24));
}

/* ---- scenes ------------------------------------------------------------------------------ */

struct text *begin(struct scene *s, uint32_t memory_pages)
{
    *s = (struct scene){.memory_pages = memory_pages, .invoke = 64, .gas = 100000000};
    return add_code(s, 64);
}

struct text *add_code(struct scene *s, unsigned slot)
{
    REQUIRE(s->count < sizeof s->entries / sizeof *s->entries);
    s->entries[s->count].slot = slot;
    s->entries[s->count].is_code = true;
    return &s->entries[s->count++].text;
}

void add_data(struct scene *s, unsigned slot, uint32_t base, uint32_t pages, bool writable,
              const void *bytes, uint32_t len)
{
    add_code(s, slot);
    s->entries[s->count - 1].is_code = false;
    s->entries[s->count - 1].base = base;
    s->entries[s->count - 1].pages = pages;
    s->entries[s->count - 1].writable = writable;
    s->entries[s->count - 1].bytes = bytes;
    s->entries[s->count - 1].len = len;
}

struct javm_v2_blob *make_blob(const struct scene *s)
{
    struct jar_source_entry entries[8];
    struct blob data = {0};
    for (unsigned i = 0; i < s->count; i++) {
        const size_t at = data.len;
        if (s->entries[i].is_code) {
            const struct text *t = &s->entries[i].text;
            const struct pvm_source source = {t->code, t->starts, t->len, NULL, 0, 4};
            blob_code(&data, &source, false);
        } else if (s->entries[i].len != 0) {
            blob_put(&data, s->entries[i].bytes, s->entries[i].len);
        }
        entries[i] = (struct jar_source_entry){s->entries[i].slot,       !s->entries[i].is_code,
                                               s->entries[i].base,       s->entries[i].pages,
                                               s->entries[i].writable,   (uint32_t)at,
                                               (uint32_t)(data.len - at)};
    }
    struct blob bytes =
        jar_make(s->memory_pages, s->invoke, entries, s->count, data.bytes, data.len);
    struct javm_v2_blob *blob;
    struct javm_error err;
    if (javm_v2_blob_load(bytes.bytes, bytes.len, &blob, &err) != JAVM_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    blob_free(&bytes);
    blob_free(&data);
    return blob;
}

struct stage {
    const struct scene *scene;
    struct outcome *outcome;
};

static enum javm_v2_answer serve(void *context, struct javm_v2 *v2, struct javm_v2_call *c)
{
    const struct stage *stage = context;
    struct outcome *o = stage->outcome;
    if (c->id != PROBE)
        return stage->scene->serve != NULL ? stage->scene->serve(v2, c) : JAVM_V2_CONTINUE;
    REQUIRE(o->count < sizeof o->notes / sizeof *o->notes);
    memcpy(o->notes[o->count].regs, c->regs, sizeof c->regs);
    o->notes[o->count++].gas = c->gas;
    c->r7 = c->regs[7];
    c->r8 = c->regs[8];
    return JAVM_V2_CONTINUE;
}

struct outcome *play(const struct scene *s)
{
    static struct outcome outcomes[4];
    struct javm_v2_blob *blob = make_blob(s);
    memset(outcomes, 0, sizeof outcomes);
    for (unsigned i = 0; i < 4; i++) {
        static struct javm_v2 *kernels[2];
        const enum javm_engine engine = i % 2 == 0 || !javm_engine_available(JAVM_ENGINE_JIT)
                                            ? JAVM_ENGINE_INTERP
                                            : JAVM_ENGINE_JIT;
        if (kernels[i % 2] == NULL)
            REQUIRE(javm_v2_create(&(struct javm_v2_options){.engine = engine}, &kernels[i % 2],
                                   NULL) == JAVM_OK);
        struct stage stage = {s, &outcomes[i]};
        const struct javm_v2_host host = {&stage, serve};
        const struct javm_v2_invocation invocation = {.args = s->args,
                                                      .args_len = s->args_len,
                                                      .gas = s->gas,
                                                      .op = s->op,
                                                      .deadline_ns = s->deadline_ns,
                                                      .host = &host};
        REQUIRE(javm_v2_invoke(kernels[i % 2], blob, &invocation, &outcomes[i].result, NULL) ==
                JAVM_OK);
        if (i >= 2) {
            javm_v2_destroy(kernels[i % 2]);
            kernels[i % 2] = NULL;
        }
        REQUIRE(memcmp(&outcomes[i], &outcomes[0], sizeof outcomes[0]) == 0);
    }
    javm_v2_blob_release(blob);
    return &outcomes[0];
}

uint64_t noted(const struct outcome *o, unsigned n)
{
    if (n >= o->count) {
        fprintf(stderr, "note %u of %u; end %d, value 0x%llx\n", n, o->count, (int)o->result.end,
                (unsigned long long)o->result.value);
        abort();
    }
    return o->notes[n].regs[7];
}
