#include "tests/loaders/run_image.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

const struct javm_image *image_of(const struct javm_bundle *bundle)
{
    return javm_image_of(bundle->caps[bundle->roots[0].cap]);
}

static const struct javm_cap *find_cap(const struct javm_bundle *bundle,
                                       const struct javm_hash *hash)
{
    for (uint32_t i = 0; i < bundle->cap_count; i++) {
        struct javm_hash other;
        cr_assert_eq(javm_cap_hash(bundle->caps[i], &other), JAVM_OK);
        if (javm_hash_equal(hash, &other))
            return bundle->caps[i];
    }
    return NULL;
}

static struct javm_region region_of(const struct javm_bundle *bundle, const struct javm_mapping *m)
{
    const struct javm_image *image = image_of(bundle);
    struct javm_region region = {.first_page = (uint32_t)(m->start / JAVM_PAGE_SIZE),
                                 .pages = (uint32_t)(m->size / JAVM_PAGE_SIZE),
                                 .kind = JAVM_REGION_ZERO,
                                 .writable = true};
    if (m->depth == 0)
        return region;
    const struct javm_pin *pin = javm_image_pinned(image, &m->path[0]);
    region.writable = pin == NULL;
    if (pin == NULL)
        pin = javm_image_initial(image, &m->path[0]);
    if (pin != NULL) {
        region.kind = JAVM_REGION_DATA;
        region.data = find_cap(bundle, &pin->hash);
        cr_assert_not_null(region.data);
    }
    return region;
}

struct run_result run_image(const struct javm_bundle *bundle, uint32_t endpoint, uint64_t a0,
                            uint64_t a1)
{
    const struct javm_image *image = image_of(bundle);
    const struct javm_endpoint *from = javm_image_endpoint(image, endpoint);
    cr_assert_not_null(from, "endpoint %u", endpoint);
    struct javm_region regions[16];
    size_t count = 0;
    regions[count++] = (struct javm_region){
        .first_page = JAVM_CODE_BASE / JAVM_PAGE_SIZE,
        .pages = (uint32_t)((image->code_len + JAVM_PAGE_SIZE - 1) / JAVM_PAGE_SIZE),
        .kind = JAVM_REGION_BYTES,
        .bytes = image->code,
        .len = image->code_len};
    for (uint32_t i = 0; i < image->mapping_count && count < 16; i++)
        regions[count++] = region_of(bundle, &image->mappings[i]);
    struct javm_memory *memory;
    struct javm_program *program;
    struct javm_program_key key = {.footprint_pages = javm_image_footprint(image)};
    struct javm_error err;
    cr_assert_eq(javm_memory_create(&memory, &err), JAVM_OK, "%s", err.text);
    cr_assert_eq(javm_memory_attach(memory, regions, count), JAVM_OK);
    cr_assert_eq(javm_program_decode_pvm2(image->code, image->code_len, &key, &program, &err),
                 JAVM_OK, "%s", err.text);
    struct javm_exec exec = {.program = program,
                             .memory = memory,
                             .engine = JAVM_ENGINE_INTERP,
                             .pc = from->entry_pc,
                             .gas = UINT64_C(1) << 40};
    exec.regs[1] = from->stack_top;
    exec.regs[7] = a0;
    exec.regs[8] = a1;
    javm_exec_run(&exec, 0);
    struct run_result result = {exec.exit, exec.exit_arg, exec.regs[7], exec.fault_addr, exec.pc};
    javm_program_free(program);
    javm_memory_destroy(memory);
    return result;
}

struct javm_bundle link_bytes(const uint8_t *bytes, size_t len,
                              const struct javm_link_options *options)
{
    struct javm_bundle bundle;
    struct javm_error err;
    cr_assert_eq(javm_link_elf(bytes, len, options, &bundle, NULL, &err), JAVM_OK, "%s", err.text);
    return bundle;
}

uint8_t *read_elf(const char *name, size_t *len)
{
    char path[4096];
    uint8_t *bytes;
    struct javm_error err;
    snprintf(path, sizeof path, "%s/%s", TEST_ELF_DIR, name);
    cr_assert_eq(javm_file_read(path, 0, &bytes, len, &err), JAVM_OK, "%s", err.text);
    return bytes;
}
