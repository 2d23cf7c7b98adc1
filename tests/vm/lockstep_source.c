/* Programs that were not made by the generator: bytes, unrelated instructions, guests and vectors,
 * whole and damaged. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "batch/vectors_file.h"
#include "batch/vectors_parse.h"
#include "javm/load.h"
#include "tests/vm/lockstep_asm.h"

static void any_registers(struct lock_program *program, struct random *random)
{
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++) {
        const unsigned k = (unsigned)random_below(random, 100);
        program->state.regs[i] = k < 40   ? lock_calm(&program->layout, random)
                                 : k < 55 ? lock_edge(&program->layout, random)
                                          : lock_value(random);
        if (chance(random, 5))
            program->state.regs[i] |= random_u64(random) << 32;
    }
}

static uint64_t any_start(const struct lock_program *program, struct random *random)
{
    struct javm_block_info info = {0};
    const uint64_t blocks = javm_program_blocks(program->program);
    if (blocks != 0)
        javm_program_block(program->program, random_below(random, blocks), &info);
    return info.start;
}

void lock_source_bytes(struct lock_program *program, struct random *random)
{
    uint8_t code[512];
    const struct javm_program_key key = {.cow_cost = chance(random, 20) ? 3 : 0};
    const size_t len = random_below(random, chance(random, 50) ? 40 : sizeof code);
    random_bytes(random, code, len);
    lock_program_open(program, code, len, &key);
    lock_layout_make(&program->layout, random);
    any_registers(program, random);
    program->state.pc = chance(random, 50) ? 0 : any_start(program, random);
    program->state.gas = 3000;
    program->source = "bytes";
}

/* Legal instructions that have nothing to do with each other. */
void lock_source_soup(struct lock_program *program, struct random *random)
{
    static struct lock_asm a;
    const struct javm_program_key key = {.footprint_pages = chance(random, 10) ? 9000 : 0,
                                         .cow_cost = chance(random, 20) ? 7 : 0};
    asm_begin(&a, random);
    for (uint64_t i = 4 + random_below(random, 60); i-- != 0;) {
        const enum pvm2_op op = (enum pvm2_op)random_below(random, PVM2_RESERVED);
        int32_t imm = asm_imm(&a, op);
        if (op == PVM2_JAL || (op >= PVM2_BEQ && op <= PVM2_BGEU))
            imm = ((int32_t)random_below(random, 60) - 25) * 2;
        else if (op == PVM2_ECALLI)
            imm = (int32_t)random_below(random, 4096) - 2048;
        const struct pvm2_insn shape = {.op = (uint8_t)op,
                                        .rd = (uint8_t)asm_dst(&a),
                                        .rs1 = (uint8_t)asm_src(&a),
                                        .rs2 = (uint8_t)asm_src(&a),
                                        .len = 4,
                                        .imm = imm};
        /* Decoding leaves out what the format has no room for. */
        const struct pvm2_insn insn = pvm2_decode32(pvm2_encode32(&shape));
        asm_put(&a, (enum pvm2_op)insn.op, insn.rd, insn.rs1, insn.rs2, insn.imm);
    }
    asm_finish(&a);
    lock_program_open(program, a.code, a.len, &key);
    lock_layout_make(&program->layout, random);
    any_registers(program, random);
    program->state.pc = chance(random, 50) ? 0 : any_start(program, random);
    program->state.gas = 5000;
    program->source = "soup";
}

/* Damage that leaves most of a program as it was. */
static void mutate(uint8_t *code, size_t len, struct random *random)
{
    uint64_t count = chance(random, 30) ? 0 : 1 + random_below(random, chance(random, 70) ? 3 : 30);
    for (; count != 0 && len >= 8; count--) {
        uint8_t *at = code + random_below(random, len / 2 - 1) * 2;
        uint8_t *other = code + random_below(random, len / 2 - 1) * 2;
        uint8_t kept[4];
        switch (random_below(random, 6)) {
        case 0:
            *at = (uint8_t)random_u64(random);
            break;
        case 1:
            at[random_below(random, 4)] ^= (uint8_t)(1u << random_below(random, 8));
            break;
        case 2: /* instructions change places */
            memcpy(kept, at, 4);
            memmove(at, other, 4);
            memcpy(other, kept, 4);
            break;
        case 3:
            memmove(at, other, 4);
            break;
        case 4:
            memcpy(kept, at, 2);
            memmove(at, other, 2);
            memcpy(other, kept, 2);
            break;
        default:
            memcpy(at, (const uint8_t[]){0x13, 0, 0, 0}, 4); /* nop */
        }
    }
}

