# Endpoint 0 of a program that declares no endpoints: guest_main's arguments are there already, its result is in
# a0 = phi[7], and operation 0 is REPLY.
    .section .text._start, "ax", @progbits
    .globl _start
    .type _start, @function
_start:
    call guest_main
    .insn i 0x0b, 2, x0, x0, 0
    .size _start, . - _start
