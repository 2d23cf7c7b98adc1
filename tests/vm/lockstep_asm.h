/* A small assembler for random programs: labels, compressed forms by chance, random operands. */
#ifndef TESTS_VM_LOCKSTEP_ASM_H
#define TESTS_VM_LOCKSTEP_ASM_H

#include "tests/vm/lockstep.h"
#include "vm/pvm2.h"

#define ASM_BYTES  (1u << 18)
#define ASM_LABELS 4096u

struct asm_fixup {
    uint32_t at;
    uint16_t label;
    int16_t delta;
    uint8_t size; /* 2, 4; 8: auipc and insn */
    struct pvm2_insn insn;
};

struct lock_asm {
    struct random *random;
    uint8_t code[ASM_BYTES];
    uint32_t len;
    bool full;       /* something did not fit any more: what follows is left out */
    bool terminated; /* the last instruction ends a block */
    struct asm_fixup fixups[ASM_LABELS];
    uint32_t fixup_count;
    uint32_t labels[ASM_LABELS]; /* offset */
    uint32_t label_count;
    /* Choice of operands. */
    uint8_t pool[16];
    uint32_t pool_count;
    uint32_t locked;   /* bit per register that may not be written */
    unsigned compress; /* percent */
};

enum asm_kind { ASM_R, ASM_R1, ASM_I, ASM_LOAD, ASM_STORE, ASM_BRANCH, ASM_KINDS };

void asm_begin(struct lock_asm *a, struct random *random);
/* Any operation of the kind. */
enum pvm2_op asm_any(struct lock_asm *a, enum asm_kind kind);
/* A register that may be written (x0 rarely) / read; free: written, never x0; 0 when there is none.
 */
unsigned asm_dst(struct lock_asm *a);
unsigned asm_src(struct lock_asm *a);
unsigned asm_free(struct lock_asm *a);
/* An immediate that the operation has room for. */
int32_t asm_imm(struct lock_asm *a, enum pvm2_op op);

void asm_put(struct lock_asm *a, enum pvm2_op op, unsigned rd, unsigned rs1, unsigned rs2,
             int32_t imm);
void asm_raw(struct lock_asm *a, uint32_t value, unsigned size, bool terminates);
/* The halfword with this meaning, 0 if there is none. */
uint16_t asm_compressed(uint32_t word);
/* rd := value, sign-extended from 32 bits. */
void asm_li(struct lock_asm *a, unsigned rd, uint32_t value);

unsigned asm_label(struct lock_asm *a);
void asm_mark(struct lock_asm *a, unsigned label);
/* As asm_mark, where a block starts. */
void asm_block(struct lock_asm *a, unsigned label);
/* A jal or branch to label + delta. */
void asm_jump(struct lock_asm *a, enum pvm2_op op, unsigned rd, unsigned rs1, unsigned rs2,
              unsigned label, int delta);
/* rd := address of label + delta; the label may come later. */
void asm_la(struct lock_asm *a, unsigned rd, unsigned label, int delta);
/* auipc base; op rd, low(base): a load of code, or a far jump with jalr. */
void asm_far(struct lock_asm *a, enum pvm2_op op, unsigned rd, unsigned base, unsigned label,
             int delta);
/* All labels are marked: fill in what refers to them. */
void asm_finish(struct lock_asm *a);

#endif
