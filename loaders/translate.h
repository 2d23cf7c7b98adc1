/* The second output of the linker: PVM instead of PVM2 (docs/linking.md, "PVM").
 *
 *   translate_fold()    each site as an internal instruction; what is constant   translate_fold.c
 *   translate_live()    which registers are read later                           translate_live.c
 *   translate_expand()  PVM instructions for each site                           translate_expand.c
 *   translate_emit()    code, bitmask and jump table                             translate.c
 *
 * An address of code is a number that the jump table knows: 2 * (entry + 1). Every place whose
 * address is kept somewhere, and every place that a call returns to, has an entry. */
#ifndef JAVM_LOADERS_TRANSLATE_H
#define JAVM_LOADERS_TRANSLATE_H

#include "loaders/bytes.h"
#include "loaders/relink.h"
#include "vm/pvm_encode.h"

/* Where registers are kept when an instruction becomes several that need more of them: a page of
 * its own, which the image has when that happens. Code of PVM2 is readable there. */
#define TRANSLATE_SPILLS JAVM_CODE_BASE

#define ALL_LIVE ((1u << JAVM_NUM_REGS) - 1)

struct pvm_site {
    struct ir_insn insn;
    uint32_t target;  /* the site that it goes to, or NO_SITE */
    uint32_t entry;   /* of the jump table, counted from 1; 0: none */
    uint32_t at;      /* of its bytes, in `bytes` and `starts` */
    uint16_t live;    /* registers that somebody reads before they are written, from here on */
    bool joins;       /* a branch or jump leads here */
    uint8_t lead;     /* bytes before it: a fallthrough, so that a block begins here */
    uint8_t last;     /* of its instructions: offset */
    uint8_t len;      /* without the distance at the end */
    uint8_t distance; /* bytes of it */
    bool nothing;     /* it has no effect */
};

struct translation {
    struct pvm_site *sites;      /* owned; as many as the relink has */
    struct writer bytes, starts; /* of all sites; a byte for each byte: does an instruction begin */
    struct pvm_opcodes opcodes;
    uint8_t *bitmask; /* owned, the result */
    uint64_t bitmask_len;
    uint32_t *jumps; /* owned, the result */
    uint32_t jump_count;
    bool spills; /* the page for registers is needed */
};

/* Does it only compute? */
static inline bool only_computes(const struct ir_insn *insn)
{
    return ir_shape_of(insn->op) <= IR_SHAPE_LI;
}

/* Registers by bits. */
static inline unsigned register_bit(unsigned r)
{
    return r < JAVM_NUM_REGS ? 1u << r : 0;
}
unsigned translate_reads(const struct ir_insn *insn);
unsigned translate_writes(const struct ir_insn *insn);

enum javm_status translate(struct relink *r, const struct javm_link_options *options);
/* Decoded again, the result is what was meant: every branch and jump goes where its site's does,
 * and a jump table entry, an endpoint and each of them is where an instruction begins. */
enum javm_status translate_verify(const struct relink *r, const struct javm_image *image);
void translation_free(struct translation *t);
/* What an address of code is to the translated program. */
uint64_t translate_address(const struct relink *r, uint64_t address);

/* Parts of translate(). */
enum javm_status translate_fold(struct relink *r, bool plainly);
void translate_live(struct relink *r);
/* Appends to bytes and starts. False: no memory. */
bool translate_expand(struct relink *r, uint32_t site);

#endif
