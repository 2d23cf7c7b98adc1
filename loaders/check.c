/* javm-link --check: what a guest author would want to know about code that something else made. */
#include "javm/load.h"

#include <inttypes.h>
#include <stdlib.h>

#include "javm/container.h"
#include "javm/engine.h"
#include "loaders/bytes.h"
#include "vm/pvm2.h"

enum { MAX_LINES = 100 };

struct findings {
    struct writer out;
    uint64_t targets, entries, endpoints, reserved;
};

static void add_reserved(struct findings *f, uint64_t at, const char *text)
{
    if (f->reserved++ < MAX_LINES)
        writer_text(&f->out, "0x%06" PRIx64 ": %s (panics when reached)\n", at, text);
}

static void add_endpoint(struct findings *f, const struct javm_endpoint *endpoint, const char *what)
{
    f->endpoints++;
    writer_text(&f->out, "endpoint %" PRIu32 ": 0x%06" PRIx64 " is not %s\n", endpoint->index,
                endpoint->entry_pc, what);
}

/* ---- PVM2 ------------------------------------------------------------------------------- */

static void check_insn(const struct javm_image *image, const struct javm_program *program,
                       uint64_t at, const struct pvm2_insn *insn, struct findings *f)
{
    char text[64];
    pvm2_format(insn, text, sizeof text);
    if (insn->op == PVM2_RESERVED) {
        add_reserved(f, at, text);
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
    for (uint32_t i = 0; i < image->endpoint_count; i++)
        if (!javm_program_is_start(program, image->endpoints[i].entry_pc))
            add_endpoint(f, &image->endpoints[i], "a block start");
}

static enum javm_status check_pvm2(const struct javm_image *image, struct findings *f,
                                   struct javm_error *err)
{
    struct javm_program *program = NULL;
    const struct javm_program_key key = javm_program_key_of(image);
    const enum javm_status status =
        javm_program_decode(image->code, image->code_len, &key, &program, err);
    if (status != JAVM_OK)
        return status;
    check_code(image, program, f);
    javm_program_free(program);
    return JAVM_OK;
}

/* ---- PVM -------------------------------------------------------------------------------- */

/* Jumps may lead to any instruction. */
static void check_pvm_insn(const struct javm_pvm_code *code, const struct javm_pvm_insn *insn,
                           struct findings *f)
{
    char text[96];
    javm_pvm_format_insn(insn, text, sizeof text);
    if (insn->format == JAVM_PVM_INVALID)
        add_reserved(f, insn->pc, text);
    if ((insn->format != JAVM_PVM_O && insn->format != JAVM_PVM_RIO &&
         insn->format != JAVM_PVM_RRO) ||
        javm_pvm_is_start(code, insn->target))
        return;
    if (f->targets++ < MAX_LINES)
        writer_text(&f->out, "0x%06" PRIx64 ": %s goes to where no instruction starts\n", insn->pc,
                    text);
}

static void check_pvm(const struct javm_image *image, struct findings *f)
{
    const struct javm_pvm_code code = javm_pvm_code_of(image);
    for (uint64_t at = 0; at < code.code_len;) {
        if (!javm_pvm_is_start(&code, at)) {
            at++; /* never runs */
            continue;
        }
        const struct javm_pvm_insn insn = javm_pvm_decode(&code, at);
        check_pvm_insn(&code, &insn, f);
        at = insn.next;
    }
    for (uint32_t i = 0; i < code.jump_len; i++)
        if (!javm_pvm_is_start(&code, code.jump_table[i]) && f->entries++ < MAX_LINES)
            writer_text(&f->out,
                        "jump table entry %" PRIu32 ": no instruction starts at 0x%06" PRIx32 "\n",
                        i, code.jump_table[i]);
    for (uint32_t i = 0; i < image->endpoint_count; i++)
        if (!javm_pvm_is_start(&code, image->endpoints[i].entry_pc))
            add_endpoint(f, &image->endpoints[i], "where an instruction starts");
}

/* ---- both ------------------------------------------------------------------------------- */

static void add_rest(struct findings *f, uint64_t count, const char *what)
{
    if (count > MAX_LINES)
        writer_text(&f->out, "... and %" PRIu64 " more %s\n", count - MAX_LINES, what);
}

enum javm_status javm_image_check(const struct javm_image *image, char **findings,
                                  uint64_t *problems, struct javm_error *err)
{
    struct findings f = {0};
    enum javm_status status = JAVM_OK;
    if (image->isa == JAVM_ISA_PVM)
        check_pvm(image, &f);
    else
        status = check_pvm2(image, &f, err);
    if (status != JAVM_OK)
        return status;
    add_rest(&f, f.targets, "bad targets");
    add_rest(&f, f.entries, "bad entries of the jump table");
    add_rest(&f, f.reserved, "reserved encodings");
    writer_put(&f.out, "", 0); /* at least an empty text */
    if (f.out.failed) {
        writer_free(&f.out);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to check an image");
    }
    *findings = (char *)f.out.bytes;
    *problems = f.targets + f.entries + f.endpoints;
    return JAVM_OK;
}
