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

void machine_open(struct image_machine *m, const struct javm_bundle *bundle,
                  enum javm_engine engine)
{
    const struct javm_image *image = image_of(bundle);
    struct javm_region regions[16];
    size_t count = 0;
    if (image->isa == JAVM_ISA_PVM2)
        regions[count++] = (struct javm_region){
            .first_page = JAVM_CODE_BASE / JAVM_PAGE_SIZE,
            .pages = (uint32_t)((image->code_len + JAVM_PAGE_SIZE - 1) / JAVM_PAGE_SIZE),
            .kind = JAVM_REGION_BYTES,
            .bytes = image->code,
            .len = image->code_len};
    for (uint32_t i = 0; i < image->mapping_count && count < 16; i++)
        regions[count++] = region_of(bundle, &image->mappings[i]);
    const struct javm_program_key key = javm_program_key_of(image);
    struct javm_error err;
    *m = (struct image_machine){.exec = {.engine = engine, .gas = UINT64_C(1) << 40}};
    cr_assert_eq(javm_memory_create(&m->exec.memory, &err), JAVM_OK, "%s", err.text);
    cr_assert_eq(javm_memory_attach(m->exec.memory, regions, count), JAVM_OK);
    if (engine == JAVM_ENGINE_INTERP) {
        cr_assert_eq(javm_program_decode(image->code, image->code_len, &key, &m->program, &err),
                     JAVM_OK, "%s", err.text);
    } else {
        cr_assert_eq(javm_jit_create(NULL, &m->jit, &err), JAVM_OK, "%s", err.text);
        cr_assert_eq(javm_native_open(m->jit, NULL, image->code, image->code_len, &key, NULL,
                                      &m->exec.native, &err),
                     JAVM_OK, "%s", err.text);
    }
    m->exec.program = m->program;
}

void machine_close(struct image_machine *m)
{
    if (m->jit != NULL) {
        javm_native_close(m->exec.native);
        javm_jit_destroy(m->jit);
    }
    javm_program_free(m->program);
    javm_memory_destroy(m->exec.memory);
}

struct run_result run_image(const struct javm_bundle *bundle, uint32_t endpoint, uint64_t a0,
                            uint64_t a1)
{
    const struct javm_endpoint *from = javm_image_endpoint(image_of(bundle), endpoint);
    struct image_machine m;
    cr_assert_not_null(from, "endpoint %u", endpoint);
    machine_open(&m, bundle, JAVM_ENGINE_INTERP);
    m.exec.pc = from->entry_pc;
    m.exec.regs[1] = from->stack_top;
    m.exec.regs[7] = a0;
    m.exec.regs[8] = a1;
    javm_exec_run(&m.exec, 0);
    struct run_result result = {m.exec.exit, m.exec.exit_arg, m.exec.regs[7], m.exec.fault_addr,
                                m.exec.pc};
    machine_close(&m);
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
