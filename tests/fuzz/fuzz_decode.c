/* Any bytes as PVM2 code: every instruction keeps within its format, and its canonical word decodes
 * to it again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vm/pvm2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pvm2_insn insn, back;
    uint64_t at = 0;
    for (; pvm2_decode(data, size, at, &insn); at += insn.len) {
        char text[64], cut[8];
        if ((insn.len != 2 && insn.len != 4) || insn.op >= PVM2_OP_COUNT || insn.rd > 15 ||
            insn.rs1 > 15 || insn.rs2 > 15)
            abort();
        pvm2_format(&insn, text, sizeof text);
        pvm2_format(&insn, cut, sizeof cut);
        if (strlen(text) >= sizeof text - 1 || strncmp(text, cut, sizeof cut - 1) != 0 ||
            strncmp(text, pvm2_mnemonic((enum pvm2_op)insn.op),
                    strlen(pvm2_mnemonic((enum pvm2_op)insn.op))) != 0)
            abort();
        uint32_t word = pvm2_encode32(&insn);
        if (insn.op == PVM2_RESERVED) {
            if (word != 0 || insn.rd != 0 || insn.rs1 != 0 || insn.rs2 != 0 || insn.imm != 0)
                abort();
            continue;
        }
        if (!pvm2_imm_fits((enum pvm2_op)insn.op, insn.imm))
            abort();
        back = pvm2_decode32(word);
        if (back.op != insn.op || back.rd != insn.rd || back.rs1 != insn.rs1 ||
            back.rs2 != insn.rs2 || back.imm != insn.imm || back.len != 4)
            abort();
    }
    /* the walk ends only where no whole instruction is left */
    if (size >= 4 && at < size - 3)
        abort();
    return 0;
}
