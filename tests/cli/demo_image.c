#include "demo_image.h"

#include <stdlib.h>
#include <string.h>

#include "vm/pvm2.h"

#define MAX_CODE 64

struct assembler {
    uint32_t code[MAX_CODE];
    uint32_t used; /* words */
    struct javm_endpoint endpoints[DEMO_ENDPOINTS];
};

static void op(struct assembler *as, enum pvm2_op operation, uint8_t rd, uint8_t rs1, uint8_t rs2,
               int32_t imm)
{
    const struct pvm2_insn insn = {
        .op = (uint8_t)operation, .rd = rd, .rs1 = rs1, .rs2 = rs2, .len = 4, .imm = imm};
    as->code[as->used++] = pvm2_encode32(&insn);
}

/* Every endpoint begins after a terminator, so that it is a block start. */
static void entry(struct assembler *as, uint32_t endpoint)
{
    as->endpoints[endpoint].index = endpoint;
    as->endpoints[endpoint].entry_pc = 4 * (uint64_t)as->used;
}

static void halt(struct assembler *as)
{
    op(as, PVM2_ECALLI, 0, 0, 0, 0);
    op(as, PVM2_TRAP, 0, 0, 0, 0);
}

static void assemble(struct assembler *as)
{
    entry(as, DEMO_RETURN);
    halt(as);
    entry(as, DEMO_ADD);
    op(as, PVM2_ADD, 10, 10, 11, 0);
    halt(as);
    entry(as, DEMO_COUNT);
    op(as, PVM2_FALLTHROUGH, 0, 0, 0, 0);
    op(as, PVM2_ADDI, 10, 10, 0, -1);
    op(as, PVM2_BNE, 0, 10, 0, -4);
    halt(as);
    entry(as, DEMO_FOREVER);
    op(as, PVM2_JAL, 0, 0, 0, 0);
    entry(as, DEMO_TRAP);
    op(as, PVM2_TRAP, 0, 0, 0, 0);
    entry(as, DEMO_PANIC);
    as->code[as->used++] = 0;
    entry(as, DEMO_FAULT);
    op(as, PVM2_LUI, 12, 0, 0, 0x20000000);
    op(as, PVM2_LW, 10, 12, 0, 0x10);
    halt(as);
    entry(as, DEMO_HOST);
    op(as, PVM2_ECALLI, 0, 0, 0, 77);
    op(as, PVM2_TRAP, 0, 0, 0, 0);
    entry(as, DEMO_ECHO);
    op(as, PVM2_LUI, 12, 0, 0, 0x10000000);
    op(as, PVM2_LD, 10, 12, 0, 0);
    op(as, PVM2_ADDI, 10, 10, 0, 1);
    op(as, PVM2_SD, 0, 12, 10, 8);
    halt(as);
    entry(as, DEMO_SLOT);
    op(as, PVM2_LUI, 12, 0, 0, 0x10010000);
    op(as, PVM2_LD, 10, 12, 0, 0);
    halt(as);
}

struct javm_cap *demo_image(struct javm_cap **pinned)
{
    struct assembler as = {.used = 0};
    struct javm_cap *image = NULL;
    struct javm_hash hash;
    assemble(&as);
    *pinned = javm_data_new("\x11", 1);
    if (*pinned == NULL || javm_cap_hash(*pinned, &hash) != JAVM_OK)
        return NULL;
    const struct javm_mapping mappings[] = {
        {.start = 0x10000000, .size = 8192, .depth = 1, .path = {javm_key_from_u64(0)}},
        {.start = 0x10010000, .size = 4096, .depth = 1, .path = {javm_key_from_u64(5)}},
        {.start = 0x10020000, .size = 4096, .depth = 1, .path = {javm_key_from_u64(9)}}};
    const struct javm_pin pin = {javm_key_from_u64(9), hash};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .code = (const uint8_t *)as.code,
                                      .code_len = 4 * (uint64_t)as.used,
                                      .endpoints = as.endpoints,
                                      .endpoint_count = DEMO_ENDPOINTS,
                                      .mappings = mappings,
                                      .mapping_count = 3,
                                      .pinned = &pin,
                                      .pinned_count = 1};
    return javm_image_new(&fields, &image, NULL) == JAVM_OK ? image : NULL;
}

