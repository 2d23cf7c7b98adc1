/* PVM containers there and back: what the makers of pvm_maker.c write is what the loaders give,
 * whatever the program; anything cut off is refused. Catches: a field that is read from the wrong
 * place or in the wrong width, a piece that still points into the file, a form that is taken for
 * another one, opcodes that are renumbered where no instruction starts. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/loaders/pvm_maker.h"

enum { ROUNDS = 400 };

/* Gone when it is loaded, so that a pointer into the file is seen by a sanitizer and by compares.
 */
static void load(struct blob *blob, enum javm_pvm_container as, struct javm_pvm_program *program)
{
    struct javm_error err = {.text = ""};
    uint8_t *exact = malloc(blob->len);
    cr_assert_not_null(exact);
    memcpy(exact, blob->bytes, blob->len);
    cr_assert_eq(javm_pvm_load(exact, blob->len, as, program, &err), JAVM_OK, "%s", err.text);
    memset(exact, 0xEE, blob->len);
    free(exact);
}

static bool same(const uint8_t *a, uint64_t a_len, const void *b, uint64_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, (size_t)a_len) == 0);
}

static void check_code(const struct javm_pvm_code *code, const struct pvm_source *source)
{
    cr_assert(same(code->code, code->code_len, source->code, source->code_len));
    for (uint32_t pc = 0; pc < source->code_len; pc++)
        cr_assert_eq(javm_pvm_is_start(code, pc), source->starts[pc] != 0);
    cr_assert_not(javm_pvm_is_start(code, source->code_len));
    cr_assert_eq(code->jump_len, source->table_len);
    for (uint32_t i = 0; i < source->table_len; i++)
        cr_assert_eq(code->jump_table[i], source->table[i]);
}

static void check_cuts(const struct blob *blob, enum javm_pvm_container as)
{
    struct javm_pvm_program program;
    struct javm_error err;
    for (size_t len = 0; len < blob->len; len++) {
        uint8_t *exact = malloc(len + 1);
        cr_assert_not_null(exact);
        memcpy(exact + 1, blob->bytes, len); /* ends where the allocation ends */
        err.where = JAVM_NOWHERE;
        cr_assert_neq(javm_pvm_load(exact + 1, len, as, &program, &err), JAVM_OK, "%zu", len);
        cr_assert_leq(err.where, len);
        cr_assert_null(program.owned);
        free(exact);
    }
}

Test(containers, code_blobs)
{
    struct random random = {1};
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct random_program p;
        struct blob jar1 = {0}, gp = {0};
        struct javm_pvm_program program;
        random_program(&random, &p);
        blob_code(&jar1, &p.source, false);
        blob_code(&gp, &p.source, true);
        load(&jar1, JAVM_PVM_CODE_JAR1, &program);
        check_code(&program.code, &p.source);
        cr_assert_eq(program.code.profile, JAVM_PVM_JAR1);
        cr_assert_eq(program.code.features, JAVM_PVM_UNLIKELY | JAVM_PVM_ECALL);
        javm_pvm_clear(&program);
        load(&gp, JAVM_PVM_CODE_GP, &program);
        check_code(&program.code, &p.source);
        cr_assert_eq(program.code.profile, JAVM_PVM_GP);
        cr_assert_eq(program.code.features, JAVM_PVM_SBRK);
        javm_pvm_clear(&program);
        if (i < 20) {
            check_cuts(&jar1, JAVM_PVM_CODE_JAR1);
            check_cuts(&gp, JAVM_PVM_CODE_GP);
        }
        /* what follows is ignored in one form only, and found out all the same */
        blob_put(&jar1, "and more", 8);
        load(&jar1, JAVM_PVM_ANY, &program);
        cr_assert_eq(program.container, JAVM_PVM_CODE_JAR1);
        javm_pvm_clear(&program);
        load(&gp, JAVM_PVM_ANY, &program);
        cr_assert_eq(program.container, JAVM_PVM_CODE_GP);
        javm_pvm_clear(&program);
        blob_free(&jar1);
        blob_free(&gp);
    }
    REQUIRE_NO_LEAKS();
}

