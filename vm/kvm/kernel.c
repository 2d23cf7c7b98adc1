/* The guest kernel: one handler for all exceptions of ring 3. It saves the registers, asks C by one
 * output instruction, and goes back with whatever it finds in the frame then. The way out of
 * generated code is an exception, too (ud2 at one known address), so that there is one way in for
 * all, and neither syscall nor software interrupts are enabled. */
#if defined(__x86_64__)
#include "vm/kvm/kvm.h"
#include "vm/x64.h"

#define HANDLER_BYTES 16u
#define GDT_AT        0u
#define TSS_DATA      0x100u
#define IDT_AT        0x200u

#define MAIL(member) \
    (int32_t)(sizeof(struct kernel_frame) + offsetof(struct kernel_mailbox, member))

/* Opcode, [rsp + disp32]: the mailbox lies above the frame. */
static void at_stack(struct x64 *e, bool w, unsigned op, unsigned reg, int32_t disp)
{
    if (w)
        x64_put(e, 0x48, 1);
    x64_put(e, op | (0x84u | reg << 3) << 8 | 0x240000u, 3);
    x64_put32(e, (uint32_t)disp);
}

/* cmp qword [rsp + disp], imm8 */
static void compare(struct x64 *e, int32_t disp, uint8_t imm)
{
    at_stack(e, true, 0x83, X64_CMP, disp);
    x64_put(e, imm, 1);
}

/* The processor pushes an error code for these. */
static bool has_error(unsigned vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 ||
           vector == 29 || vector == 30;
}

static void write_tables(uint8_t *page, uint64_t handlers)
{
    uint64_t gdt[TSS_AT / 8 + 2] = {0};
    const uint64_t tss = KERNEL_DATA + TSS_DATA, stack = KERNEL_STACK + STACK_USED;
    /* Flat segments, accessed already, so that nobody writes here. */
    gdt[KERNEL_CS / 8] = 0x00AF9B000000FFFFu;
    gdt[KERNEL_SS / 8] = 0x00CF93000000FFFFu;
    gdt[USER_SS / 8] = 0x00CFF3000000FFFFu;
    gdt[USER_CS / 8] = 0x00AFFB000000FFFFu;
    gdt[TSS_AT / 8] =
        0x67u | (tss & 0xFFFFFF) << 16 | UINT64_C(0x8B) << 40 | (tss >> 24 & 0xFF) << 56;
    gdt[TSS_AT / 8 + 1] = tss >> 32;
    memcpy(page + GDT_AT, gdt, sizeof gdt);
    memcpy(page + TSS_DATA + 4, &stack, 8); /* rsp0 */
    page[TSS_DATA + 0x66] = 0x68;           /* no port is ring 3's */
    for (unsigned vector = 0; vector < VECTORS; vector++) {
        const uint64_t handler = handlers + (uint64_t)vector * HANDLER_BYTES;
        const uint64_t gate[2] = {(handler & 0xFFFF) | KERNEL_CS << 16 | UINT64_C(0x8E00) << 32 |
                                      (handler >> 16 & 0xFFFF) << 48,
                                  handler >> 32};
        memcpy(page + IDT_AT + sizeof gate * vector, gate, sizeof gate);
    }
}

uint64_t kernel_write(uint8_t *pages)
{
    struct x64 e = {pages + VECTORS * HANDLER_BYTES};
    uint8_t *const common = e.at;
    for (unsigned r = HOST_REGS; r-- > 0;)
        x64_push(&e, r);
    compare(&e, offsetof(struct kernel_frame, vector), VECTOR_PF);
    uint8_t *other = x64_jcc_short(&e, X64_NE);
    x64_put(&e, 0xD0200F, 3); /* mov rax, cr2 */
    at_stack(&e, true, 0x89, RAX, MAIL(cr2));
    x64_land(&e, other);
    x64_put(&e, 0xE6 | EXIT_PORT << 8, 2); /* out EXIT_PORT, al */
    const uint64_t begin = KERNEL_AT + (uint64_t)(e.at - pages);
    compare(&e, MAIL(cr3), 0);
    uint8_t *go = x64_jcc_short(&e, X64_E);
    at_stack(&e, true, 0x8B, RAX, MAIL(cr3));
    x64_put(&e, 0xD8220F, 3); /* mov cr3, rax */
    x64_land(&e, go);
    compare(&e, MAIL(gs), 0);
    go = x64_jcc_short(&e, X64_E);
    at_stack(&e, false, 0x8B, RAX, MAIL(gs));
    at_stack(&e, false, 0x8B, RDX, MAIL(gs) + 4);
    x64_mov_imm(&e, RCX, 0xC0000101); /* GS base */
    x64_put(&e, 0x300F, 2);           /* wrmsr */
    x64_land(&e, go);
    for (unsigned r = 0; r < HOST_REGS; r++) {
        if (r == RSP) /* iretq takes it from the frame's end */
            x64_alu_imm(&e, true, X64_ADD, RSP, 8);
        else
            x64_pop(&e, r);
    }
    x64_alu_imm(&e, true, X64_ADD, RSP, 16);
    x64_put(&e, 0xCF48, 2); /* iretq */
    for (unsigned vector = 0; vector < VECTORS; vector++) {
        e.at = pages + (size_t)vector * HANDLER_BYTES;
        if (!has_error(vector))
            x64_put(&e, 0x6A, 2);
        x64_put(&e, 0x6A | vector << 8, 2);
        x64_jmp(&e);
        x64_patch(e.at, common);
    }
    write_tables(pages + 4096, KERNEL_AT);
    return begin;
}
#endif