static void yield(struct assembler *as)
{
    op(as, PVM2_ADDI, 10, 0, 0, 4);
    op(as, PVM2_ECALLI, 0, 0, 0, 16);
}

static void assemble_pause(struct assembler *as)
{
    entry(as, PAUSE_SUM);
    op(as, PVM2_ADDI, 8, 10, 0, 0);
    op(as, PVM2_ADDI, 9, 0, 0, 0);
    op(as, PVM2_FALLTHROUGH, 0, 0, 0, 0);
    op(as, PVM2_BEQ, 0, 8, 0, 9 * 4);
    op(as, PVM2_LUI, 13, 0, 0, 0x10000000);
    op(as, PVM2_SD, 0, 13, 8, 0);
    yield(as);
    op(as, PVM2_LD, 14, 13, 0, 0);
    op(as, PVM2_ADD, 9, 9, 14, 0);
    op(as, PVM2_ADDI, 8, 8, 0, -1);
    op(as, PVM2_JAL, 0, 0, 0, -8 * 4);
    op(as, PVM2_LUI, 13, 0, 0, 0x10010000);
    op(as, PVM2_LD, 10, 13, 0, 0);
    op(as, PVM2_ADD, 10, 10, 9, 0);
    op(as, PVM2_SD, 0, 13, 10, 0);
    halt(as);
    entry(as, PAUSE_TOTAL);
    op(as, PVM2_LUI, 13, 0, 0, 0x10010000);
    op(as, PVM2_LD, 10, 13, 0, 0);
    halt(as);
    entry(as, PAUSE_FOREVER);
    yield(as);
    op(as, PVM2_JAL, 0, 0, 0, -2 * 4);
}

struct javm_cap *pause_image(void)
{
    struct assembler as = {.used = 0};
    struct javm_cap *image = NULL;
    assemble_pause(&as);
    const struct javm_mapping mappings[] = {
        {.start = 0x10000000, .size = 4096, .depth = 1, .path = {javm_key_from_u64(0)}},
        {.start = 0x10010000, .size = 4096, .depth = 1, .path = {javm_key_from_u64(3)}}};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .code = (const uint8_t *)as.code,
                                      .code_len = 4 * (uint64_t)as.used,
                                      .endpoints = as.endpoints,
                                      .endpoint_count = PAUSE_ENDPOINTS,
                                      .mappings = mappings,
                                      .mapping_count = 2};
    return javm_image_new(&fields, &image, NULL) == JAVM_OK ? image : NULL;
}

bool pause_bundle(struct javm_bundle *bundle)
{
    memset(bundle, 0, sizeof *bundle);
    bundle->caps = calloc(1, sizeof(struct javm_cap *));
    bundle->roots = calloc(1, sizeof *bundle->roots);
    if (bundle->caps == NULL || bundle->roots == NULL || (bundle->caps[0] = pause_image()) == NULL)
        return false;
    bundle->cap_count = bundle->root_count = 1;
    bundle->roots[0].name = strdup("image");
    return bundle->roots[0].name != NULL;
}

bool demo_bundle(const char *root, struct javm_bundle *bundle)
{
    struct javm_cap *pinned;
    memset(bundle, 0, sizeof *bundle);
    bundle->caps = calloc(2, sizeof(struct javm_cap *));
    bundle->roots = calloc(1, sizeof *bundle->roots);
    struct javm_cap *image = demo_image(&pinned);
    if (bundle->caps == NULL || bundle->roots == NULL || image == NULL)
        return false;
    bundle->caps[0] = pinned;
    bundle->caps[1] = image;
    bundle->cap_count = 2;
    bundle->roots[0].name = strdup(root);
    bundle->roots[0].cap = 1;
    bundle->root_count = 1;
    return bundle->roots[0].name != NULL;
}
