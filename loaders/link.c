/* javm_link_elf: reading, relinking, verifying and building, one after the other. */
#include "javm/load.h"

#include <stdlib.h>

#include "loaders/link_image.h"
#include "loaders/translate.h"

/* The engine's view of the new code; also the block costs for the map, which depend on the image's
 * footprint. */
static enum javm_status decode_result(const struct relink *r, const struct javm_image *image,
                                      struct javm_program **program)
{
    const struct javm_program_key key = javm_program_key_of(image);
    enum javm_status status =
        javm_program_decode(image->code, image->code_len, &key, program, r->err);
    if (status == JAVM_OK) {
        status = r->pvm != NULL ? translate_verify(r, image) : relink_verify(r, *program);
        if (status != JAVM_OK) {
            javm_program_free(*program);
            *program = NULL;
        }
    }
    return status;
}

static enum javm_status write_map(const struct relink *r, const struct javm_program *program,
                                  const struct javm_image *image, char **map)
{
    struct writer out = {0};
    link_map(r, program, image, &out);
    if (out.failed) {
        writer_free(&out);
        return relink_no_memory(r);
    }
    *map = (char *)out.bytes;
    return JAVM_OK;
}

/* With keep_layout nothing may have changed: recomputing every address must give what the linker
 * wrote. */
static enum javm_status check_kept(const struct relink *r)
{
    const struct elf_section *text = &r->in->text;
    uint64_t at = 0;
    while (at < text->size && at < r->code_len && text->bytes[at] == r->code[at])
        at++;
    if (at == text->size && at == r->code_len)
        return JAVM_OK;
    return relink_fail(r, JAVM_E_FORMAT, at, "the code is not what its relocations make");
}

static enum javm_status relink_all(struct relink *r, const struct javm_link_options *options)
{
    enum javm_status status = relink_scan(r, options);
    if (status == JAVM_OK && options->pvm)
        status = translate(r, options);
    if (status == JAVM_OK && !options->pvm)
        status = relink_layout(r);
    if (status == JAVM_OK && !options->pvm)
        status = relink_emit_code(r);
    if (status == JAVM_OK)
        status = relink_emit_data(r);
    if (status == JAVM_OK && options->keep_layout)
        status = check_kept(r);
    return status;
}

enum javm_status javm_link_elf(const uint8_t *elf, size_t len,
                               const struct javm_link_options *options, struct javm_bundle *bundle,
                               char **map, struct javm_error *err)
{
    static const struct javm_link_options defaults;
    struct elf_input input;
    struct javm_program *program = NULL;
    if (options == NULL)
        options = &defaults;
    *bundle = (struct javm_bundle){0};
    if (map != NULL)
        *map = NULL;
    enum javm_status status = elf_input_read(elf, len, &input, err);
    if (status != JAVM_OK)
        return status;
    struct relink r = {.in = &input, .err = err};
    status = relink_all(&r, options);
    if (status == JAVM_OK)
        status = link_image(&r, options, bundle);
    if (status == JAVM_OK) {
        const struct javm_image *image = javm_image_of(bundle->caps[bundle->cap_count - 1]);
        status = decode_result(&r, image, &program);
        if (status == JAVM_OK && map != NULL)
            status = write_map(&r, program, image, map);
    }
    if (status != JAVM_OK)
        javm_bundle_clear(bundle);
    javm_program_free(program);
    relink_free(&r);
    elf_input_free(&input);
    return status;
}
