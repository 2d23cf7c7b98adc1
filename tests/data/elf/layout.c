/* What the image makes of sections: constants, data, zeros, a heap, a mapping of slot 0, and where
 * all that is. */
#include <stdint.h>

struct mapping {
    uint64_t start, size;
    uint8_t depth, zero[7], path[8];
};
__attribute__((section(".javm.mappings"), used)) static const struct mapping scratch = {
    0x40000000, 0x2000, 1, {0}, {0}};
__attribute__((section(".javm.mappings"), used)) static const struct mapping nested = {
    0x50000000, 0x1000, 2, {0}, {7, 9}};

const uint64_t constant[3] = {11, 22, 33};
uint64_t variable = 44;
uint64_t zeros[1000];
uint64_t __javm_heap_start;
uint64_t __javm_heap_end = 1;

__attribute__((noinline)) uint64_t guest_main(uint64_t which, uint64_t at)
{
    switch (which) {
    case 0:
        return constant[at];
    case 1:
        return variable;
    case 2:
        return zeros[at];
    case 3:
        return __javm_heap_start;
    case 4:
        return __javm_heap_end;
    case 5:
        return *(volatile uint64_t *)at;
    default:
        return *(volatile uint64_t *)at = which;
    }
}

__asm__(".section .text._start, \"ax\"\n"
        ".globl _start\n"
        "_start: call guest_main\n"
        ".insn i 0x0b, 2, x0, x0, 0\n");
