/* VMs, their tables, and references into them (JAR v2 2, 3). */
#include <stdlib.h>
#include <string.h>

#include "vm/v2/v2.h"

/* What an invocation leaves allocated for the next one. */
#define VMS_KEPT    64u
#define PIECES_KEPT 1024u

const struct v2_cap *v2_cap_at(const struct javm_v2 *v2, struct v2_place at)
{
    static const struct v2_cap empty;
    const struct v2_cap *piece = v2->vms[at.vm].pieces[at.slot / V2_PIECE];
    return piece != NULL ? &piece[at.slot % V2_PIECE] : &empty;
}

/* Room for one more element, doubling. */
static void *room_for(void *array, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room)
        return array;
    const uint32_t more = *room * 2 + 16;
    void *bigger = realloc(array, more * size);
    if (bigger != NULL)
        *room = more;
    return bigger;
}

static struct v2_cap *new_piece(struct javm_v2 *v2)
{
    if (v2->piece_used == v2->piece_count) {
        struct v2_cap **pieces =
            room_for((void *)v2->pieces, v2->piece_count, &v2->piece_room, sizeof *pieces);
        if (pieces == NULL)
            return NULL;
        v2->pieces = pieces;
        struct v2_cap *piece = malloc(V2_PIECE * sizeof *piece);
        if (piece == NULL)
            return NULL;
        pieces[v2->piece_count++] = piece;
    }
    struct v2_cap *piece = v2->pieces[v2->piece_used++];
    memset(piece, 0, V2_PIECE * sizeof *piece);
    return piece;
}

struct v2_cap *v2_slot(struct javm_v2 *v2, struct v2_place at)
{
    struct v2_cap **piece = &v2->vms[at.vm].pieces[at.slot / V2_PIECE];
    if (*piece == NULL)
        *piece = new_piece(v2);
    if (*piece == NULL) {
        v2->nomem = true;
        return NULL;
    }
    return &(*piece)[at.slot % V2_PIECE];
}

bool v2_resolve(const struct javm_v2 *v2, uint32_t ref, struct v2_place *at)
{
    *at = (struct v2_place){.vm = v2->active, .slot = (uint8_t)ref};
    for (int shift = 24; shift > 0; shift -= 8) {
        const uint8_t step = (uint8_t)(ref >> shift);
        if (step == 0)
            continue;
        const struct v2_cap *cap = v2_cap_at(v2, (struct v2_place){at->vm, step});
        if (cap->type != CAP_HANDLE)
            return false;
        const uint8_t state = v2->vms[cap->id].state;
        if (state == VM_RUNNING || state == VM_WAITING)
            return false;
        at->vm = cap->id;
    }
    return true;
}

uint32_t v2_new_vm(struct javm_v2 *v2, uint8_t code)
{
    struct v2_vm *vms = room_for(v2->vms, v2->vm_count, &v2->vm_room, sizeof *vms);
    if (vms == NULL) {
        v2->nomem = true;
        return V2_NOBODY;
    }
    v2->vms = vms;
    vms[v2->vm_count] = (struct v2_vm){.state = VM_IDLE, .code = code};
    return v2->vm_count++;
}

void v2_no_vms(struct javm_v2 *v2)
{
    while (v2->depth != 0)
        free(v2->frames[--v2->depth].saved);
    v2->vm_count = 0;
    v2->piece_used = 0;
    if (v2->vm_room > VMS_KEPT) {
        free(v2->vms);
        v2->vms = NULL;
        v2->vm_room = 0;
    }
    while (v2->piece_count > PIECES_KEPT)
        free(v2->pieces[--v2->piece_count]);
}

void v2_tables_free(struct javm_v2 *v2)
{
    v2_no_vms(v2);
    while (v2->piece_count != 0)
        free(v2->pieces[--v2->piece_count]);
    free((void *)v2->pieces);
    free(v2->vms);
    free(v2->frames);
}

void v2_put(struct javm_v2 *v2, struct v2_place at, const struct v2_cap *cap)
{
    if (cap->type == CAP_NONE && v2_cap_at(v2, at)->type == CAP_NONE)
        return;
    struct v2_cap *slot = v2_slot(v2, at);
    if (slot == NULL)
        return;
    v2_detach(v2, at.vm, slot);
    *slot = *cap;
}

void v2_move(struct javm_v2 *v2, struct v2_place from, struct v2_place to)
{
    struct v2_cap *target = v2_slot(v2, to), *cap = v2_slot(v2, from);
    if (target == NULL || cap == NULL)
        return;
    if (from.vm != to.vm)
        v2_detach(v2, from.vm, cap);
    *target = *cap;
    *cap = (struct v2_cap){.type = CAP_NONE};
}
