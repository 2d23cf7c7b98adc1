/* Relinking: the code of a linked ELF, with a marker before every target that needs one (spec:
 * guest toolchain, 4).
 *
 *   relink_scan()       instructions, what each refers to, which are targets   relink_scan.c,
 *                                                                              relink_refs.c
 *   relink_layout()     new offsets, to a fixed point                          relink_layout.c
 *   relink_emit_code(), relink_emit_data()   new bytes, verified by the engine relink_emit.c
 *
 * Names: an *address* is a guest address of the input, an *offset* counts from the start of .text,
 * a *site* is one instruction of the input. */
#ifndef JAVM_LOADERS_RELINK_H
#define JAVM_LOADERS_RELINK_H

#include "javm/engine.h"
#include "javm/load.h"
#include "loaders/elf_read.h"
#include "vm/pvm2.h"

#define NO_SITE UINT32_MAX

enum site_role {
    SITE_PLAIN,    /* copied as it is */
    SITE_DIRECT,   /* branch or jal; `link` is the site it goes to */
    SITE_PC_HIGH,  /* auipc; `value` is the address that its pair makes */
    SITE_PC_LOW,   /* low part of the auipc at site `link` */
    SITE_ABS_HIGH, /* lui of the code address `value` */
    SITE_ABS_LOW   /* low part of the code address `value` */
};

struct site {
    struct pvm2_insn insn;
    uint32_t offset; /* in the input */
    uint32_t moved;  /* in the output, behind the marker */
    uint32_t link;
    uint8_t size; /* in the output, without the marker */
    uint8_t role; /* enum site_role */
    bool marker;
    bool target;
    bool named;      /* its address is kept somewhere */
    bool high_named; /* some lui makes the high part of its address */
    uint64_t value;
};

struct relink_endpoint {
    uint32_t index, arguments;
    uint32_t site;
};

struct relink {
    const struct elf_input *in; /* borrowed */
    struct javm_error *err;     /* may be NULL */
    struct site *sites;         /* owned, ascending offset */
    uint32_t count;
    uint32_t *site_at; /* owned; by offset / 2: number of the site there, or NO_SITE */
    struct relink_endpoint endpoints[JAVM_MAX_ENDPOINTS]; /* ascending index */
    uint32_t endpoint_count;
    uint32_t markers, grown; /* how many sites got a marker / became longer */
    uint8_t *code;           /* owned: the result */
    uint64_t code_len;
    uint8_t **contents; /* owned: the bytes of in->data[i] with moved addresses; NULL for zeros */
    struct translation *pvm; /* owned; NULL: the output is PVM2 (translate.h) */
};

enum javm_status relink_scan(struct relink *r, const struct javm_link_options *options);
/* Part of relink_scan: relocations, and the targets that they name. */
enum javm_status relink_refs(struct relink *r);
/* Part of relink_scan: the records of .javm.endpoints, or the ELF entry. */
enum javm_status relink_read_endpoints(struct relink *r);
enum javm_status relink_layout(struct relink *r);
enum javm_status relink_emit_code(struct relink *r);
enum javm_status relink_emit_data(struct relink *r);
/* The engine's own analysis of the result: every target is a block start. */
enum javm_status relink_verify(const struct relink *r, const struct javm_program *program);
void relink_free(struct relink *r);

/* The site at an offset, or NO_SITE when no instruction begins there. */
uint32_t relink_site_at(const struct relink *r, uint64_t offset);
bool relink_in_text(const struct relink *r, uint64_t address);
/* Where an address went, or what PVM has instead. Addresses outside .text stay; the end of .text
 * becomes the new end. The caller has checked that an address in .text is an instruction. */
uint64_t relink_moved(const struct relink *r, uint64_t address);

/* FORMAT (or another status) at an offset of .text: "function+0x12 (.text+0x3a): ...". */
__attribute__((format(printf, 4, 5))) enum javm_status
relink_fail(const struct relink *r, enum javm_status status, uint64_t offset, const char *fmt, ...);
enum javm_status relink_no_memory(const struct relink *r);

#endif
