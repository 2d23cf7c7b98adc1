#include "batch/container_info.h"

#include <inttypes.h>
#include <stdio.h>

#include "batch/diag.h"
#include "batch/info_caps.h"
#include "batch/pvm_listing.h"
#include "batch/text.h"

/* ---- code ------------------------------------------------------------------------------- */

static void print_features(unsigned features)
{
    static const struct {
        unsigned bit;
        const char *name;
    } NAMES[] = {{JAVM_PVM_UNLIKELY, "unlikely"},
                 {JAVM_PVM_ECALL, "ecall"},
                 {JAVM_PVM_SBRK, "sbrk"},
                 {JAVM_PVM_MEMSET, "memset"}};
    printf("  %-14s", "has also");
    const char *between = "";
    for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if ((features & NAMES[i].bit) != 0) {
            printf("%s%s", between, NAMES[i].name);
            between = ", ";
        }
    putchar('\n');
}

bool container_info_code(const struct listing_code *listed, bool assembly, struct javm_jit *jit)
{
    const struct javm_pvm_code *code = listed->pvm;
    struct javm_program *program;
    struct javm_error err;
    uint64_t instructions, blocks;
    char a[32];
    info_row("code", "%s bytes, %s rules", text_grouped(a, code->code_len),
             code->profile == JAVM_PVM_JAR1 ? "jar1" : "gp");
    print_features(code->features);
    info_row("jump table", "%s entries", text_grouped(a, code->jump_len));
    javm_pvm_count(code, &instructions, &blocks);
    info_row("instructions", "%s", text_grouped(a, instructions));
    info_row("blocks", "%s", text_grouped(a, blocks));
    if (!assembly)
        return true;
    if (jit == NULL && listing_pvm(code, listed->names))
        return true;
    if (jit == NULL) {
        complain("out of memory");
        return false;
    }
    enum javm_status status =
        javm_program_decode(listed->code, listed->len, &listed->key, &program, &err);
    if (status == JAVM_OK) {
        status = listing_native(jit, listed, program, &err);
        javm_program_free(program);
    }
    if (status != JAVM_OK)
        complain("%s", err.text);
    return status == JAVM_OK;
}

static bool print_code(const struct javm_pvm_code *code, const struct listing_names *names,
                       uint64_t pages, bool assembly, struct javm_jit *jit)
{
    const struct listing_code listed = {.code = code->code,
                                        .len = code->code_len,
                                        .key = javm_pvm_key(code, pages),
                                        .pvm = code,
                                        .names = names};
    return container_info_code(&listed, assembly, jit);
}

/* ---- programs ---------------------------------------------------------------------------- */

static void print_region(const struct javm_pvm_region *region)
{
    static const char *const ROLES[] = {"constants", "variables", "stack", "arguments"};
    char size[32], given[32];
    printf("  %-14s0x%08" PRIx64 "..0x%08" PRIx64 "  %s  %s", ROLES[region->role], region->start,
           region->start + region->size, text_size(size, region->size),
           region->writable ? "read-write" : "read-only");
    if (region->content_len > 0)
        printf(", %s bytes given", text_grouped(given, region->content_len));
    putchar('\n');
}

static void print_symbols(const char *label, const struct javm_pvm_symbol *symbols, uint32_t count,
                          bool with_pc)
{
    for (uint32_t i = 0; i < count; i++) {
        printf("  %-14s", label);
        if (with_pc)
            printf("0x%06" PRIx32 "  ", symbols[i].pc);
        else
            printf("%-4" PRIu32 "  ", i);
        listing_name(symbols[i].name, symbols[i].name_len);
        putchar('\n');
    }
}

static void print_start(const struct javm_pvm_program *program)
{
    struct javm_pvm_memory memory;
    char size[32];
    if (javm_pvm_memory(program, NULL, &memory, NULL) != JAVM_OK || memory.heap_end == 0)
        return; /* loading has checked that it can be laid out; a code blob has no memory */
    for (unsigned i = 0; i < memory.region_count; i++)
        print_region(&memory.regions[i]);
    info_row("heap", "0x%08" PRIx64 "..0x%08" PRIx64 "  %s at most", memory.heap_start,
             memory.heap_end, text_size(size, memory.heap_end - memory.heap_start));
    info_row("stack top", "0x%08" PRIx64, memory.regs[1]);
}