/* ---- corpus ----------------------------------------------------------------------------- */

struct stored {
    uint8_t *code;
    uint64_t code_len;
    struct javm_program_key key;
    struct lock_state state;
    struct javm_region regions[LOCK_REGIONS]; /* without the code */
    uint32_t count, scratch;                  /* scratch: index among them + 1 */
    const struct javm_image *image;           /* NULL: a vector */
    void *bytes;                              /* owned; regions point there */
};

struct lock_corpus {
    struct stored *items[2]; /* vectors, images */
    size_t counts[2], rooms[2];
    struct javm_bundle *bundles; /* keep the images */
    size_t bundle_count;
};

static struct stored *add(struct lock_corpus *corpus, unsigned kind)
{
    if (corpus->counts[kind] == corpus->rooms[kind]) {
        const size_t room = corpus->rooms[kind] * 2 + 16;
        struct stored *items = realloc(corpus->items[kind], room * sizeof *items);
        REQUIRE(items != NULL);
        corpus->items[kind] = items;
        corpus->rooms[kind] = room;
    }
    struct stored *item = &corpus->items[kind][corpus->counts[kind]++];
    memset(item, 0, sizeof *item);
    return item;
}

static void add_vector(struct lock_corpus *corpus, const struct vector *v)
{
    const size_t with_code = v->code_len != 0;
    if (v->region_count > LOCK_REGIONS || v->code_len > LOCK_CODE ||
        (with_code && v->regions[0].bytes != v->code))
        return;
    struct stored *item = add(corpus, 0);
    uint8_t *bytes = malloc(v->bytes_room + 1);
    REQUIRE(bytes != NULL);
    memcpy(bytes, v->bytes, v->bytes_room);
    item->bytes = bytes;
    item->code = bytes;
    item->code_len = v->code_len;
    item->key = v->key;
    item->state = (struct lock_state){.pc = v->entry_pc, .gas = v->gas};
    memcpy(item->state.regs, v->regs, sizeof v->regs);
    for (size_t i = with_code; i < v->region_count; i++) {
        struct javm_region *region = &item->regions[item->count++];
        *region = v->regions[i];
        if (region->bytes != NULL)
            region->bytes = bytes + (v->regions[i].bytes - v->bytes);
    }
}

static void add_vectors(struct lock_corpus *corpus, const char *root)
{
    static const char *const names[] = {"alu",     "mem", "compressed", "illegal",
                                        "control", "oog", "cow",        "random"};
    struct vector vector = {0};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        char path[1024];
        struct vectors_file file;
        struct problem problem;
        snprintf(path, sizeof path, "%s/tests/data/pvm2/%s.json.zst", root, names[n]);
        REQUIRE(vectors_file_open(&file, path));
        const struct json_node *list = &file.json.nodes[0];
        for (uint32_t i = list->first; i != 0; i = file.json.nodes[i].next) {
            REQUIRE(vector_parse(&vector, &file.json, &file.json.nodes[i], &problem));
            add_vector(corpus, &vector);
        }
        vectors_file_close(&file);
    }
    vector_clear(&vector);
}

static const struct javm_cap *find_cap(const struct javm_bundle *bundle, const struct javm_pin *pin)
{
    struct javm_hash hash;
    for (uint32_t i = 0; pin != NULL && i < bundle->cap_count; i++)
        if (javm_cap_hash(bundle->caps[i], &hash) == JAVM_OK &&
            javm_hash_equal(&hash, &pin->hash) && javm_cap_kind(bundle->caps[i]) == JAVM_DATA)
            return bundle->caps[i];
    return NULL;
}

static void add_image(struct lock_corpus *corpus, const struct javm_bundle *bundle)
{
    const struct javm_cap *cap = bundle->caps[bundle->roots[0].cap];
    const struct javm_image *image = javm_image_of(cap);
    if (image->mapping_count > LOCK_REGIONS - 1)
        return;
    struct stored *item = add(corpus, 1);
    item->image = image;
    item->code_len = image->code_len;
    item->code = malloc(image->code_len + 1);
    REQUIRE(item->code != NULL);
    memcpy(item->code, image->code, image->code_len);
    item->bytes = item->code;
    item->key.footprint_pages = javm_image_footprint(image);
    item->state.gas = 30000;
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct javm_mapping *mapping = &image->mappings[i];
        struct javm_region *region = &item->regions[item->count++];
        const struct javm_key *key = &mapping->path[0];
        *region = (struct javm_region){.first_page = (uint32_t)(mapping->start >> JAVM_PAGE_SHIFT),
                                       .pages = (uint32_t)(mapping->size >> JAVM_PAGE_SHIFT),
                                       .writable = true};
        if (mapping->depth != 1)
            continue;
        region->writable = javm_image_pinned(image, key) == NULL;
        region->data = find_cap(bundle, region->writable ? javm_image_initial(image, key)
                                                         : javm_image_pinned(image, key));
        if (region->data != NULL)
            region->kind = JAVM_REGION_DATA;
        if (key->len == 1 && key->bytes[0] == 0)
            item->scratch = i + 1;
    }
}

