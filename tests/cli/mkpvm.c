/* Writes PVM programs for pvm.sh: mkpvm FOLDER puts there
 *   code.jar1, code.gp   the sample program as code blobs
 *   plain.spi            the same as a standard program, service.spi with metadata
 *   v0.polkavm, v2.polkavm, v3.polkavm  with imports, exports and all sections
 *   two.jar              a JAR v2 blob with two codes and two Data
 *   pvm.jimg             an Image whose code is PVM
 *   odd.jar1             code with what never runs, opcodes that are none, and jumps to nowhere
 *   tool.polkavm         exports add, ask (imports "now", "say"), ask_77, store, spin; rw data
 *   echo.spi             gives its arguments back
 *   v1.polkavm, cut.spi, bad.jar  not to be loaded */
#include <string.h>

#include "javm/load.h"
#include "tests/module/module_support.h"

static const char *folder;

static void save(const char *name, struct blob blob)
{
    char path[4096];
    struct javm_error err;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    REQUIRE(javm_file_write(path, blob.bytes, blob.len, &err) == JAVM_OK);
    blob_free(&blob);
}

static void save_code(void)
{
    /* clang-format off */
    static const uint8_t code[] = {
        9, 9,                               /* 00 before the first instruction */
        200, 0x98, 7, 1, 1, 1, 1, 1,        /* 02 add_64, longer than it need be */
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* ... and than it can be */
        101, 0x10,                          /* 1c sbrk, which jar1 lacks */
        40, 0xF0,                           /* 1e jump before the code */
        81, 0x17, 0, 0x7F,                  /* 20 a branch behind the code */
        170, 0x87, 0xFF,                    /* 24 a branch into an instruction */
        0,                                  /* 27 trap */
    };
    static const uint8_t starts[sizeof code] = {
        [2] = 1, [0x1C] = 1, [0x1E] = 1, [0x20] = 1, [0x24] = 1, [0x27] = 1};
    /* clang-format on */
    const struct pvm_source odd = {code, starts, sizeof code, NULL, 0, 1};
    struct blob jar1 = {0}, gp = {0}, blob = {0};
    blob_code(&jar1, &pvm_sample, false);
    blob_code(&gp, &pvm_sample, true);
    blob_code(&blob, &odd, false);
    save("code.jar1", jar1);
    save("code.gp", gp);
    save("odd.jar1", blob);
}

static void save_spi(void)
{
    struct spi_source source = {.code = pvm_sample,
                                .ro = (const uint8_t *)"constants",
                                .ro_len = 9,
                                .rw = (const uint8_t *)"variables",
                                .rw_len = 9,
                                .heap_pages = 2,
                                .stack = 65536};
    struct blob cut = spi_make(&source);
    save("plain.spi", spi_make(&source));
    cut.len--;
    save("cut.spi", cut);
    source.metadata = "\1\6sample\n";
    source.metadata_len = 9;
    save("service.spi", spi_make(&source));
}

static void save_polkavm(void)
{
    static const char *const imports[] = {"read", "wri\"te\n", NULL};
    static const struct pvm_export exports[] = {{0x10, "helper"}, {0, "main"}, {0, "start"}, {0}};
    /* opcodes that have another number, or none, in some version */
    static const uint8_t code[] = {2, 3, 101, 0x10, 102, 0x10, 110, 0x10, 111, 0x10, 10, 1, 1, 0};
    static const uint8_t starts[] = {1, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1};
    static const struct pvm_export first[] = {{0, "main"}, {0}};
    struct polkavm_source source = {.code = pvm_sample,
                                    .version = 3,
                                    .ro_size = 5000,
                                    .rw_size = 300,
                                    .stack_size = 65536,
                                    .ro = (const uint8_t *)"constants",
                                    .ro_len = 9,
                                    .rw = (const uint8_t *)"variables",
                                    .rw_len = 9,
                                    .imports = imports,
                                    .exports = exports,
                                    .debug = "not looked at"};
    save("v3.polkavm", polkavm_make(&source));
    source = (struct polkavm_source){
        .code = {code, starts, sizeof code, NULL, 0, 0}, .imports = imports, .exports = first};
    save("v0.polkavm", polkavm_make(&source));
    source.version = 1;
    save("v1.polkavm", polkavm_make(&source));
    source.version = 2;
    save("v2.polkavm", polkavm_make(&source));
}

