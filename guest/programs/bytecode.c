/* An interpreter in the guest: a small stack-less bytecode machine that runs the Collatz problem.
 * a0: finds the start below a0 (<= 2^20) with the longest sequence. Returns start << 32 | steps. */
#include "javm_guest.h"

enum { LOADI, MOV, ADD, ADDI, SHR1, ODD, TRIPLE, JNZ, JLT, JMP, HALT };

struct insn {
    uint8_t op, a, b;
    int8_t jump; /* relative to the next instruction */
    uint32_t imm;
};

/* r0 limit, r1 start, r2 n, r3 steps, r4 best steps, r5 best start, r6 scratch, r7 one */
/* clang-format off */
static const struct insn program[] = {
    {LOADI, 1, 0, 0, 1},  {LOADI, 4, 0, 0, 0},    {LOADI, 5, 0, 0, 0}, {LOADI, 7, 0, 0, 1},
    /* 4 next start */
    {JLT, 1, 0, 1, 0},    {HALT, 0, 0, 0, 0},     {MOV, 2, 1, 0, 0},   {LOADI, 3, 0, 0, 0},
    /* 8 step: until n = 1 */
    {JLT, 7, 2, 1, 0},    {JMP, 0, 0, 7, 0},      {ODD, 6, 2, 0, 0},   {JNZ, 6, 0, 2, 0},
    {SHR1, 2, 0, 0, 0},   {JMP, 0, 0, 1, 0},      {TRIPLE, 2, 0, 0, 0}, {ADDI, 3, 0, 0, 1},
    /* 16: falls in from the step, or arrives from n = 1 at 17 */
    {JMP, 0, 0, -9, 0},   {JLT, 4, 3, 1, 0},      {JMP, 0, 0, 2, 0},   {MOV, 4, 3, 0, 0},
    {MOV, 5, 1, 0, 0},    {ADDI, 1, 0, 0, 1},     {JMP, 0, 0, -19, 0}};
/* clang-format on */

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    (void)a1, (void)a2, (void)a3;
    uint64_t r[8] = {a0 > 1u << 20 ? 1u << 20 : a0};
    for (const struct insn *pc = program;;) {
        const struct insn i = *pc++;
        switch (i.op) {
        case LOADI:
            r[i.a] = i.imm;
            break;
        case MOV:
            r[i.a] = r[i.b];
            break;
        case ADD:
            r[i.a] += r[i.b];
            break;
        case ADDI:
            r[i.a] += i.imm;
            break;
        case SHR1:
            r[i.a] >>= 1;
            break;
        case ODD:
            r[i.a] = r[i.b] & 1;
            break;
        case TRIPLE:
            r[i.a] = 3 * r[i.a] + 1;
            break;
        case JNZ:
            if (r[i.a] != 0)
                pc += i.jump;
            break;
        case JLT:
            if (r[i.a] < r[i.b])
                pc += i.jump;
            break;
        case JMP:
            pc += i.jump;
            break;
        default:
            return r[5] << 32 | r[4];
        }
    }
}
