#include "batch/info.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/container_info.h"
#include "batch/diag.h"
#include "batch/info_caps.h"
#include "batch/listing.h"
#include "batch/pvm_listing.h"
#include "batch/text.h"
#include "javm/engine.h"
#include "javm/load.h"

#define DATA_SHOWN 64 /* that no table has told */

static const char *hash_text(const struct javm_hash *hash, char text[JAVM_HASH_TEXT])
{
    javm_hash_format(hash, text);
    return text;
}

static uint64_t tier_of(uint64_t pages)
{
    return pages <= 2048 ? 1 : pages <= 8192 ? 2 : pages <= 65536 ? 3 : 4;
}

/* ---- code ------------------------------------------------------------------------------- */

/* One image's. jit NULL: no native code. */
static bool print_code(const struct javm_image *image, bool assembly, struct javm_jit *jit)
{
    struct javm_program *program;
    struct javm_error err;
    char a[32];
    const struct javm_pvm_code pvm = javm_pvm_code_of(image);
    const struct listing_code listed = {.code = image->code,
                                        .len = image->code_len,
                                        .key = javm_program_key_of(image),
                                        .image = image,
                                        .pvm = image->isa == JAVM_ISA_PVM2 ? NULL : &pvm};
    if (listed.pvm != NULL)
        return container_info_code(&listed, assembly, jit);
    info_row("code", "%s bytes", text_grouped(a, image->code_len));
    if (javm_program_decode(listed.code, listed.len, &listed.key, &program, &err) != JAVM_OK) {
        complain("%s", err.text);
        return false;
    }
    info_row("instructions", "%s", text_grouped(a, javm_program_instructions(program)));
    info_row("blocks", "%s", text_grouped(a, javm_program_blocks(program)));
    bool good = true;
    if (assembly && jit != NULL)
        good = listing_native(jit, &listed, program, &err) == JAVM_OK;
    else if (assembly)
        listing_guest(image, program);
    if (!good)
        complain("%s", err.text);
    javm_program_free(program);
    return good;
}

/* ---- caps ------------------------------------------------------------------------------- */

static void print_mapping(const struct javm_image *image, const struct javm_mapping *mapping)
{
    char size[32], key[32];
    printf("  %-14s0x%08" PRIx64 "..0x%08" PRIx64 "  %s  ", "mapping", mapping->start,
           mapping->start + mapping->size, text_size(size, mapping->size));
    if (mapping->depth == 0) {
        puts("ephemeral");
        return;
    }
    printf("slot ");
    for (unsigned i = 0; i < mapping->depth; i++)
        printf("%s%s", i == 0 ? "" : "/", info_key(&mapping->path[i], key));
    /* Only a path of one step can be told here: pinned slots belong to the image. */
    puts(mapping->depth == 1 && javm_image_pinned(image, &mapping->path[0]) != NULL
             ? ", read-only"
             : ", read-write");
}

static void print_endpoint(const struct javm_endpoint *endpoint)
{
    char key[32];
    printf("  endpoint %-5u"
           "entry 0x%06" PRIx64 "  stack top 0x%" PRIx64,
           endpoint->index, endpoint->entry_pc, endpoint->stack_top);
    if (endpoint->arg_cnode_slot.len > 0)
        printf("  arguments in slot %s (%u)", info_key(&endpoint->arg_cnode_slot, key),
               endpoint->arg_cnode_size);
    for (unsigned i = 0; i < JAVM_NUM_REGS; i++)
        if (endpoint->initial_regs[i] != 0)
            printf("  r%u=0x%" PRIx64, i, endpoint->initial_regs[i]);
    putchar('\n');
}

static void print_pins(const char *label, const struct javm_pin *pins, uint32_t count)
{
    char key[32], hash[JAVM_HASH_TEXT];
    for (uint32_t i = 0; i < count; i++)
        info_row(label, "slot %-4s %s", info_key(&pins[i].key, key),
                 hash_text(&pins[i].hash, hash));
}