static void save_jar(void)
{
    struct blob data = {0};
    blob_code(&data, &pvm_sample, false);
    blob_put(&data, "data", 4);
    const struct jar_source_entry entries[] = {
        {64, 0, 0, 0, 0, 0, (uint32_t)data.len - 4},
        {65, 0, 0, 0, 0, 0, (uint32_t)data.len},
        {0, 1, 0x10, 1, 0, 0, 0},
        {66, 1, 0x20, 2, 1, (uint32_t)data.len - 4, 4},
    };
    save("two.jar", jar_make(2100, 65, entries, 4, data.bytes, data.len));
    save("bad.jar", jar_make(2100, 66, entries, 4, data.bytes, data.len));
    blob_free(&data);
}

static void save_image(void)
{
    uint8_t mask[3] = {0};
    struct blob bytes = {0};
    struct javm_error err;
    struct javm_cap *image;
    for (uint32_t i = 0; i < pvm_sample.code_len; i++)
        mask[i / 8] |= (uint8_t)(pvm_sample.starts[i] << i % 8);
    const struct javm_image fields = {.isa = JAVM_ISA_PVM,
                                      .code = pvm_sample.code,
                                      .code_len = pvm_sample.code_len,
                                      .bitmask = mask,
                                      .bitmask_len = sizeof mask,
                                      .jump_table = pvm_sample.table,
                                      .jump_count = pvm_sample.table_len};
    REQUIRE(javm_image_new(&fields, &image, &err) == JAVM_OK);
    struct javm_bundle_root root = {(char[]){"image"}, 0};
    const struct javm_bundle bundle = {&image, 1, &root, 1};
    REQUIRE(javm_bundle_encode(&bundle, &bytes.bytes, &bytes.len, &err) == JAVM_OK);
    save("pvm.jimg", bytes);
    javm_cap_release(image);
}

static void save_tools(void)
{
    static const char *const imports[] = {"say", "now", NULL};
    struct pvm_text t = {.len = 0}, echo = {.len = 0};
    struct pvm_export exports[6] = {{0}};
    uint8_t starts[PVM_CODE];
    exports[0] = (struct pvm_export){t.len, "add"};
    PVM(&t, 200, 0x87, 7);
    RETURN(&t);
    exports[1] = (struct pvm_export){t.len, "ask"};
    PVM(&t, 10, 1);
    PVM(&t, 10, 0);
    RETURN(&t);
    exports[2] = (struct pvm_export){t.len, "ask_77"};
    PVM(&t, 10, 77);
    RETURN(&t);
    exports[3] = (struct pvm_export){t.len, "store"}; /* a1 at a0; the old value */
    PVM(&t, 128, 0x79, 0);
    PVM(&t, 122, 0x78, 0);
    PVM(&t, 100, 0x97);
    RETURN(&t);
    exports[4] = (struct pvm_export){t.len, "spin"};
    PVM(&t, 40, 0);
    const struct polkavm_source source = {.code = source_of(&t, starts),
                                          .rw_size = 100,
                                          .rw = (const uint8_t *)"\x2A",
                                          .rw_len = 1,
                                          .stack_size = 4096,
                                          .imports = imports,
                                          .exports = exports};
    save("tool.polkavm", polkavm_make(&source));
    RETURN(&echo);
    const struct spi_source spi = {.code = source_of(&echo, starts), .stack = 4096};
    save("echo.spi", spi_make(&spi));
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 2);
    folder = argv[1];
    save_code();
    save_spi();
    save_polkavm();
    save_tools();
    save_jar();
    save_image();
    return 0;
}
