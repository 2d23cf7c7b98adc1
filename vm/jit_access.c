/* Machine code of loads and stores. */
#include "vm/jit_emit.h"

/* gs, 32-bit addresses: exactly the guest's address space. `op` has one byte, or 0F in front. */
static void guest(struct x64 *e, bool w, bool half, unsigned op, unsigned reg,
                  const struct jit_address *at)
{
    x64_put(e, half ? 0x666765u : 0x6765u, half ? 3 : 2);
    x64_put(
        e, x64_rex(w, reg, at->absolute ? 0 : at->base) | (at->indexed ? (at->index >> 3) << 1 : 0),
        1);
    if (op > 0xFF)
        x64_put(e, 0x0F | (op & 0xFF) << 8, 2);
    else
        x64_put(e, op, 1);
    if (at->absolute) {
        x64_put(e, (reg & 7) << 3 | 4 | 0x2500u, 2);
        x64_put32(e, (uint32_t)at->disp);
    } else if (at->indexed) {
        x64_base_index(e, reg, at->base, at->index, at->scale, at->disp);
    } else {
        x64_base_disp(e, reg, at->base, at->disp);
    }
}

void jit_load(struct jit_compiler *c, uint16_t op, unsigned d, const struct jit_address *at,
              uint32_t site_pc)
{
    static const struct {
        uint16_t op;
        bool w;
    } codes[] = {{0x1BE, true},  {0x1BF, true},  {0x63, true}, {0x8B, true}, /* lb lh lw ld */
                 {0x1B6, false}, {0x1B7, false}, {0x8B, false}};             /* lbu lhu lwu */
    _Static_assert(IR_LWU - IR_LB + 1 == sizeof codes / sizeof *codes, "in this order");
    jit_note_pair(c, &c->sites, site_pc);
    guest(&c->e, codes[op - IR_LB].w, false, codes[op - IR_LB].op, d, at);
}

/* With a cost for the first write to a page, every store asks `access` whether it was charged. */
static void ask_touched(struct jit_compiler *c, const struct jit_address *at, uint32_t width)
{
    struct x64 *e = &c->e;
    const uint32_t again = jit_here(c);
    jit_note_pair(c, &c->sites, c->pc);
    for (unsigned last = 0; last < (width > 1 ? 2u : 1u); last++) {
        const int32_t disp = (int32_t)((uint32_t)at->disp + (last ? width - 1 : 0));
        if (at->absolute)
            x64_mov_imm(e, HOST_TEMP, (uint32_t)disp);
        else
            x64_lea(e, false, HOST_TEMP, at->base, disp);
        x64_shift_imm(e, false, X64_SHR, HOST_TEMP, JAVM_PAGE_SHIFT);
        x64_put(e, 0x81F665, 3); /* test byte gs:[rcx + disp32], imm8 */
        x64_put32(e, (uint32_t)MEMORY_ACCESS);
        x64_put(e, PAGE_WRITE, 1);
        x64_jcc(e, X64_E);
        struct jit_fixup *f = jit_note_fixup(c, &c->touches);
        if (f != NULL)
            *f = (struct jit_fixup){.after = jit_here(c), .target = again, .pc = c->pc};
    }
}

void jit_store(struct jit_compiler *c, uint16_t op, const int32_t *imm, unsigned value,
               const struct jit_address *at)
{
    struct x64 *e = &c->e;
    const uint32_t width = ir_access_width(op);
    if (c->cow)
        ask_touched(c, at, width);
    jit_note_pair(c, &c->sites, c->pc);
    if (imm != NULL) {
        guest(e, width == 8, width == 2, width == 1 ? 0xC6 : 0xC7, 0, at);
        x64_put(e, (uint32_t)*imm, width == 1 ? 1 : width == 2 ? 2 : 4);
    } else {
        guest(e, width == 8, width == 2, width == 1 ? 0x88 : 0x89, value, at);
    }
}
