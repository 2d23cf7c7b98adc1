/* The map file: the way from an offset in a trap report back to a source function, and what every
 * block costs. */
#include "loaders/link_image.h"

#include <inttypes.h>

/* Sites [first, last) belong to one function; blocks are walked along with them. */
struct function_totals {
    uint32_t markers, grown, blocks;
    uint64_t gas;
};

/* Where the bytes of a site begin in the output: its marker, if it has one. */
static uint64_t begin_of(const struct site *site)
{
    return site->moved - (site->marker ? 4u : 0u);
}

static void map_header(const struct relink *r, const struct javm_program *program,
                       const struct javm_image *image, struct writer *out)
{
    writer_text(out,
                "# javm-link map. Offsets count from the start of the code, in hexadecimal; the "
                "%s address is 0x%x more.\n"
                "# %sGas is of one execution%s.\n",
                r->pvm != NULL ? "old" : "guest", JAVM_CODE_BASE,
                r->pvm != NULL ? "" : "Inside a block old and new offsets keep their distance. ",
                r->pvm != NULL ? "" : "; an ecall is charged when it runs");
    writer_text(out,
                "code: %" PRIu64 " -> %" PRIu64 " bytes, %" PRIu32 " instructions, %" PRIu64
                " blocks\n",
                r->in->text.size, r->code_len, r->count, javm_program_blocks(program));
    writer_text(out, "markers: %" PRIu32 ", grown: %" PRIu32 "\n", r->markers, r->grown);
    writer_text(out, "data pages: %" PRIu64 "\n", javm_image_footprint(image));
    for (uint32_t i = 0; i < r->endpoint_count; i++) {
        char where[ELF_WHERE];
        const struct site *site = &r->sites[r->endpoints[i].site];
        elf_where(r->in, site->offset, where);
        writer_text(out, "endpoint %" PRIu32 ": new %06" PRIx32 ", %" PRIu32 " arguments, %s\n",
                    r->endpoints[i].index, site->moved, r->endpoints[i].arguments, where);
    }
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct javm_mapping *m = &image->mappings[i];
        writer_text(out, "mapping 0x%08" PRIx64 "..0x%09" PRIx64 " slot", m->start,
                    m->start + m->size);
        for (unsigned k = 0; k < m->depth; k++) {
            writer_text(out, k == 0 ? " " : "/");
            for (unsigned n = 0; n < m->path[k].len; n++)
                writer_text(out, "%02x", m->path[k].bytes[n]);
        }
        writer_text(out, m->depth == 0 ? " none (ephemeral)\n" : "\n");
    }
}

/* One line a block of the function; block numbers continue where the last function stopped. */
static void map_blocks(const struct relink *r, const struct javm_program *program, uint32_t first,
                       uint32_t last, uint64_t *block, struct function_totals *totals,
                       struct writer *out)
{
    uint32_t i = first;
    uint64_t end = last == r->count ? r->code_len : begin_of(&r->sites[last]);
    for (; *block < javm_program_blocks(program); ++*block) {
        struct javm_block_info info;
        javm_program_block(program, *block, &info);
        if (info.start >= end)
            break;
        totals->blocks++;
        totals->gas += info.cost;
        while (i + 1 < last && begin_of(&r->sites[i + 1]) <= info.start)
            i++;
        const struct site *site = &r->sites[i];
        writer_text(out, "  block new %06" PRIx64 " old %06" PRIx32, info.start, site->offset);
        if (info.ecall)
            writer_text(out, " gas dynamic\n");
        else
            writer_text(out, " gas %" PRIu64 "%s\n", info.cost,
                        site->marker && info.start < site->moved ? " (marker)" : "");
    }
}

static void map_function(const struct relink *r, const struct javm_program *program,
                         const char *name, uint32_t first, uint32_t last, uint64_t *block,
                         struct writer *out)
{
    struct function_totals totals = {0};
    struct writer blocks = {0};
    if (first == last)
        return;
    for (uint32_t i = first; i < last; i++) {
        totals.markers += r->sites[i].marker;
        totals.grown += r->sites[i].size != r->sites[i].insn.len;
    }
    map_blocks(r, program, first, last, block, &totals, &blocks);
    uint64_t end = last == r->count ? r->code_len : begin_of(&r->sites[last]);
    writer_text(out,
                "function %.*s: old %06" PRIx32 " new %06" PRIx32 " bytes %" PRIu64
                " markers %" PRIu32 " grown %" PRIu32 " blocks %" PRIu32 " gas %" PRIu64 "\n",
                ELF_NAME_SHOWN, name, r->sites[first].offset, r->sites[first].moved,
                end - begin_of(&r->sites[first]), totals.markers, totals.grown, totals.blocks,
                totals.gas);
    writer_put(out, blocks.bytes, blocks.len);
    out->failed = out->failed || blocks.failed;
    writer_free(&blocks);
}

void link_map(const struct relink *r, const struct javm_program *program,
              const struct javm_image *image, struct writer *out)
{
    const struct elf_input *in = r->in;
    uint64_t block = 0;
    uint32_t site = 0, at = 0;
    const char *name = "(none)"; /* code before the first symbol */
    map_header(r, program, image, out);
    while (site < r->count) {
        /* the names at this very place: the last one, the largest, is it */
        while (at < in->function_count &&
               in->functions[at].start - in->text.start <= r->sites[site].offset)
            name = in->functions[at++].name;
        uint64_t next =
            at < in->function_count ? in->functions[at].start - in->text.start : in->text.size;
        uint32_t last = site;
        while (last < r->count && r->sites[last].offset < next)
            last++;
        map_function(r, program, name, site, last, &block, out);
        site = last;
    }
}