/* Without a jump table there is nothing to have a size: other toolchains say 0 in gp blobs then. */
Test(containers, no_table)
{
    static const uint8_t code[] = {0}, starts[] = {1};
    struct pvm_source source = {.code = code, .starts = starts, .code_len = 1};
    struct blob jar1 = {0}, gp = {0};
    struct javm_pvm_program program;
    struct javm_error err;
    blob_code(&jar1, &source, false);
    blob_code(&gp, &source, true);
    load(&gp, JAVM_PVM_CODE_GP, &program);
    check_code(&program.code, &source);
    javm_pvm_clear(&program);
    cr_assert_eq(javm_pvm_load(jar1.bytes, jar1.len, JAVM_PVM_CODE_JAR1, &program, &err),
                 JAVM_E_FORMAT);
    blob_free(&jar1);
    blob_free(&gp);
    REQUIRE_NO_LEAKS();
}

Test(containers, standard_programs)
{
    static uint8_t bytes[70000];
    struct random random = {2};
    random_bytes(&random, bytes, sizeof bytes);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct random_program p;
        struct javm_pvm_program program;
        random_program(&random, &p);
        const bool large = i % 50 == 0;
        const struct spi_source source = {
            .code = p.source,
            .metadata = i % 2 == 0 ? NULL : (const char *)bytes + 5,
            .metadata_len = (uint32_t)random_below(&random, large ? 20000 : 200),
            .ro = bytes,
            .ro_len = (uint32_t)random_below(&random, large ? sizeof bytes : 100),
            .rw = bytes + 7,
            .rw_len = (uint32_t)random_below(&random, large ? sizeof bytes - 7 : 100),
            .heap_pages = (uint32_t)random_below(&random, 65536),
            .stack = (uint32_t)random_below(&random, 1 << 24)};
        struct blob blob = spi_make(&source);
        load(&blob, JAVM_PVM_ANY, &program);
        cr_assert_eq(program.container, JAVM_PVM_SPI);
        cr_assert_eq(program.has_service, source.metadata != NULL);
        if (source.metadata != NULL)
            cr_assert(
                same(program.metadata, program.metadata_len, source.metadata, source.metadata_len));
        check_code(&program.code, &p.source);
        cr_assert(same(program.ro, program.ro_len, source.ro, source.ro_len));
        cr_assert(same(program.rw, program.rw_len, source.rw, source.rw_len));
        cr_assert_eq(program.heap_pages, source.heap_pages);
        cr_assert_eq(program.stack_size, source.stack);
        cr_assert_eq(program.code.features, JAVM_PVM_SBRK);
        javm_pvm_clear(&program);
        if (i < 6)
            check_cuts(&blob, JAVM_PVM_SPI);
        blob_free(&blob);
    }
    REQUIRE_NO_LEAKS();
}

/* What is an opcode of a version under another number, or of none. */
static uint8_t renumbered(unsigned version, uint8_t op)
{
    if (op == 4 || (op == 3 && version != 2) || (op == 2 && version == 0) ||
        (op == 111 && version == 3))
        return JAVM_PVM_OP_INVALID;
    if (version == 2 && (op == 2 || op == 3))
        return op == 2 ? JAVM_PVM_OP_MEMSET : 2;
    return version == 3 && op > 100 && op < 111 ? op + 1 : op;
}

