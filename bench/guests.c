/* Rows for every guest: natively and in the interpreter; and a fresh invocation of nop, all in. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/bench_sched.h"
#include "guest/native/guest_vm.h"

struct row {
    const struct guest_native *guest;
    struct guest_vm *vm;
    size_t index;
};

static uint8_t scratch[65536];
static volatile uint64_t keep; /* results go here, so that no call is optimised away */

static void run_native(void *context)
{
    const struct row *row = context;
    keep = guest_native_run(row->guest, row->guest->bench, scratch);
}

static void run_interp(void *context)
{
    const struct row *row = context;
    struct javm_call_result result;
    struct javm_error err = {.text = ""};
    if (guest_vm_invoke(row->vm, row->index, row->guest->bench, UINT64_MAX / 2, NULL, &result,
                        &err) != JAVM_OK ||
        result.end != JAVM_END_HALT) {
        fprintf(stderr, "%s: %s\n", row->guest->name, err.text);
        abort();
    }
    keep = result.value;
}

const struct bench *bench_table(const char *images, size_t *count)
{
    struct guest_vm *vm = guest_vm_open(images);
    const size_t n = guest_native_count;
    struct bench *table = calloc(2 * n + BENCH_SCHED_ROWS, sizeof *table);
    struct row *rows = calloc(n, sizeof *rows);
    if (vm == NULL || table == NULL || rows == NULL)
        return NULL;
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct guest_native *guest = &guest_natives[i];
        rows[i] = (struct row){guest, vm, i};
        /* nop natively is a return; its interesting number is the invocation by itself. */
        const int is_nop = i == 0;
        for (int interp = is_nop; interp < 2; interp++) {
            struct bench *b = &table[(*count)++];
            snprintf(b->name, sizeof b->name, "%s", guest->name);
            b->group = is_nop ? "fresh invocation of" : interp ? "interp" : "native";
            b->run = interp ? run_interp : run_native;
            b->context = &rows[i];
        }
    }
    bench_sched_rows(&table[*count]);
    *count += BENCH_SCHED_ROWS;
    return table;
}
