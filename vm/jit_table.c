/* Tables of natives, from guest code to native code. Each takes twice the space of its code, most
 * of it never touched in a program that runs once: so it is memory that the system clears page by
 * page when it is used first. That costs more than compiling the page's code does, so that tables
 * that are not used any more are kept for the next native; whoever gives one back has cleared it.
 */
#include <stdlib.h>

#include "vm/kvm/machine.h"

#define SMALLEST 10u /* bits: 2 KiB of code, a page of table; below that nothing is kept */

static unsigned bits_of(uint64_t code_len)
{
    const uint64_t halfwords = code_len / 2;
    return halfwords <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(halfwords - 1);
}

/* One for each halfword of the largest code of the same size, and one for its end. */
uint64_t jit_table_entries(uint64_t code_len)
{
    return (UINT64_C(1) << bits_of(code_len)) + 1;
}

static size_t table_bytes(uint64_t code_len)
{
    return jit_table_entries(code_len) * sizeof *(jit_table)0;
}

void *jit_alloc(struct javm_jit *jit, size_t bytes)
{
    return jit->machine == NULL ? calloc(1, bytes) : machine_alloc(jit->machine, bytes);
}

void jit_free(struct javm_jit *jit, void *at, size_t bytes)
{
    if (jit->machine == NULL)
        free(at);
    else
        machine_free(jit->machine, at, bytes);
}

/* Where tables of this size are kept, JIT_TABLE_SIZES: nowhere. */
static unsigned shelf_of(uint64_t code_len)
{
    const unsigned bits = bits_of(code_len);
    return bits >= SMALLEST && bits - SMALLEST < JIT_TABLE_SIZES ? bits - SMALLEST
                                                                 : JIT_TABLE_SIZES;
}

jit_table jit_table_take(struct javm_jit *jit, uint64_t code_len)
{
    const unsigned shelf = shelf_of(code_len);
    for (unsigned i = 0; i < JIT_IDLE_TABLES && shelf < JIT_TABLE_SIZES; i++) {
        /* Acquire: pairs with the exchange that put it there, after it was cleared. */
        jit_table table =
            atomic_exchange_explicit(&jit->tables[shelf][i], NULL, memory_order_acquire);
        if (table != NULL)
            return table;
    }
    return jit_alloc(jit, table_bytes(code_len));
}

void jit_table_put(struct javm_jit *jit, jit_table table, uint64_t code_len)
{
    const unsigned shelf = shelf_of(code_len);
    for (unsigned i = 0; i < JIT_IDLE_TABLES && shelf < JIT_TABLE_SIZES && table != NULL; i++) {
        jit_table none = NULL;
        /* Release: its next user acquires. */
        if (atomic_compare_exchange_strong_explicit(&jit->tables[shelf][i], &none, table,
                                                    memory_order_release, memory_order_relaxed))
            return;
    }
    jit_free(jit, (void *)table, table_bytes(code_len));
}

void jit_free_tables(struct javm_jit *jit)
{
    for (unsigned size = 0; size < JIT_TABLE_SIZES; size++)
        for (unsigned i = 0; i < JIT_IDLE_TABLES; i++)
            jit_free(
                jit,
                (void *)atomic_exchange_explicit(&jit->tables[size][i], NULL, memory_order_acquire),
                table_bytes(UINT64_C(2) << (size + SMALLEST)));
}