Test(containers, polkavm_files)
{
    static const char *const imports[] = {"read", "", "a longer name", NULL};
    static const uint8_t bytes[300] = {1, 2, 3};
    static const unsigned versions[] = {0, 2, 3};
    static const unsigned features[] = {
        JAVM_PVM_SBRK, JAVM_PVM_SBRK | JAVM_PVM_UNLIKELY | JAVM_PVM_MEMSET, JAVM_PVM_UNLIKELY};
    struct random random = {3};
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct random_program p;
        struct javm_pvm_program program;
        random_program(&random, &p);
        const struct pvm_export exports[] = {{0, "main"}, {0, ""}, {0, NULL}};
        const struct polkavm_source source = {
            .code = p.source,
            .version = versions[i % 3],
            .ro_size = 300 + (uint32_t)random_below(&random, 1 << 29),
            .rw_size = 300 + (uint32_t)random_below(&random, 1 << 29),
            .stack_size = (uint32_t)random_below(&random, 1 << 29),
            .ro = bytes,
            .ro_len = (uint32_t)random_below(&random, 300),
            .rw = bytes + 1,
            .rw_len = (uint32_t)random_below(&random, 299),
            .imports = i % 4 == 0 ? NULL : imports,
            .exports = i % 5 == 0 ? NULL : exports,
            .debug = i % 7 == 0 ? "debug" : NULL};
        struct blob blob = polkavm_make(&source);
        load(&blob, JAVM_PVM_ANY, &program);
        cr_assert_eq(program.container, JAVM_PVM_POLKAVM);
        cr_assert_eq(program.version, source.version);
        cr_assert_eq(program.ro_size, source.ro_size);
        cr_assert_eq(program.rw_size, source.rw_size);
        cr_assert_eq(program.stack_size, source.stack_size);
        cr_assert(same(program.ro, program.ro_len, source.ro, source.ro_len));
        cr_assert(same(program.rw, program.rw_len, source.rw, source.rw_len));
        cr_assert_eq(program.import_count, source.imports == NULL ? 0 : 3);
        for (uint32_t k = 0; k < program.import_count; k++)
            cr_assert(same(program.imports[k].name, program.imports[k].name_len, imports[k],
                           strlen(imports[k])));
        cr_assert_eq(program.export_count, source.exports == NULL ? 0 : 2);
        for (uint32_t k = 0; k < program.export_count; k++)
            cr_assert(program.exports[k].pc == 0 &&
                      same(program.exports[k].name, program.exports[k].name_len, exports[k].name,
                           strlen(exports[k].name)));
        cr_assert_eq(program.skipped, source.debug == NULL ? 0 : 5);
        cr_assert_eq(program.code.profile, JAVM_PVM_GP);
        cr_assert_eq(program.code.features, features[i % 3]);
        for (uint32_t pc = 0; pc < p.source.code_len; pc++)
            if (p.starts[pc])
                p.code[pc] = renumbered(source.version, p.code[pc]);
        check_code(&program.code, &p.source);
        javm_pvm_clear(&program);
        if (i < 20)
            check_cuts(&blob, JAVM_PVM_POLKAVM);
        blob_free(&blob);
    }
    REQUIRE_NO_LEAKS();
}

/* Every opcode of every version, and an argument byte of the same value, which stays. */
Test(containers, opcodes_of_polkavm_versions)
{
    uint8_t code[512], starts[512];
    for (unsigned i = 0; i < 256; i++) {
        code[2 * i] = code[2 * i + 1] = (uint8_t)i;
        starts[2 * i] = 1;
        starts[2 * i + 1] = 0;
    }
    for (unsigned version = 0; version <= 3; version++) {
        struct polkavm_source source = {.code = {code, starts, sizeof code, NULL, 0, 0},
                                        .version = version};
        struct javm_pvm_program program;
        struct blob blob = polkavm_make(&source);
        if (version == 1) {
            cr_assert_eq(javm_pvm_load(blob.bytes, blob.len, JAVM_PVM_ANY, &program, NULL),
                         JAVM_E_UNSUPPORTED);
        } else {
            load(&blob, JAVM_PVM_ANY, &program);
            for (unsigned i = 0; i < 256; i++) {
                cr_expect_eq(program.code.code[2 * i], renumbered(version, (uint8_t)i),
                             "version %u, opcode %u", version, i);
                cr_expect_eq(program.code.code[2 * i + 1], i);
            }
            javm_pvm_clear(&program);
        }
        blob_free(&blob);
    }
}

/* Optional sections may stand in any order behind the code, and none of the others has to be. */
Test(containers, optional_sections)
{
    struct blob blob = polkavm_begin(3), code = {0};
    struct javm_pvm_program program;
    blob_code(&code, &pvm_sample, true);
    polkavm_section(&blob, 6, code.bytes, code.len);
    polkavm_section(&blob, 200, "later", 5);
    polkavm_section(&blob, 130, "", 0);
    polkavm_section(&blob, 128, "strings", 7);
    polkavm_end(&blob);
    load(&blob, JAVM_PVM_ANY, &program);
    check_code(&program.code, &pvm_sample);
    cr_assert_eq(program.skipped, 12);
    javm_pvm_clear(&program);
    blob_free(&blob);
    blob_free(&code);
}