static void add_images(struct lock_corpus *corpus, const char *root)
{
    static const char *const names[] = {"blake2b",    "bytecode",  "ed25519",   "fib",
                                        "goldilocks", "keccak",    "lz4",       "matmul",
                                        "memsweep",   "poseidon2", "secp256k1", "sha256",
                                        "sieve",      "sort",      "polyeval",  "nop"};
    const size_t count = sizeof names / sizeof *names;
    corpus->bundles = calloc(count, sizeof *corpus->bundles);
    REQUIRE(corpus->bundles != NULL);
    for (size_t n = 0; n < count; n++) {
        char path[1024];
        uint8_t *bytes;
        size_t len;
        snprintf(path, sizeof path, "%s/guest/prebuilt/%s.jimg", root, names[n]);
        REQUIRE(javm_file_read(path, 0, &bytes, &len, NULL) == JAVM_OK);
        struct javm_bundle *bundle = &corpus->bundles[corpus->bundle_count++];
        REQUIRE(javm_bundle_decode(bytes, len, bundle, NULL) == JAVM_OK);
        free(bytes);
        add_image(corpus, bundle);
    }
}

struct lock_corpus *lock_corpus_open(const char *root)
{
    struct lock_corpus *corpus = calloc(1, sizeof *corpus);
    REQUIRE(corpus != NULL);
    add_vectors(corpus, root);
    add_images(corpus, root);
    return corpus;
}

void lock_corpus_close(struct lock_corpus *corpus)
{
    for (unsigned kind = 0; kind < 2; kind++) {
        for (size_t i = 0; i < corpus->counts[kind]; i++)
            free(corpus->items[kind][i].bytes);
        free(corpus->items[kind]);
    }
    for (size_t i = 0; i < corpus->bundle_count; i++)
        javm_bundle_clear(&corpus->bundles[i]);
    free(corpus->bundles);
    free(corpus);
}

static void open_stored(struct lock_program *program, const struct stored *item,
                        struct random *random)
{
    uint8_t *code = malloc(item->code_len + 1);
    REQUIRE(code != NULL);
    memcpy(code, item->code, item->code_len);
    mutate(code, item->code_len, random);
    lock_program_open(program, code, item->code_len, &item->key);
    free(code);
    struct lock_layout *layout = &program->layout;
    const uint32_t first = layout->count;
    memcpy(layout->regions + first, item->regions, item->count * sizeof *item->regions);
    layout->count += item->count;
    if (item->scratch != 0 && first != 0)
        layout->scratch = item->scratch;
    lock_layout_number(layout);
    lock_layout_rescratch(layout, random);
    program->state = item->state;
}

void lock_source_vector(struct lock_program *program, const struct lock_corpus *corpus,
                        struct random *random)
{
    open_stored(program, &corpus->items[0][random_below(random, corpus->counts[0])], random);
    if (program->state.gas > 20000)
        program->state.gas = 20000;
    program->source = "vector";
}

void lock_source_image(struct lock_program *program, const struct lock_corpus *corpus,
                       struct random *random)
{
    const struct stored *item = &corpus->items[1][random_below(random, corpus->counts[1])];
    open_stored(program, item, random);
    program->source = "image";
    if (chance(random, 30) || item->image->endpoint_count == 0) {
        any_registers(program, random);
        program->state.pc = any_start(program, random);
        return;
    }
    const struct javm_endpoint *endpoint =
        &item->image->endpoints[random_below(random, item->image->endpoint_count)];
    memcpy(program->state.regs, endpoint->initial_regs, sizeof endpoint->initial_regs);
    if (endpoint->stack_top != 0 && endpoint->initial_regs[1] == 0)
        program->state.regs[1] = endpoint->stack_top;
    for (unsigned i = 7; i < 11; i++)
        program->state.regs[i] =
            chance(random, 70) ? random_below(random, 200) : lock_value(random);
    program->state.pc = endpoint->entry_pc;
    if (chance(random, 20))
        program->state.gas = 300000;
}
