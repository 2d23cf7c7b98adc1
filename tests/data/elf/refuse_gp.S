    .section .text._start, "ax"
    .globl _start
_start:
    li a0, 1
    addi gp, a0, 3
    .insn i 0x0b, 2, x0, x0, 0
