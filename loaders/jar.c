/* JAR v2 blobs (JAR v2 4). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "loaders/container.h"

enum { HEADER = 10, ENTRY = 19, MIN_CODE = 9, UNTYPED_SLOT = 254, SLOTS = 256 };
enum { AT_TYPE = 1, AT_BASE = 2, AT_PAGES = 6, AT_ACCESS = 10, AT_OFFSET = 11, AT_LEN = 15 };

#define PAGE      UINT64_C(4096)
#define MAX_PAGES (UINT64_C(1) << 20)

struct jar_reader {
    struct field_reader r;
    struct javm_jar *jar;
    size_t data; /* offset of the data section */
    struct code_parts parts[JAVM_JAR_MAX_CODES];
    char prefix[48];
};

static const uint8_t *entry_bytes(const struct jar_reader *j, uint32_t i)
{
    return j->r.in.bytes + HEADER + (size_t)ENTRY * i;
}

static size_t entry_at(uint32_t i, unsigned field)
{
    return HEADER + (size_t)ENTRY * i + field;
}

static void name_entry(struct jar_reader *j, uint32_t i)
{
    const uint8_t *e = entry_bytes(j, i);
    snprintf(j->prefix, sizeof j->prefix, "entry %" PRIu32 " (%s, slot %u): ", i,
             e[AT_TYPE] == 0   ? "CODE"
             : e[AT_TYPE] == 1 ? "DATA"
                               : "?",
             e[0]);
    j->r.prefix = j->prefix;
}

/* ---- header and manifest: checks 1 to 3 --------------------------------------------------- */

static void read_header(struct jar_reader *j)
{
    struct field_reader *r = &j->r;
    if (javm_pvm_sniff(r->in.bytes, r->in.len) != JAVM_PVM_JAR)
        field_bad(r, JAVM_E_FORMAT, "magic", 0, "4a 41 52 02 is expected");
    field_fixed(r, 4, "magic");
    j->jar->memory_pages = (uint32_t)field_fixed(r, 4, "memory_pages");
    const size_t at = r->in.at;
    j->jar->entry_count = (uint32_t)field_fixed(r, 1, "cap_count");
    j->jar->invoke_slot = (uint8_t)field_fixed(r, 1, "invoke_cap");
    field_take(r, (uint64_t)ENTRY * j->jar->entry_count, "manifest", "cap_count", at);
    j->data = r->in.at;
}

static void check_entry(struct jar_reader *j, uint32_t i)
{
    struct field_reader *r = &j->r;
    const uint8_t *e = entry_bytes(j, i);
    const uint64_t offset = get_u32(e + AT_OFFSET), len = get_u32(e + AT_LEN);
    const size_t room = r->in.len - j->data;
    name_entry(j, i);
    if (e[AT_TYPE] > 1)
        field_bad(r, JAVM_E_FORMAT, "cap_type", entry_at(i, AT_TYPE),
                  "%u where 0 (CODE) or 1 (DATA) is expected", e[AT_TYPE]);
    if (e[AT_ACCESS] > 1)
        field_bad(r, JAVM_E_FORMAT, "init_access", entry_at(i, AT_ACCESS),
                  "%u where 0 (RO) or 1 (RW) is expected", e[AT_ACCESS]);
    if (len > 0 && offset + len > room)
        field_bad(r, JAVM_E_FORMAT, "data_len", entry_at(i, AT_LEN),
                  "%" PRIu64 " bytes from %" PRIu64 " on, the data section has %zu", len, offset,
                  room);
}

/* ---- entries: checks 4 to 9 --------------------------------------------------------------- */

static void read_code(struct jar_reader *j, uint32_t i, struct javm_jar_entry *entry)
{
    struct field_reader *r = &j->r;
    const uint8_t *e = entry_bytes(j, i);
    if (j->jar->code_count == JAVM_JAR_MAX_CODES) {
        field_bad(r, JAVM_E_LIMIT, "cap_type", entry_at(i, AT_TYPE),
                  "a CODE entry too many, at most %d are allowed", JAVM_JAR_MAX_CODES);
        return;
    }
    if (entry->data_len < MIN_CODE) {
        field_bad(r, JAVM_E_FORMAT, "data_len", entry_at(i, AT_LEN),
                  "%" PRIu32 " where a code blob of at least %d bytes is expected", entry->data_len,
                  MIN_CODE);
        return;
    }
    struct field_reader code = *r;
    code.in.at = j->data + get_u32(e + AT_OFFSET);
    code.in.len = code.in.at + entry->data_len;
    struct code_parts *parts = &j->parts[j->jar->code_count];
    code_read(&code, CODE_FIXED, parts);
    code_validate(&code, parts);
    r->error = code.error;
    entry->code = (uint8_t)j->jar->code_count++;
}

