static __thread int counter = 3;
int guest_main(void);
int guest_main(void)
{
    return counter++;
}
__asm__(".section .text._start, \"ax\"\n.globl _start\n_start: call guest_main\n.insn i 0x0b, 2, "
        "x0, x0, 0\n");
