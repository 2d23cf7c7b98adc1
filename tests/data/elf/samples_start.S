/* An endpoint for each sample: call it, reply with what it returned. */
#define REPLY .insn i 0x0b, 2, x0, x0, 0

    .section .text._start, "ax"
    .globl _start
_start:
    call sample_sieve
    REPLY

    .macro endpoint index, name
    .section .text.endpoint_\name, "ax"
endpoint_\name:
    call sample_\name
    REPLY
    .section .javm.endpoints, "a"
    .quad endpoint_\name
    .word \index, 1
    .endm

    endpoint 0, sieve
    endpoint 1, blake2b
    endpoint 2, switch
    endpoint 3, pointers
    endpoint 4, labels
    endpoint 5, branchy
    endpoint 6, sort
    endpoint 7, wide
