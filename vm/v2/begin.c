/* The state that an invocation begins with (JAR v2 5). */
#include <string.h>

#include "vm/v2/v2.h"

#define PAGE_CHARGE 1500u
#define PROTOCOLS   28u

static const struct javm_jar_entry *args_entry(const struct javm_v2_blob *blob)
{
    for (uint32_t i = 0; i < blob->data_count; i++)
        if (blob->data[i]->slot == 0)
            return blob->data[i];
    return NULL;
}

/* What only the invocation can be refused for, in the order in which it would come to it. */
static enum javm_v2_reject check(const struct javm_v2 *v2, const struct javm_v2_blob *blob,
                                 const struct javm_v2_invocation *invocation)
{
    const struct javm_jar_entry *args = args_entry(blob);
    if (blob->jar.memory_pages > v2->max_memory_pages)
        return JAVM_V2_REJECT_MEMORY_ERROR;
    if (invocation->gas < (uint64_t)PAGE_CHARGE * blob->jar.data_pages)
        return JAVM_V2_REJECT_OUT_OF_GAS;
    if (args != NULL && invocation->args_len > (uint64_t)args->page_count << JAVM_PAGE_SHIFT)
        return JAVM_V2_REJECT_INVALID_ARGS;
    return JAVM_V2_ACCEPTED;
}

static void put(struct javm_v2 *v2, uint8_t slot, struct v2_cap cap)
{
    v2_put(v2, (struct v2_place){0, slot}, &cap);
}

static void put_entry(struct javm_v2 *v2, const struct javm_jar_entry *e)
{
    const struct v2_place at = {0, e->slot};
    if (e->is_code) {
        put(v2, e->slot, (struct v2_cap){.type = CAP_CODE, .id = e->code});
        return;
    }
    put(v2, e->slot,
        (struct v2_cap){.type = CAP_DATA,
                        .has = true,
                        .fixed = true,
                        .writable = e->writable,
                        .id = e->first_page,
                        .offset = e->backing_offset,
                        .pages = e->page_count});
    if (!v2->nomem)
        v2_map(v2, 0, v2_cap_at(v2, at), 0, e->page_count);
}

static void put_args(struct javm_v2 *v2, const struct javm_jar_entry *e, const uint8_t *args,
                     uint64_t len)
{
    for (uint32_t i = 0; len != 0; i++) {
        const size_t part = len < JAVM_PAGE_SIZE ? (size_t)len : JAVM_PAGE_SIZE;
        memcpy(v2_present(v2, e->backing_offset + i), args, part);
        args += part;
        len -= part;
    }
}

enum javm_v2_reject v2_begin(struct javm_v2 *v2, struct javm_v2_blob *blob,
                             const struct javm_v2_invocation *invocation)
{
    const struct javm_jar_entry *args = args_entry(blob);
    v2_windows_begin(v2);
    v2_no_vms(v2);
    v2->active = V2_NOBODY;
    v2->result = (struct javm_v2_result){.end = JAVM_V2_END_REJECTED};
    v2->over = false;
    if (v2->blob != blob) {
        javm_v2_blob_release(v2->blob);
        v2->blob = javm_v2_blob_retain(blob);
        memset((void *)v2->programs, 0, sizeof v2->programs);
    }
    v2->result.reject = check(v2, blob, invocation);
    if (v2->result.reject != JAVM_V2_ACCEPTED)
        return v2->result.reject;
    v2->nomem = !v2_store_begin(&v2->store, blob->jar.memory_pages, blob->jar.data_pages) ||
                v2_new_vm(v2, blob->jar.invoke_code) == V2_NOBODY;
    if (v2->nomem)
        return JAVM_V2_ACCEPTED;
    for (uint8_t i = 1; i <= PROTOCOLS; i++)
        put(v2, i, (struct v2_cap){.type = CAP_PROTOCOL, .id = i});
    for (uint32_t i = 0; i < blob->entry_count; i++)
        put_entry(v2, blob->entries[i]);
    if (blob->jar.memory_pages != 0)
        put(v2, V2_UNTYPED_SLOT, (struct v2_cap){.type = CAP_UNTYPED});
    if (args != NULL)
        put_args(v2, args, invocation->args, invocation->args_len);
    struct v2_vm *first = &v2->vms[0];
    v2->charged = (uint64_t)PAGE_CHARGE * blob->jar.data_pages;
    first->gas = invocation->gas - v2->charged;
    first->regs[7] = invocation->op;
    first->regs[8] = args != NULL ? (uint64_t)args->first_page << JAVM_PAGE_SHIFT : 0;
    first->regs[9] = invocation->args_len;
    v2->exact = v2->engine == JAVM_ENGINE_JIT && blob->may_ask_dirty;
    v2_activate(v2, 0);
    return JAVM_V2_ACCEPTED;
}
