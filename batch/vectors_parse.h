/* An execution vector: from JSON to what the engine takes and what it is compared with. */
#ifndef JAVM_BATCH_VECTORS_PARSE_H
#define JAVM_BATCH_VECTORS_PARSE_H

#include "batch/fields.h"
#include "javm/engine.h"

/* Bytes that the run is expected to have changed; neighbours may be unchanged. */
struct vector_run {
    uint32_t addr, len;
    const uint8_t *bytes; /* into vector.bytes */
};

/* Buffers are kept from one vector to the next: start from all zero, reuse, clear at the end. */
struct vector {
    const uint8_t *code; /* into bytes, as all other pointers to bytes here */
    size_t code_len;
    uint64_t entry_pc, gas, regs[JAVM_NUM_SLOTS];
    struct javm_program_key key;
    struct javm_region *regions; /* code and memory, ascending, ready to attach */
    size_t region_count;
    struct {
        enum javm_exit exit;
        int64_t exit_arg;
        uint64_t pc, gas, regs[JAVM_NUM_SLOTS], fault_addr;
        bool fault_write;        /* fault_addr, fault_write: PAGE_FAULT only */
        struct vector_run *runs; /* ascending, disjoint, each inside writable regions */
        size_t run_count;
    } expected;
    uint8_t *bytes;
    size_t bytes_room, regions_room, runs_room;
};

/* False: *problem says which member of the object is wrong. */
bool vector_parse(struct vector *vector, const struct fields *json, const struct json_node *node,
                  struct problem *problem);
void vector_clear(struct vector *vector);

/* Plain hex, two digits a byte; `to` has room for text_len / 2. */
bool vector_hex(const struct json_node *node, const char *what, uint8_t *to, size_t *len,
                struct problem *problem);
/* A member that has to be there. NULL: *problem says that it is missing. */
const struct json_node *vector_member(const struct fields *json, const struct json_node *object,
                                      const char *key, struct problem *problem);

#endif
