/* One auipc whose low part is used twice, the low part of a store, and an endpoint that is reached by falling in. */
    .section .text._start, "ax"
    .globl _start
_start:
    li a2, 5
.Lagain:
    addi a2, a2, -1
    bnez a2, .Lagain
.Lhigh:
    auipc a1, %pcrel_hi(counter)
    ld a3, %pcrel_lo(.Lhigh)(a1)
    addi a3, a3, 37
    sd a3, %pcrel_lo(.Lhigh)(a1)
.Lother:
    auipc a4, %pcrel_hi(table)
    addi a4, a4, %pcrel_lo(.Lother)
    ld a4, 8(a4)
    jr a4
first:
    li a0, 1
    j done
second:
    add a0, a0, a3
    /* falls into done, which is jumped to as well */
done:
    .insn i 0x0b, 2, x0, x0, 0

    .section .rodata.table, "a"
    .balign 8
table:
    .quad first, second

    .section .data.counter, "aw"
    .balign 8
counter:
    .quad 5
