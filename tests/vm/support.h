/* Shared by the tests of vm/: a small assembler, bare runs, images and instances in a directory.
 * Included in one .c file of each test. */
#ifndef TESTS_VM_SUPPORT_H
#define TESTS_VM_SUPPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "javm/vm.h"
#include "tests/require.h"
#include "vm/pvm2.h"

#define RW_BASE 0x10000000u
#define CODE(n) (sizeof(n) / sizeof *(n))

/* ---- instructions ----------------------------------------------------------------------- */

static inline uint32_t op(enum pvm2_op operation, unsigned rd, unsigned rs1, unsigned rs2,
                          int32_t imm)
{
    const struct pvm2_insn insn = {.op = (uint8_t)operation,
                                   .rd = (uint8_t)rd,
                                   .rs1 = (uint8_t)rs1,
                                   .rs2 = (uint8_t)rs2,
                                   .len = 4,
                                   .imm = imm};
    return pvm2_encode32(&insn);
}

#define ADDI(rd, rs1, imm)  op(PVM2_ADDI, rd, rs1, 0, imm)
#define ADD(rd, rs1, rs2)   op(PVM2_ADD, rd, rs1, rs2, 0)
#define LUI(rd, value)      op(PVM2_LUI, rd, 0, 0, (int32_t)(value))
#define LD(rd, imm, base)   op(PVM2_LD, rd, base, 0, imm)
#define SD(rs2, imm, base)  op(PVM2_SD, 0, base, rs2, imm)
#define BNE(rs1, rs2, imm)  op(PVM2_BNE, 0, rs1, rs2, imm)
#define JAL(rd, imm)        op(PVM2_JAL, rd, 0, 0, imm)
#define JALR(rd, base, imm) op(PVM2_JALR, rd, base, 0, imm)
#define ECALLI(n)           op(PVM2_ECALLI, 0, 0, 0, n)
#define REPLY               ECALLI(0)
#define TRAP                0x0000000Bu
#define ECALL_JAR           0x0000100Bu
#define FALLTHROUGH         0x0000400Bu
#define RESERVED            0x00000073u

/* x number -> place in the register file */
static inline unsigned slot_of(unsigned x)
{
    return x <= 2 ? x - 1 : x <= 4 ? x + 10 : x - 3;
}

/* ---- bare runs -------------------------------------------------------------------------- */

struct machine {
    struct javm_program *program;
    struct javm_memory *memory;
    struct javm_exec exec;
    struct javm_region regions[8];
    size_t region_count;
};

/* `code` is borrowed. Memory: the code, then `count` regions in ascending order. */
static inline void machine_open(struct machine *m, const void *code, size_t len,
                                const struct javm_region *regions, size_t count)
{
    const struct javm_program_key key = {0};
    memset(m, 0, sizeof *m);
    REQUIRE(count < 8);
    REQUIRE(javm_program_decode_pvm2(code, len, &key, &m->program, NULL) == JAVM_OK);
    REQUIRE(javm_memory_create(&m->memory, NULL) == JAVM_OK);
    m->regions[0] =
        (struct javm_region){.first_page = JAVM_CODE_BASE >> JAVM_PAGE_SHIFT,
                             .pages = (uint32_t)(len + JAVM_PAGE_SIZE - 1) >> JAVM_PAGE_SHIFT,
                             .kind = JAVM_REGION_BYTES,
                             .bytes = code,
                             .len = len};
    if (count != 0)
        memcpy(&m->regions[1], regions, count * sizeof *regions);
    m->region_count = count + 1;
    REQUIRE(javm_memory_attach(m->memory, m->regions, m->region_count) == JAVM_OK);
    m->exec = (struct javm_exec){
        .program = m->program, .memory = m->memory, .engine = JAVM_ENGINE_INTERP, .gas = 1000000};
}

static inline void machine_close(struct machine *m)
{
    javm_program_free(m->program);
    javm_memory_destroy(m->memory);
}

static inline uint64_t machine_x(const struct machine *m, unsigned x)
{
    return m->exec.regs[slot_of(x)];
}