static void read_data(struct jar_reader *j, uint32_t i, struct javm_jar_entry *entry)
{
    struct field_reader *r = &j->r;
    const uint8_t *e = entry_bytes(j, i);
    struct javm_jar *jar = j->jar;
    entry->first_page = get_u32(e + AT_BASE);
    entry->page_count = get_u32(e + AT_PAGES);
    entry->writable = e[AT_ACCESS] == 1;
    entry->backing_offset = jar->data_pages;
    if (entry->page_count > jar->memory_pages - jar->data_pages)
        field_bad(r, JAVM_E_RANGE, "page_count", entry_at(i, AT_PAGES),
                  "%" PRIu32 " pages, %" PRIu32 " of the blob's %" PRIu32 " are left",
                  entry->page_count, jar->memory_pages - jar->data_pages, jar->memory_pages);
    else if (entry->data_len > entry->page_count * PAGE)
        field_bad(r, JAVM_E_FORMAT, "data_len", entry_at(i, AT_LEN),
                  "%" PRIu32 " bytes in %" PRIu32 " pages", entry->data_len, entry->page_count);
    else if ((uint64_t)entry->first_page + entry->page_count > MAX_PAGES)
        field_bad(r, JAVM_E_FORMAT, "base_page", entry_at(i, AT_BASE),
                  "%" PRIu32 " and %" PRIu32 " pages end past page 2^20", entry->first_page,
                  entry->page_count);
    else
        jar->data_pages += entry->page_count;
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* Check 10. */
static void find_invoked(struct jar_reader *j)
{
    const struct javm_jar_entry *in_slot = NULL;
    struct javm_jar *jar = j->jar;
    for (uint32_t i = 0; i < jar->entry_count; i++)
        if (jar->entries[i].slot == jar->invoke_slot)
            in_slot = &jar->entries[i];
    const bool untyped = jar->invoke_slot == UNTYPED_SLOT && jar->memory_pages > 0;
    j->r.prefix = "";
    if (untyped || in_slot == NULL || !in_slot->is_code)
        field_bad(&j->r, JAVM_E_FORMAT, "invoke_cap", 9, "slot %u holds %s, a CODE cap is expected",
                  jar->invoke_slot,
                  untyped           ? "UNTYPED"
                  : in_slot != NULL ? "a DATA cap"
                                    : "nothing that the manifest puts there");
    else
        jar->invoke_code = in_slot->code;
}

static void read_all(struct jar_reader *j)
{
    struct field_reader *r = &j->r;
    struct javm_jar *jar = j->jar;
    read_header(j);
    for (uint32_t i = 0; i < jar->entry_count && r->error.status == JAVM_OK; i++)
        check_entry(j, i);
    if (r->error.status != JAVM_OK)
        return;
    jar->entries = calloc((size_t)jar->entry_count + 1, sizeof *jar->entries);
    if (jar->entries == NULL) {
        field_bad(r, JAVM_E_NOMEM, "cap_count", 8, "no memory for %" PRIu32 " entries",
                  jar->entry_count);
        return;
    }
    for (uint32_t i = 0; i < jar->entry_count && r->error.status == JAVM_OK; i++) {
        const uint8_t *e = entry_bytes(j, i);
        struct javm_jar_entry *entry = &jar->entries[i];
        entry->slot = e[0];
        entry->is_code = e[AT_TYPE] == 0;
        entry->data_len = get_u32(e + AT_LEN);
        /* an offset says something only when bytes follow it */
        entry->data = r->in.bytes + j->data + (entry->data_len > 0 ? get_u32(e + AT_OFFSET) : 0);
        name_entry(j, i);
        if (entry->is_code)
            read_code(j, i, entry);
        else
            read_data(j, i, entry);
    }
    if (r->error.status == JAVM_OK)
        find_invoked(j);
}

/* Payloads may overlap, so the data section is kept as it is; codes are few. */
static bool own(struct jar_reader *j)
{
    struct javm_jar *jar = j->jar;
    const uint8_t *bytes = j->r.in.bytes;
    const size_t data_len = j->r.in.len - j->data;
    uint8_t *rest;
    for (unsigned i = 0; i < jar->code_count; i++) {
        jar->codes[i].profile = JAVM_PVM_JAR1;
        jar->codes[i].features = JAVM_PVM_UNLIKELY | JAVM_PVM_ECALL;
        jar->owned_code[i] = code_own(bytes, &j->parts[i], NULL, 0, &jar->codes[i], &rest);
        if (jar->owned_code[i] == NULL)
            return false;
    }
    jar->owned = malloc(data_len + 1);
    if (jar->owned == NULL)
        return false;
    if (data_len > 0)
        memcpy(jar->owned, bytes + j->data, data_len);
    for (uint32_t i = 0; i < jar->entry_count; i++)
        jar->entries[i].data = jar->owned + (jar->entries[i].data - (bytes + j->data));
    return true;
}

void javm_jar_clear(struct javm_jar *jar)
{
    for (unsigned i = 0; i < JAVM_JAR_MAX_CODES; i++)
        free(jar->owned_code[i]);
    free(jar->entries);
    free(jar->owned);
    *jar = (struct javm_jar){0};
}

enum javm_status javm_jar_load(const uint8_t *bytes, size_t len, struct javm_jar *jar,
                               struct javm_error *err)
{
    struct jar_reader j = {.r = {.in = {bytes, len, 0, true}, .prefix = ""}, .jar = jar};
    *jar = (struct javm_jar){0};
    read_all(&j);
    if (j.r.error.status == JAVM_OK && !own(&j))
        javm_fail(&j.r.error, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory for a blob of %zu bytes", len);
    if (j.r.error.status == JAVM_OK)
        return JAVM_OK;
    javm_jar_clear(jar);
    if (err != NULL)
        *err = j.r.error;
    return j.r.error.status;
}