/* The places where a host enters a standard program, by convention. */
static void print_entries(const struct javm_pvm_code *code)
{
    static const struct {
        uint32_t pc;
        const char *what;
    } ENTRIES[] = {{0, "refine, is-authorized"}, {5, "accumulate"}};
    for (unsigned i = 0; i < sizeof ENTRIES / sizeof *ENTRIES; i++)
        info_row("entry", "0x%06" PRIx32 "  %s%s", ENTRIES[i].pc, ENTRIES[i].what,
                 javm_pvm_is_start(code, ENTRIES[i].pc) ? "" : ": no instruction there");
}

static bool print_program(const struct options *options, const struct javm_pvm_program *program,
                          size_t len, struct javm_jit *jit)
{
    static const char *const VERSIONS[] = {"ReviveV1", "", "Latest64", "JamV1"};
    char size[32];
    printf("%s: %s", options->path,
           program->has_service ? "service blob (metadata and SPI)"
                                : javm_pvm_container_name(program->container));
    if (program->container == JAVM_PVM_POLKAVM)
        printf(" version %u (%s)", program->version, VERSIONS[program->version & 3]);
    printf(", %s\n", text_size(size, len));
    if (program->has_service) {
        printf("  %-14s%" PRIu32 " bytes  ", "metadata", program->metadata_len);
        listing_name(program->metadata, program->metadata_len);
        putchar('\n');
    }
    print_start(program);
    if (program->container == JAVM_PVM_SPI)
        print_entries(&program->code);
    print_symbols("import", program->imports, program->import_count, false);
    print_symbols("export", program->exports, program->export_count, true);
    if (program->skipped > 0)
        info_row("skipped", "%s bytes of optional sections", text_grouped(size, program->skipped));
    const struct listing_names names = {program->exports, program->imports, program->export_count,
                                        program->import_count};
    return print_code(&program->code, &names, 0, options->disassemble, jit);
}

/* ---- JAR v2 ------------------------------------------------------------------------------ */

static void print_entry(const struct javm_jar_entry *entry)
{
    char label[16], size[32], given[32];
    snprintf(label, sizeof label, "slot %u", entry->slot);
    if (entry->is_code) {
        info_row(label, "CODE %u", entry->code);
        return;
    }
    const uint64_t start = (uint64_t)entry->first_page << 12,
                   bytes = (uint64_t)entry->page_count << 12;
    info_row(label, "DATA  0x%08" PRIx64 "..0x%08" PRIx64 "  %s  %s, %s bytes given", start,
             start + bytes, text_size(size, bytes), entry->writable ? "read-write" : "read-only",
             text_grouped(given, entry->data_len));
}

static bool print_jar(const struct options *options, const struct javm_jar *jar, size_t len,
                      struct javm_jit *jit)
{
    char a[32], b[32], size[32];
    bool good = true;
    printf("%s: %s, %s\n", options->path, javm_pvm_container_name(JAVM_PVM_JAR),
           text_size(size, len));
    info_row("memory", "%s pages, %s of them taken at the start",
             text_grouped(a, jar->memory_pages), text_grouped(b, jar->data_pages));
    info_row("runs", "slot %u, CODE %u", jar->invoke_slot, jar->invoke_code);
    for (uint32_t i = 0; i < jar->entry_count; i++)
        print_entry(&jar->entries[i]);
    info_row("a job", "{\"program\":\"...\",\"v2\":{}}, docs/jobs.md");
    for (unsigned i = 0; good && i < jar->code_count; i++) {
        printf("\nCODE %u\n", i);
        good = print_code(&jar->codes[i], NULL, jar->memory_pages, options->disassemble, jit);
    }
    return good;
}

int container_info(const struct options *options, const uint8_t *bytes, size_t len)
{
    struct javm_error err;
    const bool is_jar = javm_pvm_sniff(bytes, len) == JAVM_PVM_JAR;
    struct javm_jar jar = {0};
    struct javm_pvm_program program = {0};
    const enum javm_status status = is_jar
                                        ? javm_jar_load(bytes, len, &jar, &err)
                                        : javm_pvm_load(bytes, len, JAVM_PVM_ANY, &program, &err);
    if (status != JAVM_OK) {
        complain("%s: %s", options->path, err.text);
        return status == JAVM_E_NOMEM ? 3 : 2;
    }
    struct javm_jit *jit;
    const bool good = listing_open(options, &jit) &&
                      (is_jar ? print_jar(options, &jar, len, jit)
                              : print_program(options, &program, len, jit)) &&
                      fflush(stdout) == 0;
    javm_jit_destroy(jit);
    javm_jar_clear(&jar);
    javm_pvm_clear(&program);
    return good ? 0 : 3;
}
