/* PVM containers that are refused, one check each. Offsets are of the bases below, which have the
 * sample's 24 bytes of code and 2 jump table entries. */
#include "tests/loaders/bad_containers.h"

#include <string.h>

enum { JAR1, GP, SPI, SERVICE, POLKAVM, POLKAVM_HUGE, POLKAVM_ODD, JAR, JAR_SIX, TEXT };

/* clang-format off */
const struct bad_container bad_containers[] = {
    {"a text file", JAVM_E_FORMAT, JAVM_PVM_ANY, TEXT, 0, "", 0},
    {"a code blob of 3 bytes", JAVM_E_FORMAT, JAVM_PVM_CODE_JAR1, JAR1, 0, "", 3},
    {"a jump table of 2^32 - 1 entries", JAVM_E_FORMAT, JAVM_PVM_CODE_JAR1, JAR1, 0, "ffffffff", 0},
    {"jump table entries of 0 bytes", JAVM_E_FORMAT, JAVM_PVM_CODE_JAR1, JAR1, 4, "00", 0},
    {"jump table entries of 5 bytes", JAVM_E_FORMAT, JAVM_PVM_CODE_JAR1, JAR1, 4, "05", 0},
    {"4 GiB of code", JAVM_E_FORMAT, JAVM_PVM_CODE_JAR1, JAR1, 5, "ffffffff", 0},
    {"no room for the bitmask", JAVM_E_FORMAT, JAVM_PVM_CODE_JAR1, JAR1, 5, "19", 0},
    {"no code", JAVM_E_FORMAT, JAVM_PVM_CODE_JAR1, JAR1, 5, "00", 0},
    {"no instruction is marked", JAVM_E_FORMAT, JAVM_PVM_CODE_JAR1, JAR1, 37, "000000", 0},
    {"the last instruction ends no block", JAVM_E_FORMAT, JAVM_PVM_CODE_JAR1, JAR1, 35, "33", 0},
    {"a jump table entry into the middle of an instruction", JAVM_E_FORMAT, JAVM_PVM_CODE_JAR1, JAR1, 9, "01", 0},
    {"gp: a number of 8 more bytes", JAVM_E_FORMAT, JAVM_PVM_CODE_GP, GP, 0, "ff", 0},
    {"gp: a jump table of 2^35 - 1 entries", JAVM_E_FORMAT, JAVM_PVM_CODE_GP, GP, 0, "f7ffffffff", 0},
    {"gp: jump table entries of 0 bytes", JAVM_E_FORMAT, JAVM_PVM_CODE_GP, GP, 1, "00", 0},
    {"gp: a byte behind the blob", JAVM_E_FORMAT, JAVM_PVM_CODE_GP, GP, 0, "", 35},
    {"SPI: ends in its header", JAVM_E_FORMAT, JAVM_PVM_SPI, SPI, 0, "000000", 10},
    {"SPI: more variables than bytes", JAVM_E_FORMAT, JAVM_PVM_SPI, SPI, 3, "ffffff", 0},
    {"SPI: less code than bytes", JAVM_E_FORMAT, JAVM_PVM_SPI, SPI, 19, "21", 0},
    {"SPI: more code than bytes", JAVM_E_FORMAT, JAVM_PVM_SPI, SPI, 19, "ffffffff", 0},
    {"SPI: a byte behind the bitmask", JAVM_E_FORMAT, JAVM_PVM_SPI, SPI, 19, "23", 58},
    {"SPI: ends before the length of the code", JAVM_E_FORMAT, JAVM_PVM_SPI, SPI, 0, "", 19},
    {"SPI: jump table entries of 5 bytes", JAVM_E_FORMAT, JAVM_PVM_SPI, SPI, 24, "05", 0},
    {"service blob: more metadata than bytes", JAVM_E_FORMAT, JAVM_PVM_SPI, SERVICE, 0, "ffff", 0},
    {"service blob: metadata of 2^32 - 1 bytes", JAVM_E_FORMAT, JAVM_PVM_SPI, SERVICE, 0, "f0ffffffff", 0},
    {"service blob: more constants than bytes", JAVM_E_FORMAT, JAVM_PVM_SPI, SERVICE, 6, "ffffff", 0},
    {".polkavm: other first bytes", JAVM_E_FORMAT, JAVM_PVM_POLKAVM, TEXT, 0, "", 0},
    {".polkavm: ends in its header", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 0, "", 9},
    {".polkavm: the 32-bit version", JAVM_E_UNSUPPORTED, JAVM_PVM_ANY, POLKAVM, 4, "01", 0},
    {".polkavm: a version to come", JAVM_E_UNSUPPORTED, JAVM_PVM_ANY, POLKAVM, 4, "09", 0},
    {".polkavm: cut short", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 0, "", 100},
    {".polkavm: no end mark", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 5, "6a", 106},
    {".polkavm: a byte behind the end mark", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 5, "6c", 108},
    {".polkavm: an unknown section", JAVM_E_UNSUPPORTED, JAVM_PVM_ANY, POLKAVM, 13, "07", 0},
    {".polkavm: the same section twice", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 21, "01", 0},
    {".polkavm: no code", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 70, "86", 0},
    {".polkavm: a section longer than the file", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 71, "7f", 0},
    {".polkavm: a section of 2^32 bytes and more", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 14, "f1", 0},
    {".polkavm: a number of 5 more bytes", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 14, "f8", 0},
    {".polkavm: memory config too short", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 14, "05", 0},
    {".polkavm: memory config too long", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 14, "07", 0},
    {".polkavm: more memory than 4 GiB", JAVM_E_RANGE, JAVM_PVM_ANY, POLKAVM_HUGE, 0, "", 0},
    {".polkavm: more constants than declared", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 15, "04", 0},
    {".polkavm: more variables than declared", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 16, "8002", 0},
    {".polkavm: 1025 imports", JAVM_E_LIMIT, JAVM_PVM_ANY, POLKAVM, 35, "8401", 0},
    {".polkavm: more imports than bytes", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 35, "7f", 0},
    {".polkavm: import symbols out of order", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 36, "08", 0},
    {".polkavm: an import symbol past the section", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 40, "40", 0},
    {".polkavm: more exports than bytes", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 55, "7f", 0},
    {".polkavm: 2^32 - 1 exports", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 55, "f0ffffffff", 0},
    {".polkavm: an export symbol past the section", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 63, "7f", 0},
    {".polkavm: bytes behind the last export", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 63, "05", 0},
    {".polkavm: an export in the middle of an instruction", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 62, "11", 0},
    {".polkavm: an export behind the code", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 62, "18", 0},
    {".polkavm: a jump table over 16 Mi entries", JAVM_E_LIMIT, JAVM_PVM_ANY, POLKAVM, 72, "e1010000", 0},
    {".polkavm: code over 32 MiB", JAVM_E_LIMIT, JAVM_PVM_ANY, POLKAVM, 74, "e2010000", 0},
    {".polkavm: jump table entries of 5 bytes", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 73, "05", 0},
    {".polkavm: more code than bytes", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 74, "7f", 0},
    {".polkavm: less code than bytes", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM, 74, "10", 0},
    {".polkavm: bits behind the bitmask", JAVM_E_FORMAT, JAVM_PVM_ANY, POLKAVM_ODD, 104, "c9", 0},
    {"JAR v2: read as a single program", JAVM_E_UNSUPPORTED, JAVM_PVM_ANY, JAR, 0, "", 0},
    {"JAR v2: another magic", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 3, "01", 0},
    {"JAR v2: ends in its header", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 0, "", 9},
    {"JAR v2: more entries than bytes", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 8, "ff", 0},
    {"JAR v2: cap_type 2", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 11, "02", 0},
    {"JAR v2: init_access 2", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 20, "02", 0},
    {"JAR v2: a payload longer than the data section", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 63, "ffffffff", 0},
    {"JAR v2: a payload far behind the data section", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 59, "ffffffff", 0},
    {"JAR v2: a code blob of 8 bytes", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 25, "08", 0},
    {"JAR v2: code whose jump table has entries of 0 bytes", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 71, "00", 0},
    {"JAR v2: a jump table past the payload", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 67, "ffffffff", 0},
    {"JAR v2: code past the payload", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 72, "ffffffff", 0},
    {"JAR v2: a bitmask past the payload", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 25, "27", 0},
    {"JAR v2: empty code", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 72, "00", 0},
    {"JAR v2: no instruction is marked", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 104, "000000", 0},
    {"JAR v2: the last instruction ends no block", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 102, "33", 0},
    {"JAR v2: a jump table entry into an instruction", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 76, "01", 0},
    {"JAR v2: six CODE entries", JAVM_E_LIMIT, JAVM_PVM_JAR, JAR_SIX, 0, "", 0},
    {"JAR v2: DATA of more pages than there are", JAVM_E_RANGE, JAVM_PVM_JAR, JAR, 54, "11", 0},
    {"JAR v2: DATA with more bytes than its pages", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 54, "00", 0},
    {"JAR v2: DATA past the address space", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 50, "ffff0f00", 0},
    {"JAR v2: DATA at page 2^32 - 1", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 50, "ffffffff", 0},
    {"JAR v2: DATA where code is to be invoked", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 9, "42", 0},
    {"JAR v2: nothing where code is to be invoked", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 9, "07", 0},
    {"JAR v2: code in the slot that UNTYPED takes", JAVM_E_FORMAT, JAVM_PVM_JAR, JAR, 9, "fefe", 0},
};
/* clang-format on */
const unsigned bad_container_count = sizeof bad_containers / sizeof *bad_containers;

