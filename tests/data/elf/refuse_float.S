    .section .text._start, "ax"
    .globl _start
    .option arch, +f
_start:
    li a0, 1
    fadd.s fa0, fa0, fa1
    .insn i 0x0b, 2, x0, x0, 0
