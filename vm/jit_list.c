/* Compiled code as a list, for people and tools. */
#include <stdlib.h>

#include "vm/jit_compile.h"

enum javm_status javm_native_compile(struct javm_native *n, struct javm_error *err)
{
    struct jit_compiler *compiler = jit_compiler_take(n->jit);
    if (compiler == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "recompiler: out of memory");
    enum javm_status status = JAVM_OK;
    pthread_mutex_lock(&n->lock);
    uint64_t pc = 0;
    while (status == JAVM_OK && (pc = jit_next_start(n, pc)) != UINT64_MAX) {
        if (atomic_load_explicit(jit_place(n, pc), memory_order_relaxed) != 0) {
            pc += UINT64_C(1) << n->front.shift;
            continue;
        }
        struct jit_region *region = jit_compile(compiler, n, (uint32_t)pc);
        if (region == NULL) {
            status =
                javm_fail(err, JAVM_E_LIMIT, pc, "recompiler: no room for the code at offset %llu",
                          (unsigned long long)pc);
            break;
        }
        pc = region->pc_end;
        jit_publish(n, region);
    }
    pthread_mutex_unlock(&n->lock);
    jit_compiler_put(n->jit, compiler);
    return status;
}

static int by_place(const void *a, const void *b)
{
    const struct jit_region *x = *(const struct jit_region *const *)a;
    const struct jit_region *y = *(const struct jit_region *const *)b;
    return (x->code_at > y->code_at) - (x->code_at < y->code_at);
}

static void each_block(const struct javm_native *n, const struct jit_region *r,
                       void (*visit)(void *context, const struct javm_native_block *block),
                       void *context)
{
    const uint8_t *code = n->jit->arena->executable + r->code_at;
    for (uint32_t i = 0; i < r->block_count; i++) {
        const bool last = i + 1 == r->block_count, entry = i >= r->block_count - r->entry_count;
        const bool ends = entry || i + 1 == r->block_count - r->entry_count;
        const struct javm_native_block block = {
            .pc = r->blocks[i].pc,
            .pc_len = entry ? 0 : (ends ? r->pc_end : r->blocks[i + 1].pc) - r->blocks[i].pc,
            .code = code + r->blocks[i].native,
            .code_len = (last ? r->stubs_at : r->blocks[i + 1].native) - r->blocks[i].native};
        visit(context, &block);
    }
}

void javm_native_each(struct javm_native *n,
                      void (*visit)(void *context, const struct javm_native_block *block),
                      void *context)
{
    pthread_mutex_lock(&n->lock);
    const struct jit_region **all = malloc((n->region_count + 1) * sizeof *all);
    size_t count = 0;
    if (all != NULL) {
        for (const struct jit_region *r = n->regions; r != NULL; r = r->next)
            all[count++] = r;
        qsort(all, count, sizeof *all, by_place);
    }
    for (size_t i = 0; i < count; i++)
        each_block(n, all[i], visit, context);
    free(all);
    pthread_mutex_unlock(&n->lock);
}
