/* Vectors that run nothing: what decoding and static analysis find. */
#ifndef JAVM_BATCH_VECTORS_STATIC_H
#define JAVM_BATCH_VECTORS_STATIC_H

#include "batch/fields.h"
#include "batch/vectors_report.h"

/* {code, footprint_pages, instructions, end, starts, costs, stores}. False: not usable, as for the
 * others. */
bool vector_blocks(const struct fields *json, const struct json_node *node, struct report *report,
                   struct problem *problem);
/* [word, mnemonic, rd, rs1, rs2, imm] */
bool vector_decode32(const struct fields *json, const struct json_node *node, struct report *report,
                     struct problem *problem);
/* A member "halfword": "equivalent word", or "" for a reserved one. */
bool vector_decode16(const struct fields *json, const struct json_node *node, struct report *report,
                     struct problem *problem);

#endif
