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
    struct javm_heap heap;
    struct javm_region *regions; /* code and memory, ascending, ready to attach */
    size_t region_count;
    struct {
        enum javm_exit exit;
        int64_t exit_arg;
        uint64_t pc, gas, regs[JAVM_NUM_SLOTS], fault_addr;
        bool fault_write;        /* fault_addr, fault_write: PAGE_FAULT only */
        bool fault_known;        /* the vector says what they are */
        struct vector_run *runs; /* ascending, disjoint, each inside writable regions */
        size_t run_count;
    } expected;
    uint8_t *bytes;
    uint32_t *jumps;
    size_t bytes_room, regions_room, runs_room, jumps_room;
};

/* False: *problem says which member of the object is wrong. */
bool vector_parse(struct vector *vector, const struct fields *json, const struct json_node *node,
                  struct problem *problem);
/* The same for PVM (vectors_pvm.c). */
bool vector_parse_pvm(struct vector *vector, const struct fields *json,
                      const struct json_node *node, struct problem *problem);
void vector_clear(struct vector *vector);

/* ---- parts of vectors of both kinds. False, NULL: *problem says what is wrong -------------- */

/* Plain hex, two digits a byte; `to` has room for text_len / 2. */
bool vector_hex(const struct json_node *node, const char *what, uint8_t *to, size_t *len,
                struct problem *problem);
/* A member that has to be there. NULL: *problem says that it is missing. */
const struct json_node *vector_member(const struct fields *json, const struct json_node *object,
                                      const char *key, struct problem *problem);
bool vector_u64(const struct fields *json, const struct json_node *object, const char *key,
                uint64_t max, uint64_t *value, struct problem *problem);
bool vector_bool(const struct fields *json, const struct json_node *object, const char *key,
                 bool *value, struct problem *problem);
const struct json_node *vector_array(const struct fields *json, const struct json_node *object,
                                     const char *key, struct problem *problem);
/* The member "regs": exactly `count` numbers. */
bool vector_regs(const struct fields *json, const struct json_node *object, unsigned count,
                 uint64_t *regs, struct problem *problem);
/* addr, len and writable: a region of zeros, perhaps of no pages. */
bool vector_extent(const struct fields *json, const struct json_node *node,
                   struct javm_region *region, struct problem *problem);
/* In ascending order; they must not overlap. */
bool vector_sort_regions(struct vector *v, const struct json_node *list, struct problem *problem);
/* What is expected to have changed: addr and `bytes`, hex. *used: of v->bytes. */
bool vector_runs(struct vector *v, const struct fields *json, const struct json_node *list,
                 const char *bytes, size_t *used, struct problem *problem);
bool vector_exit(const struct json_node *node, enum javm_exit *exit, struct problem *problem);
/* An array with room for `count` elements, count > 0; the content need not survive. NULL: out of
 * memory, and `array` is gone. */
void *vector_room(void *array, size_t *room, size_t count, size_t size);
/* Hex digits of the whole vector, as an upper bound of what its byte strings need. */
size_t vector_hex_digits(const struct fields *json, const struct json_node *list);

#endif