Test(containers, jar_blobs)
{
    struct random random = {4};
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct random_program p[2];
        struct blob data = {0};
        uint32_t at[2], len[2];
        for (unsigned k = 0; k < 2; k++) {
            random_program(&random, &p[k]);
            at[k] = (uint32_t)data.len;
            blob_code(&data, &p[k].source, false);
            len[k] = (uint32_t)data.len - at[k];
        }
        const struct jar_source_entry entries[] = {
            {70, 0, 0xFFFFFFFF, 0xFFFFFFFF, 1, at[0], len[0]},
            {66, 1, 0xFFFFE, 2, 1, 0, (uint32_t)data.len}, /* shares its bytes with the codes */
            {67, 1, 0, 3, 0, 0xFFFFFFFF, 0},
            {70, 0, 0, 0, 0, at[1], len[1]}, /* takes the place of the first */
            {67, 1, 0, 0, 0, 0, 0},
        };
        struct blob blob = jar_make(5, 70, entries, 5, data.bytes, data.len);
        struct javm_jar jar;
        struct javm_error err = {.text = ""};
        uint8_t *exact = malloc(blob.len);
        cr_assert_not_null(exact);
        memcpy(exact, blob.bytes, blob.len);
        cr_assert_eq(javm_jar_load(exact, blob.len, &jar, &err), JAVM_OK, "%s", err.text);
        memset(exact, 0xEE, blob.len);
        free(exact);
        cr_assert(jar.memory_pages == 5 && jar.data_pages == 5 && jar.code_count == 2);
        cr_assert(jar.invoke_slot == 70 && jar.invoke_code == 1 && jar.entry_count == 5);
        for (unsigned k = 0; k < 5; k++) {
            cr_assert_eq(jar.entries[k].slot, entries[k].slot);
            cr_assert_eq(jar.entries[k].is_code, entries[k].type == 0);
            cr_assert(same(jar.entries[k].data, jar.entries[k].data_len,
                           data.bytes + (entries[k].len > 0 ? entries[k].offset : 0),
                           entries[k].len));
        }
        cr_assert(jar.entries[1].first_page == 0xFFFFE && jar.entries[1].page_count == 2 &&
                  jar.entries[1].writable && jar.entries[1].backing_offset == 0);
        cr_assert(jar.entries[2].page_count == 3 && !jar.entries[2].writable &&
                  jar.entries[2].backing_offset == 2 && jar.entries[4].backing_offset == 5);
        for (unsigned k = 0; k < 2; k++) {
            check_code(&jar.codes[k], &p[k].source);
            cr_assert_eq(jar.codes[k].profile, JAVM_PVM_JAR1);
        }
        javm_jar_clear(&jar);
        for (size_t cut = 0; i < 10 && cut < blob.len; cut++) {
            cr_assert_neq(javm_jar_load(blob.bytes, cut, &jar, &err), JAVM_OK);
            cr_assert_leq(err.where, blob.len);
        }
        blob_free(&blob);
        blob_free(&data);
    }
    REQUIRE_NO_LEAKS();
}

Test(containers, sniffing)
{
    cr_expect_eq(javm_pvm_sniff((const uint8_t *)"PVM", 4), JAVM_PVM_POLKAVM);
    cr_expect_eq(javm_pvm_sniff((const uint8_t *)"PVM", 3), JAVM_PVM_ANY);
    cr_expect_eq(javm_pvm_sniff((const uint8_t *)"JAR\2", 4), JAVM_PVM_JAR);
    cr_expect_eq(javm_pvm_sniff((const uint8_t *)"JAR\1", 4), JAVM_PVM_ANY);
    cr_expect_eq(javm_pvm_sniff(NULL, 0), JAVM_PVM_ANY);
    cr_expect_str_eq(javm_pvm_container_name(JAVM_PVM_SPI), "standard program (SPI)");
}
