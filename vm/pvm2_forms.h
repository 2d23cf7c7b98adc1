/* How the encodings of PVM2 sort into forms, for the tables of those who know most instructions
 * without decoding them (pvm2_scan.c, pvm2_fast.h). */
#ifndef JAVM_VM_PVM2_FORMS_H
#define JAVM_VM_PVM2_FORMS_H

#include <stdint.h>

/* Quadrant and [15:13] of a halfword: 0..23. */
#define FORM16(quadrant, top) ((quadrant) << 3 | (top))
static inline unsigned form16(uint32_t half)
{
    return (half & 3) << 3 | (half >> 13 & 7);
}

/* Opcode and funct3 of a word: 0..255. */
#define FORM32(opcode, funct3) ((opcode) >> 2 << 3 | (funct3))
static inline unsigned form32(uint32_t word)
{
    return (word << 1 & 0xF8) | (word >> 12 & 7);
}

/* A table's entries of an opcode whose immediate reaches into funct3. */
/* clang-format off */
#define ALL_FUNCT3(opcode, row) \
    [FORM32(opcode, 0)] = row, [FORM32(opcode, 1)] = row, [FORM32(opcode, 2)] = row, \
    [FORM32(opcode, 3)] = row, [FORM32(opcode, 4)] = row, [FORM32(opcode, 5)] = row, \
    [FORM32(opcode, 6)] = row, [FORM32(opcode, 7)] = row

/* clang-format on */

/* The values of [31:25] that tell instructions of one form apart, numbered; 0: any other. */
#define FUNCTS(X) \
    X(00) X(01) X(04) X(05) X(07) X(10) X(14) X(15) X(20) X(21) X(24) X(25) X(30) X(31) X(34) X(35)
enum {
    FUNCT_OTHER,
#define X(value) F##value,
    FUNCTS(X)
#undef X
        FUNCT_COUNT
};
static const uint8_t functs[128] = {
#define X(value) [0x##value] = F##value,
    FUNCTS(X)
#undef X
};

#endif
