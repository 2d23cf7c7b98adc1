/* What kind of PVM container some bytes are, and programs that own what they point to. */
#include <inttypes.h>
#include <stdlib.h>

#include "loaders/container.h"

const char *javm_pvm_container_name(enum javm_pvm_container container)
{
    static const char *const NAMES[] = {"PVM file",       "code blob (jar1)",
                                        "code blob (gp)", "standard program (SPI)",
                                        ".polkavm file",  "JAR v2 blob"};
    return NAMES[container <= JAVM_PVM_JAR ? container : JAVM_PVM_ANY];
}

enum javm_pvm_container javm_pvm_sniff(const uint8_t *bytes, size_t len)
{
    if (len < 4)
        return JAVM_PVM_ANY;
    return memcmp(bytes, "PVM", 4) == 0       ? JAVM_PVM_POLKAVM
           : memcmp(bytes, "JAR\x02", 4) == 0 ? JAVM_PVM_JAR
                                              : JAVM_PVM_ANY;
}

/* ---- owning ------------------------------------------------------------------------------ */

static void move(uint8_t **room, const uint8_t **piece, uint32_t len)
{
    if (len > 0)
        memcpy(*room, *piece, len);
    *piece = *room;
    *room += len;
}

/* Every byte of the file is in one piece at most, so this is bounded by the file. */
static size_t pieces(const struct javm_pvm_program *program)
{
    size_t sum = (size_t)program->ro_len + program->rw_len + program->metadata_len;
    for (uint32_t i = 0; i < program->import_count; i++)
        sum += program->imports[i].name_len;
    for (uint32_t i = 0; i < program->export_count; i++)
        sum += program->exports[i].name_len;
    return sum;
}

static bool own(const uint8_t *bytes, const struct code_parts *parts,
                struct javm_pvm_program *program)
{
    uint8_t opcodes[256], *rest;
    const bool polkavm = program->container == JAVM_PVM_POLKAVM;
    if (polkavm)
        polkavm_opcodes(program->version, opcodes);
    program->owned =
        code_own(bytes, parts, polkavm ? opcodes : NULL, pieces(program), &program->code, &rest);
    if (program->owned == NULL)
        return false;
    move(&rest, &program->ro, program->ro_len);
    move(&rest, &program->rw, program->rw_len);
    move(&rest, &program->metadata, program->metadata_len);
    for (uint32_t i = 0; i < program->import_count; i++)
        move(&rest, &program->imports[i].name, program->imports[i].name_len);
    for (uint32_t i = 0; i < program->export_count; i++)
        move(&rest, &program->exports[i].name, program->exports[i].name_len);
    return true;
}

void javm_pvm_clear(struct javm_pvm_program *program)
{
    free(program->imports);
    free(program->exports);
    free(program->owned);
    *program = (struct javm_pvm_program){0};
}

/* ---- loading ----------------------------------------------------------------------------- */

static void read_blob(struct field_reader *r, enum javm_pvm_container as,
                      struct javm_pvm_program *program, struct code_parts *parts)
{
    const bool jar1 = as == JAVM_PVM_CODE_JAR1;
    program->container = as;
    program->code.profile = jar1 ? JAVM_PVM_JAR1 : JAVM_PVM_GP;
    program->code.features = jar1 ? JAVM_PVM_UNLIKELY | JAVM_PVM_ECALL : JAVM_PVM_SBRK;
    code_read(r, jar1 ? CODE_FIXED : CODE_NATURAL, parts);
    if (jar1)
        code_validate(r, parts);
    else if (r->error.status == JAVM_OK && field_left(r) > 0)
        field_bad(r, JAVM_E_FORMAT, "code_len", parts->code_at,
                  "the blob ends %zu bytes before the file, where its end is expected",
                  field_left(r));
}

static enum javm_status load_as(const uint8_t *bytes, size_t len, enum javm_pvm_container as,
                                struct javm_pvm_program *program, struct javm_error *error)
{
    struct code_parts parts = {0};
    struct javm_pvm_program read = {0};
    struct field_reader r = {.in = {bytes, len, 0, true}, .prefix = ""};
    if (as == JAVM_PVM_POLKAVM && javm_pvm_sniff(bytes, len) != JAVM_PVM_POLKAVM)
        field_bad(&r, JAVM_E_FORMAT, "magic", 0, "50 56 4d 00 is expected");
    else if (as == JAVM_PVM_POLKAVM)
        polkavm_read(&r, &read, &parts);
    else if (as == JAVM_PVM_SPI)
        spi_read(&r, &read, &parts);
    else
        read_blob(&r, as, &read, &parts);
    if (r.error.status == JAVM_OK && !own(bytes, &parts, &read))
        javm_fail(&r.error, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory for a program of %zu bytes",
                  len);
    if (r.error.status != JAVM_OK)
        javm_pvm_clear(&read);
    *program = read;
    *error = r.error;
    return r.error.status;
}

/* The forms without a magic number, the one with the most checks first. What is none of them was
 * probably meant to be the one in which most made sense. */
static enum javm_status load_any(const uint8_t *bytes, size_t len, struct javm_pvm_program *program,
                                 struct javm_error *err)
{
    static const enum javm_pvm_container FORMS[] = {JAVM_PVM_SPI, JAVM_PVM_CODE_GP,
                                                    JAVM_PVM_CODE_JAR1};
    struct javm_error best = {.text = ""}, error;
    enum javm_pvm_container nearest = JAVM_PVM_ANY;
    for (unsigned i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        const enum javm_status status = load_as(bytes, len, FORMS[i], program, &error);
        if (status == JAVM_OK || status == JAVM_E_NOMEM) {
            if (status != JAVM_OK && err != NULL)
                *err = error;
            return status;
        }
        if (nearest == JAVM_PVM_ANY || error.where > best.where) {
            best = error;
            nearest = FORMS[i];
        }
    }
    return javm_fail(err, best.status, best.where,
                     "neither a bundle nor an ELF file; read as a %s: %.160s",
                     javm_pvm_container_name(nearest), best.text);
}

enum javm_status javm_pvm_load(const uint8_t *bytes, size_t len, enum javm_pvm_container as,
                               struct javm_pvm_program *program, struct javm_error *err)
{
    struct javm_error error;
    if (as == JAVM_PVM_ANY)
        as = javm_pvm_sniff(bytes, len);
    *program = (struct javm_pvm_program){0};
    if (as == JAVM_PVM_JAR)
        return javm_fail(err, JAVM_E_UNSUPPORTED, 0,
                         "magic at byte 0: a JAR v2 blob, which is no single program");
    if (as == JAVM_PVM_ANY)
        return load_any(bytes, len, program, err);
    const enum javm_status status = load_as(bytes, len, as, program, &error);
    if (status != JAVM_OK && err != NULL)
        *err = error;
    return status;
}
