/* The kernel's operations, warm: what a nested CALL, a spawn and a yield cost. Each guest runs a
 * loop of the operation; the time of the loop without it is measured beside. */
#include "bench/bench_kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "javm/handle.h"
#include "javm/vm.h"
#include "vm/pvm2.h"

#define ROUNDS 1000u

struct kernel_bench {
    struct javm_directory *directory;
    struct javm_dir_thread *dir;
    struct javm_vm *vm;
    struct javm_hash instance;
    bool chain; /* which replies 0 unless a level of it faulted */
};

static uint32_t op(enum pvm2_op operation, unsigned rd, unsigned rs1, unsigned rs2, int32_t imm)
{
    const struct pvm2_insn insn = {.op = (uint8_t)operation,
                                   .rd = (uint8_t)rd,
                                   .rs1 = (uint8_t)rs1,
                                   .rs2 = (uint8_t)rs2,
                                   .len = 4,
                                   .imm = imm};
    return pvm2_encode32(&insn);
}

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "kernel benchmark: %s\n", what);
    exit(1);
}

/* An image with one endpoint. */
static struct javm_hash image_of(struct kernel_bench *b, const uint32_t *code, size_t words,
                                 uint8_t receiver)
{
    const struct javm_endpoint endpoint = {.entry_pc = 0};
    const struct javm_mapping scrap = {.start = JAVM_DATA_BASE, .size = JAVM_PAGE_SIZE};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .code = (const uint8_t *)code,
                                      .code_len = words * sizeof *code,
                                      .endpoints = &endpoint,
                                      .endpoint_count = 1,
                                      .mappings = &scrap,
                                      .mapping_count = 1,
                                      .yield_receiver_slot = {receiver != 0, {receiver}}};
    struct javm_cap *image;
    struct javm_hash hash;
    check(javm_image_new(&fields, &image, NULL) == JAVM_OK, "image");
    check(javm_directory_put(b->dir, image, &hash, NULL) == JAVM_OK, "image");
    javm_cap_release(image);
    return hash;
}

static struct javm_hash put(struct kernel_bench *b, struct javm_cap *cap)
{
    struct javm_hash hash = {{0}};
    check(cap != NULL && javm_directory_put(b->dir, cap, &hash, NULL) == JAVM_OK, "put");
    javm_cap_release(cap);
    return hash;
}

static struct javm_hash instance_of(struct kernel_bench *b, const struct javm_hash *image,
                                    const uint8_t *keys, const struct javm_hash *caps, size_t count)
{
    struct javm_cap *root = javm_cnode_new();
    for (size_t i = 0; i < count; i++) {
        const struct javm_key key = {1, {keys[i]}};
        struct javm_target target = javm_target_hash(&caps[i]);
        check(root != NULL && javm_cnode_set(root, &key, &target) == JAVM_OK, "slot");
    }
    const struct javm_hash root_hash = put(b, root);
    const struct javm_instance fields = {.image_hash_chain = *image,
                                         .image_hash = *image,
                                         .root_cnode = javm_target_hash(&root_hash),
                                         .mem = javm_data_new_zero(0)};
    return put(b, javm_instance_new(&fields));
}

#define ECALLI(n)   op(PVM2_ECALLI, 0, 0, 0, n)
#define LI(x, n)    op(PVM2_ADDI, x, 0, 0, n)
#define TOUCH       op(PVM2_LUI, 6, 0, 0, JAVM_DATA_BASE), op(PVM2_SD, 0, 6, 5, 0)
#define LOOP(words) op(PVM2_ADDI, 9, 9, 0, -1), op(PVM2_BNE, 0, 9, 0, -4 * ((words) + 1))
#define START       LI(9, ROUNDS), 0x0000400Bu

static void open_bench(struct kernel_bench *b, enum javm_engine engine)
{
    const struct javm_vm_options options = {.engine = engine, .max_depth = ROUNDS + 1};
    check(javm_directory_create(1, 0, &b->directory, NULL) == JAVM_OK, "directory");
    b->dir = javm_directory_join(b->directory);
    check(b->dir != NULL, "directory");
    check(javm_vm_create(&options, &b->vm, NULL) == JAVM_OK, "machine");
}

