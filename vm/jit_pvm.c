/* What compiling PVM needs beyond PVM2: jumps into the middle of blocks and through the jump table.
 */
#include "vm/jit_block.h"

void jit_note_entry(struct jit_compiler *c)
{
    struct pvm_entry *entry = jit_append(c, &c->entries, sizeof *entry);
    if (entry != NULL)
        *entry = (struct pvm_entry){.pc = c->pc, .place = jit_here(c)};
}

void jit_place_entries(struct jit_compiler *c)
{
    struct pvm_entry *entries = c->entries.items;
    if (!pvm_price(&c->native->front, entries, c->entries.count)) {
        c->failed = c->starved = true;
        return;
    }
    for (uint32_t i = 0; i < c->entries.count && !c->failed; i++) {
        c->pc = entries[i].pc;
        if (jit_label_of(c, c->pc) != 0)
            continue;
        jit_note_pair(c, &c->blocks, c->pc);
        if (c->failed || !jit_add_label(c, c->pc))
            return;
        jit_close_gate(c, jit_open_gate(c), entries[i].cost, 0);
        x64_jmp(&c->e);
        x64_patch(c->e.at, c->begin + entries[i].place);
    }
}

/* An odd address and 0 become indices that no table has, and so does the one that halts: C deals
 * with them. The link is written when the index is one. */
void jit_table_jump(struct jit_compiler *c, const struct ir_insn *insn)
{
    struct x64 *e = &c->e;
    const bool links = insn->op == IR_LI_DJUMP;
    x64_store_context_imm(e, false, CONTEXT_AT(jump_pc), (int32_t)c->pc);
    x64_lea(e, false, HOST_TEMP, jit_host_reg[insn->ra], links ? insn->hi : insn->lo);
    x64_gs(e, false, 0x89, HOST_TEMP, CONTEXT_AT(jump_target));
    x64_alu_imm(e, false, X64_SUB, HOST_TEMP, 2);
    x64_shift_imm(e, false, X64_ROR, HOST_TEMP, 1);
    x64_gs(e, false, 0x3B, HOST_TEMP, CONTEXT_AT(jump_count));
    x64_jcc(e, X64_AE);
    jit_note(c, &c->jumps);
    if (links)
        x64_mov_imm(e, jit_host_reg[insn->rd], (uint64_t)(int64_t)insn->lo);
    x64_shift_imm(e, true, X64_SHL, HOST_TEMP, 2);
    x64_gs(e, true, 0x03, HOST_TEMP, CONTEXT_AT(ways));
    x64_put(e, 0x098B, 2); /* mov ecx, [rcx] */
    x64_gs(e, true, 0x03, HOST_TEMP, CONTEXT_AT(code_base));
    x64_put(e, 0xE1FF, 2);
}
