/* Blobs: loaded once, shared by all. */
#include <stdatomic.h>
#include <stdlib.h>

#include "vm/v2/bits.h"
#include "vm/v2/v2.h"

enum { OP_ECALL = 3, OP_LOAD_IMM_64 = 20, OP_LOAD_IMM = 51 };

/* A table has one cap in a slot: of entries for the same one the last stays, and UNTYPED takes its
 * own. */
static bool stays(const struct javm_jar *jar, uint32_t entry)
{
    const uint8_t slot = jar->entries[entry].slot;
    if (slot == V2_UNTYPED_SLOT && jar->memory_pages != 0)
        return false;
    for (uint32_t i = entry + 1; i < jar->entry_count; i++)
        if (jar->entries[i].slot == slot)
            return false;
    return true;
}

/* Where control may come from elsewhere than from the instruction before. NULL: NOMEM. */
static uint64_t *targets_of(const struct javm_pvm_code *code)
{
    uint64_t *targets = calloc((size_t)code->code_len / 64 + 1, sizeof *targets);
    for (uint32_t i = 0; i < code->jump_len && targets != NULL; i++)
        if (code->jump_table[i] < code->code_len)
            bit_set(targets, code->jump_table[i]);
    for (uint64_t pc = 0; pc < code->code_len && targets != NULL; pc++) {
        if (!javm_pvm_is_start(code, pc))
            continue;
        const struct javm_pvm_insn insn = javm_pvm_decode(code, pc);
        if (insn.target < code->code_len) /* 0 where there is none: that is an entry anyway */
            bit_set(targets, (uint32_t)insn.target);
    }
    return targets;
}

/* Is every ecall one whose operation, loaded into φ[11] before it in straight code, is not DIRTY?
 * When in doubt, it may be DIRTY. */
static bool may_ask_dirty(const struct javm_pvm_code *code)
{
    uint64_t *targets = targets_of(code);
    bool known = false, may = targets == NULL || !javm_pvm_is_start(code, 0);
    uint64_t next = UINT64_MAX, operation = 0;
    for (uint64_t pc = 0; pc < code->code_len && !may; pc++) {
        if (!javm_pvm_is_start(code, pc))
            continue;
        const struct javm_pvm_insn insn = javm_pvm_decode(code, pc);
        known = known && pc == next && !bit_get(targets, (uint32_t)pc);
        may = insn.op == OP_ECALL && (!known || operation == V2_DIRTY_OP);
        if ((insn.op == OP_LOAD_IMM || insn.op == OP_LOAD_IMM_64) && insn.a == 11) {
            known = true;
            operation = insn.x;
        } else if (insn.a == 11 || insn.b == 11 || insn.d == 11 || insn.terminator) {
            known = false;
        }
        next = insn.next;
    }
    free(targets);
    return may;
}

enum javm_status javm_v2_blob_load(const uint8_t *bytes, size_t len, struct javm_v2_blob **out,
                                   struct javm_error *err)
{
    static _Atomic uint64_t ids;
    struct javm_jar jar;
    const enum javm_status status = javm_jar_load(bytes, len, &jar, err);
    if (status != JAVM_OK)
        return status;
    struct javm_v2_blob *blob = calloc(1, sizeof *blob);
    const struct javm_jar_entry **entries =
        calloc(2 * (size_t)jar.entry_count + 1, sizeof *entries);
    if (blob == NULL || entries == NULL) {
        free(blob);
        free(entries);
        javm_jar_clear(&jar);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "JAR v2 blob: out of memory");
    }
    atomic_init(&blob->count, 1);
    blob->id = atomic_fetch_add_explicit(&ids, 1, memory_order_relaxed) + 1;
    blob->jar = jar;
    blob->bytes = len;
    blob->entries = entries;
    blob->data = entries + jar.entry_count;
    for (uint32_t i = 0; i < jar.entry_count; i++) {
        if (!stays(&jar, i))
            continue;
        entries[blob->entry_count++] = &blob->jar.entries[i];
        if (!jar.entries[i].is_code)
            blob->data[blob->data_count++] = &blob->jar.entries[i];
    }
    for (unsigned i = 0; i < jar.code_count; i++)
        blob->may_ask_dirty |= may_ask_dirty(&jar.codes[i]);
    *out = blob;
    return JAVM_OK;
}

struct javm_v2_blob *javm_v2_blob_retain(struct javm_v2_blob *blob)
{
    atomic_fetch_add_explicit(&blob->count, 1, memory_order_relaxed);
    return blob;
}

void javm_v2_blob_release(struct javm_v2_blob *blob)
{
    /* Release: what this thread read happens before another frees it; acquire: for that one. */
    if (blob == NULL || atomic_fetch_sub_explicit(&blob->count, 1, memory_order_acq_rel) != 1)
        return;
    javm_jar_clear(&blob->jar);
    free(blob->entries);
    free(blob);
}

const struct javm_jar *javm_v2_blob_jar(const struct javm_v2_blob *blob)
{
    return &blob->jar;
}

const uint8_t *v2_blob_page(const struct javm_v2_blob *blob, uint32_t page, size_t *len)
{
    uint32_t low = 0, high = blob->data_count;
    *len = 0;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const struct javm_jar_entry *e = blob->data[middle];
        if (page < e->backing_offset) {
            high = middle;
        } else if (page - e->backing_offset >= e->page_count) {
            low = middle + 1;
        } else {
            const uint64_t at = (uint64_t)(page - e->backing_offset) << JAVM_PAGE_SHIFT;
            if (at >= e->data_len)
                return NULL;
            *len = e->data_len - at < JAVM_PAGE_SIZE ? (size_t)(e->data_len - at) : JAVM_PAGE_SIZE;
            return e->data + at;
        }
    }
    return NULL;
}