uint32_t bench_kernel_rounds(void)
{
    return ROUNDS;
}

struct kernel_bench *bench_kernel_open(enum bench_kernel what, enum javm_engine engine)
{
    static const struct javm_key key = {1, {7}};
    struct kernel_bench *b = calloc(1, sizeof *b);
    check(b != NULL, "memory");
    open_bench(b, engine);
    const uint32_t child[] = {TOUCH, LI(10, 1), ECALLI(0)};
    const uint32_t yields[] = {START, LI(10, 4), ECALLI(16), LOOP(2), ECALLI(0)};
    const struct javm_hash child_image = image_of(b, child, sizeof child / 4, 0),
                           yield_image = image_of(b, yields, sizeof yields / 4, 0);
    const struct javm_hash yield_sender = put(b, javm_yield_sender(&key));
    struct javm_hash caps[5] = {
        instance_of(b, &child_image, NULL, NULL, 0), child_image,
        put(b, javm_yield_receiver(&key, 1)),
        instance_of(b, &yield_image, (const uint8_t[]){4}, &yield_sender, 1)};
    static const uint8_t keys[] = {5, 6, 2, 8, 9};
    static const uint32_t drop = 3;
    const uint32_t nothing[] = {START, LI(10, 5), LI(11, 0), LOOP(2), ECALLI(0)};
    const uint32_t calls[] = {START, LI(10, 5), LI(11, 0), ECALLI(26), LOOP(3), ECALLI(0)};
    const uint32_t spawns[] = {START,     LI(10, 6), LI(11, 0),  LI(12, 7), ECALLI(18),
                               LI(10, 7), LI(11, 0), ECALLI(26), LI(10, 7), ECALLI((int32_t)drop),
                               LOOP(9),   ECALLI(0)};
    const uint32_t resumes[] = {LI(10, 8),  LI(11, 0), ECALLI(26), START,
                                ECALLI(27), LOOP(1),   ECALLI(0)};
    /* φ7 is how many levels are to follow; the Image is in slot 9, the next level in 7. */
    const uint32_t chain[] = {op(PVM2_BNE, 0, 10, 0, 8),
                              ECALLI(0), /* at the end */
                              op(PVM2_ADDI, 8, 10, 0, -1),
                              TOUCH,
                              LI(10, 4),
                              ECALLI(5),
                              LI(10, 9),
                              LI(11, 0x409),
                              ECALLI(1),
                              LI(10, 9),
                              LI(11, 4),
                              LI(12, 7),
                              ECALLI(18),
                              LI(10, 7),
                              LI(11, 0),
                              op(PVM2_ADDI, 12, 8, 0, 0),
                              ECALLI(26),
                              ECALLI(0)};
    static const size_t sizes[] = {sizeof nothing, sizeof calls, sizeof spawns, sizeof resumes,
                                   sizeof chain};
    const uint32_t *const codes[] = {nothing, calls, spawns, resumes, chain};
    const struct javm_hash image = image_of(b, codes[what], sizes[what] / 4, 2);
    caps[4] = image;
    b->instance = instance_of(b, &image, keys, caps, 5);
    b->chain = what == BENCH_KERNEL_CHAIN;
    return b;
}

void bench_kernel_run(void *context)
{
    struct kernel_bench *b = context;
    const struct javm_call call = {
        .instance = b->instance, .args = {ROUNDS}, .gas = UINT64_MAX / 2};
    struct javm_call_result result;
    struct javm_error err = {.text = ""};
    check(javm_vm_invoke(b->vm, b->dir, &call, &result, &err) == JAVM_OK, err.text);
    check(result.end == JAVM_END_HALT, javm_fault_name(result.fault));
    check(!b->chain || result.value == 0, "a level of the chain faulted");
}