static bool print_image(const struct javm_cap *cap, bool assembly, struct javm_jit *jit)
{
    const struct javm_image *image = javm_image_of(cap);
    const uint64_t pages = javm_image_footprint(image);
    char a[32], key[32];
    info_row("isa", "%s", image->isa == JAVM_ISA_PVM2 ? "PVM2" : "PVM");
    for (uint32_t i = 0; i < image->endpoint_count; i++)
        print_endpoint(&image->endpoints[i]);
    for (uint32_t i = 0; i < image->mapping_count; i++)
        print_mapping(image, &image->mappings[i]);
    print_pins("pinned", image->pinned, image->pinned_count);
    print_pins("initial", image->initial, image->initial_count);
    for (uint32_t i = 0; i < image->gas_slot_count; i++)
        info_row("gas slot", "%s", info_key(&image->gas_slots[i], key));
    for (uint32_t i = 0; i < image->quota_slot_count; i++)
        info_row("quota slot", "%s", info_key(&image->quota_slots[i], key));
    if (image->yield_receiver_slot.len > 0)
        info_row("yields in", "slot %s", info_key(&image->yield_receiver_slot, key));
    info_row("footprint", "%s pages, gas tier %" PRIu64, text_grouped(a, pages), tier_of(pages));
    return print_code(image, assembly, jit);
}

static bool print_cap(const struct javm_bundle *bundle, struct caps *caps, uint32_t index,
                      bool assembly, struct javm_jit *jit)
{
    const struct javm_cap *cap = bundle->caps[index];
    struct javm_hash hash;
    char text[JAVM_HASH_TEXT], a[32], b[32];
    javm_cap_hash(cap, &hash); /* caps of a bundle are settled */
    printf("\n%s %s", javm_kind_name(javm_cap_kind(cap)), hash_text(&hash, text));
    info_put_roots(caps, index);
    putchar('\n');
    switch (javm_cap_kind(cap)) {
    case JAVM_IMAGE:
        return print_image(cap, assembly, jit);
    case JAVM_INSTANCE:
        info_instance(caps, cap);
        return true;
    case JAVM_DATA:
        info_row("size", "%s pages, %s", text_grouped(a, javm_data_pages(cap)),
                 text_size(b, javm_data_pages(cap) * JAVM_PAGE_SIZE));
        return true;
    case JAVM_CNODE:
        info_cnode(caps, cap);
        return true;
    case JAVM_TYPE:
        info_row("chain", "%s", hash_text(javm_type_chain(cap), text));
        return true;
    }
    return true;
}

/* Each cap once: where it is named when that says all of it, else in its own place, parents first.
 */
static bool print_caps(const struct javm_bundle *bundle, bool assembly, struct javm_jit *jit)
{
    struct caps *caps = caps_new(bundle);
    bool good = caps != NULL;
    uint32_t data = 0;
    char number[32];
    if (!good)
        complain("out of memory");
    for (uint32_t i = bundle->cap_count; good && i-- > 0;) {
        const bool root = info_is_root(caps, i);
        if (!root && info_told(caps, i))
            continue;
        if (!root && javm_cap_kind(bundle->caps[i]) == JAVM_DATA && data++ >= DATA_SHOWN)
            continue;
        good = print_cap(bundle, caps, i, assembly, jit);
    }
    if (good && data > DATA_SHOWN)
        printf("\n... and %s more Data\n", text_grouped(number, data - DATA_SHOWN));
    caps_free(caps);
    return good;
}

int info_file(const struct options *options)
{
    static const char *const KINDS[] = {"unknown", "bundle", "RISC-V ELF, linked on the fly"};
    struct javm_error err;
    struct javm_bundle bundle;
    uint8_t *bytes;
    size_t len;
    char size[32];
    if (javm_file_read(options->path, 0, &bytes, &len, &err) != JAVM_OK) {
        complain("%s", err.text);
        return 2;
    }
    const enum javm_file_kind kind = javm_file_sniff(bytes, len);
    if (kind == JAVM_FILE_UNKNOWN) {
        const int result = container_info(options, bytes, len);
        free(bytes);
        return result;
    }
    const enum javm_status status = javm_load(bytes, len, &bundle, &err);
    free(bytes);
    if (status != JAVM_OK) {
        complain("%s: %s", options->path, err.text);
        return status == JAVM_E_NOMEM ? 3 : 2;
    }
    struct javm_jit *jit;
    bool good = listing_open(options, &jit);
    if (good)
        printf("%s: %s, %s, %" PRIu32 " caps\n", options->path, KINDS[kind], text_size(size, len),
               bundle.cap_count);
    good = good && print_caps(&bundle, options->disassemble, jit);
    javm_jit_destroy(jit);
    javm_bundle_clear(&bundle);
    return good && fflush(stdout) == 0 ? 0 : 3;
}
