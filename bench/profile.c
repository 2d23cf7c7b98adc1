/* javm-profile IMAGES...: runs every guest of these folders with counters and prints "G", its name
 * and how many instructions it executed, then its blocks, one a line: "B", the share of those that
 * it had, and the handlers in order (operation/variant). groups.py reads this. */
#include "vm/profile.h"

#include <stdio.h>
#include <stdlib.h>

#include "guest/native/guest_vm.h"
#include "vm/ir.h"

static const struct javm_program *program;
static uint64_t *counts;

uint64_t *profile_counts(const struct javm_program *p)
{
    if (p != program) {
        program = p;
        counts = calloc(p->count, sizeof *counts);
        if (counts == NULL)
            abort();
    }
    return counts;
}

static void print_blocks(const char *name)
{
    double total = 0;
    for (uint32_t i = 0; i < program->count; i++)
        total += (double)counts[i];
    printf("G %s %.0f\n", name, total);
    for (uint32_t b = 0; b < program->block_count; b++) {
        const uint32_t first = program->blocks[b].header + 1;
        if (counts[first] == 0)
            continue;
        printf("B %.9f", (double)counts[first] / total);
        for (uint32_t i = first; program->insns[i].op != IR_BLOCK && i < program->count; i++) {
            const uint16_t run = program->insns[i].run;
            const unsigned variant = run / IR_OP_COUNT;
            printf(" %s/%c", ir_op_names[program->insns[i].op],
                   variant < 5 ? "NABMC"[variant] : 'X');
        }
        printf("\n");
    }
}

static bool profile(const char *folder)
{
    struct guest_vm *vm = guest_vm_open(folder, NULL);
    if (vm == NULL)
        return false;
    for (size_t i = 0; i < guest_native_count; i++) {
        struct javm_call_result result;
        struct javm_error err = {.text = ""};
        if (guest_vm_invoke(vm, i, guest_natives[i].bench, UINT64_MAX / 2, NULL, &result, &err) !=
            JAVM_OK) {
            fprintf(stderr, "%s: %s\n", guest_natives[i].name, err.text);
            return false;
        }
        print_blocks(guest_natives[i].name);
    }
    guest_vm_close(vm);
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: javm-profile IMAGES...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++)
        if (!profile(argv[i]))
            return 1;
    return 0;
}