/* One writable zero page at RW_BASE. */
static const struct javm_region one_page = {.first_page = RW_BASE >> JAVM_PAGE_SHIFT,
                                            .pages = 1,
                                            .kind = JAVM_REGION_ZERO,
                                            .writable = true};

/* ---- a directory with images and instances ---------------------------------------------- */

struct world {
    struct javm_directory *directory;
    struct javm_dir_thread *dir;
    struct javm_vm *vm;
};

static inline void world_open(struct world *w, const struct javm_vm_options *options)
{
    REQUIRE(javm_directory_create(1, 0, &w->directory, NULL) == JAVM_OK);
    w->dir = javm_directory_join(w->directory);
    REQUIRE(w->dir != NULL);
    REQUIRE(javm_vm_create(options, &w->vm, NULL) == JAVM_OK);
}

/* No invocation leaves a live entry behind, or a count. */
static inline void world_close(struct world *w)
{
    struct javm_directory_stats stats;
    javm_vm_destroy(w->vm);
    javm_directory_stats(w->dir, &stats);
    REQUIRE(stats.instances == 0);
    javm_directory_leave(w->dir);
    javm_directory_destroy(w->directory);
    REQUIRE_NO_LEAKS();
}

/* Publish and give up the reference. */
static inline struct javm_hash publish(struct javm_dir_thread *dir, struct javm_cap *cap)
{
    struct javm_hash hash;
    REQUIRE(cap != NULL);
    REQUIRE(javm_directory_put(dir, cap, &hash, NULL) == JAVM_OK);
    javm_cap_release(cap);
    return hash;
}

static inline struct javm_hash publish_image(struct javm_dir_thread *dir,
                                             const struct javm_image *fields)
{
    struct javm_cap *image;
    struct javm_error err;
    if (javm_image_new(fields, &image, &err) != JAVM_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return publish(dir, image);
}

static inline struct javm_hash instantiate(struct javm_dir_thread *dir,
                                           const struct javm_hash *image)
{
    struct javm_hash instance;
    REQUIRE(javm_vm_instantiate(dir, image, &instance, NULL) == JAVM_OK);
    return instance;
}

struct slot {
    uint64_t key;
    struct javm_hash hash;
};

static inline struct javm_hash publish_cnode(struct javm_dir_thread *dir, const struct slot *slots,
                                             size_t count)
{
    struct javm_cap *cnode = javm_cnode_new();
    REQUIRE(cnode != NULL);
    for (size_t i = 0; i < count; i++) {
        struct javm_key key = javm_key_from_u64(slots[i].key);
        struct javm_target target = javm_target_hash(&slots[i].hash);
        REQUIRE(javm_cnode_set(cnode, &key, &target) == JAVM_OK);
    }
    return publish(dir, cnode);
}

/* An Idle Instance of the image whose root CNode has these slots. */
static inline struct javm_hash publish_instance(struct javm_dir_thread *dir,
                                                const struct javm_hash *image,
                                                const struct slot *slots, size_t count)
{
    const struct javm_hash root = publish_cnode(dir, slots, count);
    const struct javm_instance fields = {.image_hash_chain = *image,
                                         .image_hash = *image,
                                         .root_cnode = javm_target_hash(&root),
                                         .mem = javm_data_new_zero(0)};
    return publish(dir, javm_instance_new(&fields));
}

/* A Data of `pages` pages whose first 8 bytes of each page are first, first + 1, ... */
static inline struct javm_cap *numbered_data(uint64_t first, size_t pages)
{
    uint8_t *bytes = calloc(pages + 1, JAVM_PAGE_SIZE);
    REQUIRE(bytes != NULL);
    for (size_t i = 0; i < pages; i++, first++)
        memcpy(bytes + i * JAVM_PAGE_SIZE, &first, sizeof first);
    struct javm_cap *data = javm_data_new(bytes, pages * JAVM_PAGE_SIZE);
    REQUIRE(data != NULL);
    free(bytes);
    return data;
}

static inline uint64_t data_u64(const struct javm_cap *data, uint64_t offset)
{
    uint64_t value;
    REQUIRE(data != NULL && offset + sizeof value <= javm_data_pages(data) * JAVM_PAGE_SIZE);
    javm_data_read(data, offset, &value, sizeof value);
    return value;
}

#endif
