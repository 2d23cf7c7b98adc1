/* Blobs written in the test, run on both engines: PVM by the instruction, slots by their number.
 *
 * A guest tells what it sees with `probe`: service 26 notes the registers and the gas of the VM and
 * changes nothing. Every scene runs twice on each engine, one after the other in one kernel, and
 * all four have to agree in everything that was noted and in the result. */
#ifndef TESTS_V2_SCENE_H
#define TESTS_V2_SCENE_H

#include "javm/v2.h"
#include "tests/require.h"

#define WHAT JAVM_V2_WHAT
#define HUH  JAVM_V2_HUH
#define LOW  JAVM_V2_LOW

enum { OP_CALL, OP_MAP = 2, OP_UNMAP, OP_SPLIT, OP_DROP, OP_MOVE, OP_COPY, OP_DOWNGRADE = 10 };
enum { OP_SET_MAX_GAS = 11, OP_DIRTY, OP_RESUME };

#define UNTYPED 254u
#define PROBE   26u

struct text {
    uint8_t code[8192], starts[8192];
    uint32_t len;
};
void put(struct text *t, const uint8_t *bytes, uint32_t len);
#define PUT(t, ...) \
    put(t, (const uint8_t[]){__VA_ARGS__}, (uint32_t)sizeof((const uint8_t[]){__VA_ARGS__}))
void li(struct text *t, unsigned reg, uint64_t value);
void ecalli(struct text *t, uint32_t number);
void args(struct text *t, uint64_t r7, uint64_t r8, uint64_t r9, uint64_t r10);
/* φ[12]'s lower half, then ecalli: what CALL in the own table needs. */
void call(struct text *t, unsigned slot, uint32_t object);
/* Operation, references; φ[7] to φ[10] are as they are. */
void op(struct text *t, uint64_t operation, uint32_t subject, uint32_t object);
void probe(struct text *t);
void store(struct text *t, uint32_t address, unsigned reg); /* 8 bytes */
void load(struct text *t, unsigned reg, uint32_t address);
void reply(struct text *t);
void halt(struct text *t);
void jump(struct text *t, uint32_t to);

struct scene {
    uint32_t memory_pages;
    unsigned invoke; /* slot */
    struct {
        unsigned slot;
        bool is_code, writable;
        uint32_t base, pages;
        const void *bytes;
        uint32_t len;
        struct text text;
    } entries[8];
    unsigned count;
    uint64_t gas, op, deadline_ns;
    const void *args;
    uint64_t args_len;
    enum javm_v2_answer (*serve)(struct javm_v2 *v2, struct javm_v2_call *call); /* all but 26 */
};
/* A scene whose first code is in slot 64. */
struct text *begin(struct scene *s, uint32_t memory_pages);
struct text *add_code(struct scene *s, unsigned slot);
void add_data(struct scene *s, unsigned slot, uint32_t base, uint32_t pages, bool writable,
              const void *bytes, uint32_t len);

struct note {
    uint64_t regs[13], gas;
};
struct outcome {
    struct javm_v2_result result;
    struct note notes[256];
    unsigned count;
};
struct outcome *play(const struct scene *s); /* valid until the next call */
struct javm_v2_blob *make_blob(const struct scene *s);

/* The nth note's φ[7]; that there is one is checked. */
uint64_t noted(const struct outcome *o, unsigned n);

#endif
