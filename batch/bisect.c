#include "batch/bisect.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "batch/diag.h"
#include "batch/pvm_listing.h"
#include "vm/pvm2.h"

/* What a run came to. Members that do not apply are zero. */
struct state {
    enum javm_status status;
    enum javm_end end;
    enum javm_fault fault;
    uint64_t value, fault_addr, gas_used;
    int64_t selector;
    struct javm_hash left; /* the instance, or the paused invocation */
    struct javm_hash slot0;
    bool stands; /* paused: `frame` is where */
    struct javm_frame frame;
    char said[sizeof((struct javm_error *)0)->text]; /* status: why */
};

/* ---- one run ---------------------------------------------------------------------------- */

/* Takes over the cap. */
static enum javm_status hash_of(const struct bisect *b, struct javm_cap **cap,
                                struct javm_hash *hash, struct javm_error *err)
{
    struct javm_cap *taken = *cap;
    *cap = NULL;
    return taken == NULL ? JAVM_OK : execute_hash(b->dir, taken, hash, err);
}

static enum javm_status look(const struct bisect *b, struct javm_vm *vm,
                             struct javm_call_result *ended, struct state *state,
                             struct javm_error *err)
{
    state->end = ended->end;
    state->fault = ended->fault;
    state->gas_used = ended->gas_used;
    if (ended->end == JAVM_END_HALT)
        state->value = ended->value;
    if (ended->fault == JAVM_FAULT_PAGE_FAULT)
        state->fault_addr = ended->fault_addr;
    if (ended->end == JAVM_END_HOST_CALL)
        state->selector = ended->selector;
    enum javm_status status = hash_of(b, &ended->slot0, &state->slot0, err);
    if (status == JAVM_OK)
        status = hash_of(b, &ended->post_instance, &state->left, err);
    if (status != JAVM_OK || ended->end != JAVM_END_PAUSED)
        return status;
    state->stands = javm_vm_paused_frame(vm, &state->frame, err) == JAVM_OK;
    return javm_vm_detach_paused(vm, b->dir, &state->left, err);
}

static enum javm_status probe(const struct bisect *b, unsigned side, const struct job *job,
                              const struct ground *ground, uint64_t gas, struct state *state,
                              struct javm_error *err)
{
    struct javm_call_result ended;
    struct javm_error ignored;
    struct javm_vm *vm = b->sides[side].vm;
    *state = (struct state){.status = JAVM_OK};
    javm_annex_open(b->dir, b->annex);
    enum javm_status status =
        execute_until(vm, b->dir, job, ground, gas, b->timeout_ms, &ended, err);
    if (status != JAVM_OK) {
        state->status = status;
        snprintf(state->said, sizeof state->said, "%s", err->text);
    } else {
        status = look(b, vm, &ended, state, err);
    }
    javm_call_result_clear(&ended);
    (void)javm_vm_drop_paused(vm, &ignored); /* unless it became a value */
    javm_annex_open(b->dir, NULL);
    (void)javm_annex_keep(b->annex, &ground->instance); /* NOMEM: it goes later */
    return status == JAVM_E_NOMEM || state->status == JAVM_OK ? status : JAVM_OK;
}

struct pair {
    struct state at[2];
};

static enum javm_status probe_both(const struct bisect *b, const struct job *job,
                                   const struct ground *ground, uint64_t gas, struct pair *pair,
                                   struct javm_error *err)
{
    const enum javm_status status = probe(b, 0, job, ground, gas, &pair->at[0], err);
    return status == JAVM_OK ? probe(b, 1, job, ground, gas, &pair->at[1], err) : status;
}

static bool same(const struct pair *pair)
{
    const struct state *x = &pair->at[0], *y = &pair->at[1];
    return x->status == y->status && x->end == y->end && x->fault == y->fault &&
           x->value == y->value && x->fault_addr == y->fault_addr && x->gas_used == y->gas_used &&
           x->selector == y->selector && javm_hash_equal(&x->left, &y->left) &&
           javm_hash_equal(&x->slot0, &y->slot0);
}

static bool too_slow(const struct pair *pair)
{
    return pair->at[0].end == JAVM_END_TIMEOUT || pair->at[1].end == JAVM_END_TIMEOUT;
}

/* ---- telling ---------------------------------------------------------------------------- */

