/* Gray Paper standard programs and the service blobs around them (PVM 10.1). */
#include <inttypes.h>

#include "loaders/container.h"

enum { HEADER = 11 };

/* The program that fills the rest of the reader. */
static void read_plain(struct field_reader *r, struct javm_pvm_program *program,
                       struct code_parts *parts)
{
    const size_t start = r->in.at;
    program->container = JAVM_PVM_SPI;
    program->code.profile = JAVM_PVM_GP;
    program->code.features = JAVM_PVM_SBRK;
    program->ro_len = program->ro_size = (uint32_t)field_fixed(r, 3, "length of o");
    program->rw_len = program->rw_size = (uint32_t)field_fixed(r, 3, "length of w");
    program->heap_pages = (uint32_t)field_fixed(r, 2, "z");
    program->stack_size = (uint32_t)field_fixed(r, 3, "s");
    program->ro = field_take(r, program->ro_len, "constants", "length of o", start);
    program->rw = field_take(r, program->rw_len, "variables", "length of w", start + 3);
    const size_t at = r->in.at;
    const uint64_t code = field_fixed(r, 4, "length of c");
    if (r->error.status == JAVM_OK && code != field_left(r))
        field_bad(r, JAVM_E_FORMAT, "length of c", at,
                  "%" PRIu64 " bytes announced, %zu follow to the end of the file", code,
                  field_left(r));
    code_read(r, CODE_NATURAL, parts);
    if (r->error.status == JAVM_OK && field_left(r) > 0)
        field_bad(r, JAVM_E_FORMAT, "code_len", parts->code_at,
                  "the blob ends %zu bytes before the file, where its end is expected",
                  field_left(r));
}

static void read_service(struct field_reader *r, struct javm_pvm_program *program,
                         struct code_parts *parts)
{
    const size_t at = r->in.at;
    const uint64_t len = field_natural(r, "metadata length");
    program->metadata = field_take(r, len, "metadata", "metadata length", at);
    program->metadata_len = (uint32_t)len;
    program->has_service = true;
    r->prefix = "behind the metadata: ";
    read_plain(r, program, parts);
}

/* Nothing tells the two forms apart but that a program fills its file to the last byte. When
 * neither does, the length of o decides which of them the file was meant to be. */
void spi_read(struct field_reader *r, struct javm_pvm_program *program, struct code_parts *parts)
{
    const struct field_reader start = *r;
    read_plain(r, program, parts);
    if (r->error.status == JAVM_OK)
        return;
    const struct field_reader plain = *r;
    *r = start;
    *program = (struct javm_pvm_program){0};
    read_service(r, program, parts);
    if (r->error.status != JAVM_OK && start.in.len >= HEADER &&
        (get_u32(start.in.bytes) & 0xFFFFFF) <= start.in.len - HEADER)
        *r = plain;
}
