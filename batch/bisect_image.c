#include "batch/bisect_image.h"

#include <inttypes.h>
#include <stdio.h>

#include "batch/pvm_listing.h"
#include "vm/pvm2.h"

/* ---- one run ---------------------------------------------------------------------------- */

/* Takes over the cap. */
static enum javm_status hash_of(const struct bisect_image *b, struct javm_cap **cap,
                                struct javm_hash *hash, struct javm_error *err)
{
    struct javm_cap *taken = *cap;
    *cap = NULL;
    return taken == NULL ? JAVM_OK : execute_hash(b->dir, taken, hash, err);
}

static void say_end(const struct javm_call_result *ended, struct bisect_state *state)
{
    char *text = state->end;
    const size_t size = sizeof state->end;
    if (ended->end == JAVM_END_HALT)
        snprintf(text, size, "halt %" PRIu64, ended->value);
    else if (ended->end == JAVM_END_PAUSED && state->stands)
        snprintf(text, size, "goes on at 0x%" PRIx64 ", frames below: %" PRIu32, state->frame.pc,
                 state->frame.depth);
    else if (ended->end == JAVM_END_PAUSED)
        snprintf(text, size, "paused");
    else if (ended->end == JAVM_END_HOST_CALL)
        snprintf(text, size, "host_call %" PRId64, ended->selector);
    else if (ended->end == JAVM_END_TIMEOUT)
        snprintf(text, size, "timeout");
    else if (ended->fault == JAVM_FAULT_PAGE_FAULT)
        snprintf(text, size, "%s at 0x%" PRIx64, javm_fault_name(ended->fault), ended->fault_addr);
    else
        snprintf(text, size, "%s", javm_fault_name(ended->fault));
}

static enum javm_status look(const struct bisect_image *b, struct javm_vm *vm,
                             struct javm_call_result *ended, struct bisect_state *state,
                             struct javm_error *err)
{
    struct javm_hash slot0 = {{0}}, left = {{0}}; /* left: the instance, or what is paused */
    state->late = ended->end == JAVM_END_TIMEOUT;
    state->gas_used = ended->gas_used;
    enum javm_status status = hash_of(b, &ended->slot0, &slot0, err);
    if (status == JAVM_OK)
        status = hash_of(b, &ended->post_instance, &left, err);
    if (status == JAVM_OK && ended->end == JAVM_END_PAUSED) {
        state->stands = javm_vm_paused_frame(vm, &state->frame, err) == JAVM_OK;
        status = javm_vm_detach_paused(vm, b->dir, &left, err);
    }
    const struct javm_bytes both[] = {{slot0.bytes, sizeof slot0.bytes},
                                      {left.bytes, sizeof left.bytes}};
    state->left = javm_hash_pieces(both, 2);
    say_end(ended, state);
    return status;
}

enum javm_status bisect_image_probe(void *context, unsigned side, uint64_t gas,
                                    struct bisect_state *state, struct javm_error *err)
{
    const struct bisect_image *b = context;
    struct javm_call_result ended;
    struct javm_error ignored;
    struct javm_vm *vm = b->vms[side];
    javm_annex_open(b->dir, b->annex);
    enum javm_status status =
        execute_until(vm, b->dir, b->job, b->ground, gas, b->timeout_ms, &ended, err);
    if (status != JAVM_OK) {
        state->status = status;
        snprintf(state->end, sizeof state->end, "%s", err->text);
    } else {
        status = look(b, vm, &ended, state, err);
    }
    javm_call_result_clear(&ended);
    (void)javm_vm_drop_paused(vm, &ignored); /* unless it became a value */
    javm_annex_open(b->dir, NULL);
    (void)javm_annex_keep(b->annex, &b->ground->instance); /* NOMEM: it goes later */
    return status == JAVM_E_NOMEM || state->status == JAVM_OK ? status : JAVM_OK;
}

/* ---- its code --------------------------------------------------------------------------- */

static bool list_pvm2(const struct javm_image *image, uint64_t *at, char text[BISECT_LINE])
{
    struct pvm2_insn insn;
    if (!pvm2_decode(image->code, image->code_len, *at, &insn))
        return false;
    pvm2_format(&insn, text, BISECT_LINE);
    *at += insn.len;
    return !pvm2_is_terminator(insn.op) && insn.op != PVM2_ECALLI && insn.op != PVM2_ECALL_JAR;
}

static bool list_pvm(const struct javm_image *image, uint64_t *at, char text[BISECT_LINE])
{
    const struct javm_pvm_code code = javm_pvm_code_of(image);
    const struct javm_pvm_insn insn = javm_pvm_decode(&code, *at);
    *at = listing_pvm_insn(&code, NULL, *at, text, BISECT_LINE);
    return !insn.terminator;
}

bool bisect_image_list(void *context, const struct javm_frame *frame, uint64_t *at,
                       char text[BISECT_LINE])
{
    const struct bisect_image *b = context;
    struct javm_cap *cap = javm_directory_get(b->dir, &frame->image);
    const struct javm_image *image = cap != NULL ? javm_image_of(cap) : NULL;
    bool more = false;
    text[0] = '\0';
    if (image != NULL)
        more = image->isa == JAVM_ISA_PVM2 ? list_pvm2(image, at, text) : list_pvm(image, at, text);
    javm_cap_release(cap);
    return more;
}