struct page {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void say(struct page *page, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int len = vsnprintf(page->at, page->left, fmt, args);
    va_end(args);
    const size_t put = len < 0 ? 0 : (size_t)len < page->left ? (size_t)len : page->left - 1;
    page->at += put;
    page->left -= put;
}

/* φ0..φ12, x3, x4, under both names: listings of PVM2 have the first, of PVM the second. */
static const char *register_of(unsigned slot)
{
    static const char *const OF[JAVM_NUM_SLOTS] = {"x1 (ra)",  "x2 (sp)",  "x5 (t0)",  "x6 (t1)",
                                                   "x7 (t2)",  "x8 (s0)",  "x9 (s1)",  "x10 (a0)",
                                                   "x11 (a1)", "x12 (a2)", "x13 (a3)", "x14 (a4)",
                                                   "x15 (a5)", "x3 (gp)",  "x4 (tp)"};
    return OF[slot];
}

static void say_end(struct page *page, const char *name, const struct state *s)
{
    say(page, "  %s: ", name);
    if (s->status != JAVM_OK)
        say(page, "%s", s->said);
    else if (s->end == JAVM_END_HALT)
        say(page, "halt %" PRIu64, s->value);
    else if (s->end == JAVM_END_PAUSED && s->stands)
        say(page, "goes on at 0x%" PRIx64 ", frames below: %" PRIu32, s->frame.pc, s->frame.depth);
    else if (s->end == JAVM_END_PAUSED)
        say(page, "paused");
    else if (s->end == JAVM_END_HOST_CALL)
        say(page, "host_call %" PRId64, s->selector);
    else
        say(page, "%s", s->end == JAVM_END_TIMEOUT ? "timeout" : javm_fault_name(s->fault));
    if (s->fault == JAVM_FAULT_PAGE_FAULT)
        say(page, " at 0x%" PRIx64, s->fault_addr);
    say(page, ", gas used %" PRIu64 "\n", s->gas_used);
}

static void say_after(struct page *page, const struct bisect *b, const struct pair *pair)
{
    const struct state *x = &pair->at[0], *y = &pair->at[1];
    for (unsigned i = 0; i < 2; i++)
        say_end(page, b->sides[i].name, &pair->at[i]);
    if (!x->stands || !y->stands)
        return;
    bool registers = false;
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++) {
        if (x->frame.regs[i] == y->frame.regs[i])
            continue;
        say(page, "  %s: 0x%" PRIx64 " and 0x%" PRIx64 "\n", register_of(i), x->frame.regs[i],
            y->frame.regs[i]);
        registers = true;
    }
    if (!registers && x->frame.pc == y->frame.pc)
        say(page, "  the registers are the same: it is in memory, in slots or in meters\n");
}

#define BLOCK_LINES 64
#define LINE_SIZE   96

/* Writes the instruction at *at and moves *at behind it. False: the block ends with it, or there is
 * none and *text is empty. */
static bool say_pvm2(const struct javm_image *image, uint64_t *at, char text[LINE_SIZE])
{
    struct pvm2_insn insn;
    text[0] = '\0';
    if (!pvm2_decode(image->code, image->code_len, *at, &insn))
        return false;
    pvm2_format(&insn, text, LINE_SIZE);
    *at += insn.len;
    return !pvm2_is_terminator(insn.op) && insn.op != PVM2_ECALLI && insn.op != PVM2_ECALL_JAR;
}

static bool say_pvm(const struct javm_image *image, uint64_t *at, char text[LINE_SIZE])
{
    const struct javm_pvm_code code = javm_pvm_code_of(image);
    const struct javm_pvm_insn insn = javm_pvm_decode(&code, *at);
    javm_pvm_format_insn(&insn, text, LINE_SIZE);
    *at = insn.next;
    return !insn.terminator;
}

/* From `pc` to the end of its block. */
static void say_block(struct page *page, const struct bisect *b, const struct javm_frame *frame)
{
    struct javm_cap *cap = javm_directory_get(b->dir, &frame->image);
    const struct javm_image *image = cap != NULL ? javm_image_of(cap) : NULL;
    uint64_t at = frame->pc;
    bool more = image != NULL;
    for (unsigned line = 0; more && line < BLOCK_LINES; line++) {
        char text[LINE_SIZE];
        const uint64_t pc = at;
        more = image->isa == JAVM_ISA_PVM2 ? say_pvm2(image, &at, text) : say_pvm(image, &at, text);
        if (text[0] != '\0')
            say(page, "    %06" PRIx64 "  %s\n", pc, text);
    }
    javm_cap_release(cap);
}

static void tell(struct page *page, const struct bisect *b, const struct pair *before,
                 const struct pair *after, uint64_t gas)
{
    char image[JAVM_HASH_TEXT];
    const struct javm_frame *frame = &before->at[0].frame;
    if (before->at[0].stands) {
        javm_hash_format(&frame->image, image);
        say(page,
            "%s and %s part in the block at 0x%" PRIx64 " of image %s, after %" PRIu64 " gas:\n",
            b->sides[0].name, b->sides[1].name, frame->pc, image, before->at[0].gas_used);
        say_block(page, b, frame);
    } else {
        say(page, "%s and %s part with %" PRIu64 " gas, at the very beginning:\n", b->sides[0].name,
            b->sides[1].name, gas);
    }
    say_after(page, b, after);
}

enum javm_status bisect(const struct bisect *b, const struct job *job, const struct ground *ground,
                        bool *parted, char *text, size_t size, struct javm_error *err)
{
    struct page page = {.at = text, .left = size};
    struct pair before = {0}, after, middle;
    uint64_t low = 0, high = job->gas;
    text[0] = '\0';
    *parted = false;
    enum javm_status status = probe_both(b, job, ground, high, &after, err);
    if (status != JAVM_OK || same(&after) || too_slow(&after))
        return status;
    /* More than what was used changes nothing but what is left. */
    const uint64_t used =
        after.at[0].gas_used > after.at[1].gas_used ? after.at[0].gas_used : after.at[1].gas_used;
    if (used < high) {
        status = probe_both(b, job, ground, used, &middle, err);
        if (status != JAVM_OK)
            return status;
        if (!same(&middle) && !too_slow(&middle)) {
            high = used;
            after = middle;
        }
    }
    status = probe_both(b, job, ground, 0, &before, err);
    if (status != JAVM_OK)
        return status;
    *parted = true;
    if (!same(&before)) {
        after = before;
        before.at[0].stands = false;
        high = 0;
    }
    /* The same with `low`, not with `high`. */
    while (high - low > 1) {
        const uint64_t gas = low + (high - low) / 2;
        status = probe_both(b, job, ground, gas, &middle, err);
        if (status != JAVM_OK)
            return status;
        if (same(&middle)) {
            low = gas;
            before = middle;
        } else {
            high = gas;
            after = middle;
        }
    }
    tell(&page, b, &before, &after, high);
    return JAVM_OK;
}
