/* Any bytes as a JAR v2 blob. */
#include "tests/fuzz/container_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entries(const struct javm_jar *jar)
{
    uint64_t pages = 0, codes = 0;
    for (uint32_t i = 0; i < jar->entry_count; i++) {
        const struct javm_jar_entry *entry = &jar->entries[i];
        REQUIRE(all_read(entry->data, entry->data_len));
        if (entry->is_code) {
            REQUIRE(entry->code == codes++);
            continue;
        }
        REQUIRE(entry->backing_offset == pages);
        REQUIRE((uint64_t)entry->first_page + entry->page_count <= 1u << 20);
        REQUIRE(entry->data_len <= (uint64_t)entry->page_count * 4096);
        pages += entry->page_count;
    }
    REQUIRE(pages == jar->data_pages && pages <= jar->memory_pages && codes == jar->code_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct javm_jar jar;
    struct javm_error err = {.where = JAVM_NOWHERE};
    const enum javm_status status = javm_jar_load(data, size, &jar, &err);
    if (status != JAVM_OK) {
        REQUIRE(jar.owned == NULL && jar.entries == NULL && jar.code_count == 0);
        check_error(&err, status, size);
        return 0;
    }
    REQUIRE(jar.code_count > 0 && jar.code_count <= JAVM_JAR_MAX_CODES &&
            jar.invoke_code < jar.code_count);
    for (unsigned i = 0; i < jar.code_count; i++)
        check_code(&jar.codes[i]);
    check_entries(&jar);
    javm_jar_clear(&jar);
    return 0;
}
