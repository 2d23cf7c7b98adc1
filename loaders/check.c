/* javm-link --check: what a guest author would want to know about code that something else made. */
#include "javm/load.h"

#include <inttypes.h>
#include <stdlib.h>

#include "javm/engine.h"
#include "loaders/bytes.h"
#include "vm/pvm2.h"

enum { MAX_LINES = 100 };

struct findings {
    struct writer out;
    uint64_t targets, endpoints, reserved;
};

static void check_insn(const struct javm_image *image, const struct javm_program *program,
                       uint64_t at, const struct pvm2_insn *insn, struct findings *f)
{
    char text[64];
    pvm2_format(insn, text, sizeof text);
    if (insn->op == PVM2_RESERVED) {
        if (f->reserved++ < MAX_LINES)
            writer_text(&f->out, "0x%06" PRIx64 ": %s (panics when reached)\n", at, text);
        return;
    }
    if (insn->op != PVM2_JAL && (insn->op < PVM2_BEQ || insn->op > PVM2_BGEU))
        return;
    int64_t to = (int64_t)at + insn->imm;
    if (to >= 0 && (uint64_t)to < image->code_len && javm_program_is_start(program, (uint64_t)to))
        return;
    if (f->targets++ < MAX_LINES)
        writer_text(&f->out,
                    "0x%06" PRIx64 ": %s goes to %s0x%06" PRIx64 ", which is not a block start\n",
                    at, text, to < 0 ? "-" : "", (uint64_t)(to < 0 ? -to : to));
}

static void check_code(const struct javm_image *image, const struct javm_program *program,
                       struct findings *f)
{
    struct pvm2_insn insn;
    for (uint64_t at = 0; pvm2_decode(image->code, image->code_len, at, &insn); at += insn.len)
        check_insn(image, program, at, &insn, f);
    if (javm_program_end(program) != image->code_len)
        writer_text(&f->out, "0x%06" PRIx64 ": the code ends inside an instruction\n",
                    javm_program_end(program));
    for (uint32_t i = 0; i < image->endpoint_count; i++) {
        const struct javm_endpoint *endpoint = &image->endpoints[i];
        if (javm_program_is_start(program, endpoint->entry_pc))
            continue;
        f->endpoints++;
        writer_text(&f->out, "endpoint %" PRIu32 ": 0x%06" PRIx64 " is not a block start\n",
                    endpoint->index, endpoint->entry_pc);
    }
}

static void add_rest(struct findings *f, uint64_t count, const char *what)
{
    if (count > MAX_LINES)
        writer_text(&f->out, "... and %" PRIu64 " more %s\n", count - MAX_LINES, what);
}

enum javm_status javm_image_check(const struct javm_image *image, char **findings,
                                  uint64_t *problems, struct javm_error *err)
{
    if (image->isa != JAVM_ISA_PVM2)
        return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "the image is for ISA %d; only PVM2 (1) can be checked", (int)image->isa);
    struct javm_program *program = NULL;
    struct javm_program_key key = {.footprint_pages = javm_image_footprint(image)};
    enum javm_status status =
        javm_program_decode_pvm2(image->code, image->code_len, &key, &program, err);
    if (status != JAVM_OK)
        return status;
    struct findings f = {0};
    check_code(image, program, &f);
    javm_program_free(program);
    add_rest(&f, f.targets, "bad targets");
    add_rest(&f, f.reserved, "reserved encodings");
    writer_put(&f.out, "", 0); /* at least an empty text */
    if (f.out.failed) {
        writer_free(&f.out);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to check an image");
    }
    *findings = (char *)f.out.bytes;
    *problems = f.targets + f.endpoints;
    return JAVM_OK;
}