const struct bad_container good_containers[] = {
    {"", JAVM_OK, JAVM_PVM_CODE_JAR1, JAR1, 0, "", 0},
    {"", JAVM_OK, JAVM_PVM_ANY, JAR1, 0, "", 0},
    {"", JAVM_OK, JAVM_PVM_CODE_GP, GP, 0, "", 0},
    {"", JAVM_OK, JAVM_PVM_SPI, SPI, 0, "", 0},
    {"", JAVM_OK, JAVM_PVM_ANY, SERVICE, 0, "", 0},
    {"", JAVM_OK, JAVM_PVM_ANY, POLKAVM, 0, "", 0},
    {"", JAVM_OK, JAVM_PVM_JAR, JAR, 0, "", 0},
};
const unsigned good_container_count = sizeof good_containers / sizeof *good_containers;

static struct blob make_polkavm(int base)
{
    static const char *const imports[] = {"read", "write", NULL};
    static const struct pvm_export exports[] = {{0, "main"}, {0x10, "helper"}, {0, NULL}};
    struct polkavm_source source = {.code = pvm_sample,
                                    .version = 3,
                                    .ro_size = 16,
                                    .rw_size = 300,
                                    .stack_size = 65536,
                                    .ro = (const uint8_t *)"hello",
                                    .ro_len = 5,
                                    .rw = (const uint8_t *)"\1\2\3",
                                    .rw_len = 3,
                                    .imports = imports,
                                    .exports = exports};
    if (base == POLKAVM_HUGE)
        source.ro_size = source.rw_size = 0x80000000;
    if (base == POLKAVM_ODD)
        source.code.code_len = 23;
    return polkavm_make(&source);
}

