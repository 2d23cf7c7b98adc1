/* PVM's opcodes, for who takes instructions apart and who puts them together. */
#ifndef JAVM_VM_PVM_ROWS_H
#define JAVM_VM_PVM_ROWS_H

#include <stdbool.h>
#include <stdint.h>

/* Formats, by what lowering has to do. */
enum pvm_format {
    NOTHING,   /* no operands */
    HOST,      /* ecalli: X unsigned */
    RX,        /* register, 8 bytes */
    STORE_II,  /* mem[X] := Y */
    OFFSET,    /* T */
    RI,        /* A, X */
    LOAD_AT,   /* A := mem[X] */
    STORE_AT,  /* mem[X] := A */
    STORE_RII, /* mem[A + X] := Y */
    RIO,       /* A, X, T */
    JUMP_IND,  /* djump(A + X) */
    RR,
    RRI,
    STORE_RRI, /* mem[B + X] := A */
    RRO,       /* A, B, T */
    RRII,
    RRR
};

struct pvm_row {
    uint8_t format, op;
    uint8_t cycles, slots, less, sources;
    bool writes_a; /* as gas counts */
    bool valid, executes, terminator, store;
};

extern const struct pvm_row pvm_rows[256]; /* by opcode, of jar1 (lower_pvm.c) */

#endif