static struct blob make_jar(int base)
{
    static const struct jar_source_entry entries[] = {
        {64, 0, 0, 0, 0, 0, 40},
        {65, 0, 0, 0, 0, 0, 40},
        {66, 1, 0x20, 2, 1, 40, 5},
    };
    static const struct jar_source_entry six[6] = {
        {64, 0, 0, 0, 0, 0, 40}, {65, 0, 0, 0, 0, 0, 40}, {66, 0, 0, 0, 0, 0, 40},
        {67, 0, 0, 0, 0, 0, 40}, {68, 0, 0, 0, 0, 0, 40}, {69, 0, 0, 0, 0, 0, 40},
    };
    struct blob data = {0};
    blob_code(&data, &pvm_sample, false);
    blob_put(&data, "hello", 5);
    const struct blob blob = base == JAR ? jar_make(16, 64, entries, 3, data.bytes, data.len)
                                         : jar_make(16, 64, six, 6, data.bytes, data.len);
    blob_free(&data);
    return blob;
}

static struct blob make_base(int base)
{
    const struct spi_source spi = {.code = pvm_sample,
                                   .metadata = base == SERVICE ? "meta!" : NULL,
                                   .metadata_len = 5,
                                   .ro = (const uint8_t *)"hello",
                                   .rw = (const uint8_t *)"\1\2\3",
                                   .ro_len = 5,
                                   .rw_len = 3,
                                   .heap_pages = 2,
                                   .stack = 4097};
    struct blob blob = {0};
    switch (base) {
    case JAR1:
    case GP:
        blob_code(&blob, &pvm_sample, base == GP);
        return blob;
    case SPI:
    case SERVICE:
        return spi_make(&spi);
    case JAR:
    case JAR_SIX:
        return make_jar(base);
    case TEXT:
        blob_put(&blob, "This is a text, and no program.\n", 32);
        return blob;
    default:
        return make_polkavm(base);
    }
}

struct blob bad_container_make(const struct bad_container *bad)
{
    struct blob blob = make_base(bad->base);
    const size_t patch = strlen(bad->hex) / 2;
    REQUIRE(bad->at + patch <= blob.len);
    for (size_t i = 0; i < patch; i++) {
        unsigned byte = 0;
        REQUIRE(sscanf(bad->hex + 2 * i, "%2x", &byte) == 1);
        blob.bytes[bad->at + i] = (uint8_t)byte;
    }
    while (bad->len > blob.len)
        blob_le(&blob, 0, 1);
    if (bad->len > 0)
        blob.len = bad->len;
    return blob;
}

enum javm_status bad_container_load(const struct bad_container *bad, const uint8_t *bytes,
                                    size_t len, struct javm_error *err)
{
    struct javm_pvm_program program;
    struct javm_jar jar;
    enum javm_status status;
    if (bad->as == JAVM_PVM_JAR) {
        status = javm_jar_load(bytes, len, &jar, err);
        REQUIRE(jar.owned == NULL && jar.entries == NULL && jar.entry_count == 0);
    } else {
        status = javm_pvm_load(bytes, len, bad->as, &program, err);
        REQUIRE(program.owned == NULL && program.imports == NULL && program.exports == NULL);
    }
    return status;
}
