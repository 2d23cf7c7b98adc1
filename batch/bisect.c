#include "batch/bisect.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct pair {
    struct bisect_state at[2];
};

static enum javm_status probe_both(const struct bisect *b, uint64_t gas, struct pair *pair,
                                   struct javm_error *err)
{
    enum javm_status status = JAVM_OK;
    *pair = (struct pair){0};
    for (unsigned i = 0; status == JAVM_OK && i < 2; i++)
        status = b->probe(b->context, i, gas, &pair->at[i], err);
    return status;
}

static bool same(const struct pair *pair)
{
    const struct bisect_state *x = &pair->at[0], *y = &pair->at[1];
    return x->status == y->status && (x->status != JAVM_OK || strcmp(x->end, y->end) == 0) &&
           x->gas_used == y->gas_used && javm_hash_equal(&x->left, &y->left);
}

static bool too_slow(const struct pair *pair)
{
    return pair->at[0].late || pair->at[1].late;
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

static void say_after(struct page *page, const struct bisect *b, const struct pair *pair)
{
    const struct bisect_state *x = &pair->at[0], *y = &pair->at[1];
    for (unsigned i = 0; i < 2; i++)
        say(page, "  %s: %s, gas used %" PRIu64 "\n", b->names[i], pair->at[i].end,
            pair->at[i].gas_used);
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

/* From `pc` to the end of its block. */
static void say_block(struct page *page, const struct bisect *b, const struct javm_frame *frame)
{
    uint64_t at = frame->pc;
    bool more = true;
    for (unsigned line = 0; more && line < BLOCK_LINES; line++) {
        char text[BISECT_LINE];
        const uint64_t pc = at;
        more = b->list(b->context, frame, &at, text);
        if (text[0] != '\0')
            say(page, "    %06" PRIx64 "  %s\n", pc, text);
    }
}

static void tell(struct page *page, const struct bisect *b, const struct pair *before,
                 const struct pair *after, uint64_t gas)
{
    const struct javm_frame *frame = &before->at[0].frame;
    say(page, "%s and %s part ", b->names[0], b->names[1]);
    if (b->list == NULL && gas > 0) {
        say(page, "with %" PRIu64 " gas, and with less they do not:\n", gas);
    } else if (b->list != NULL && before->at[0].stands) {
        say(page, "in the block at 0x%" PRIx64, frame->pc);
        if (!javm_hash_is_zero(&frame->image)) {
            char image[JAVM_HASH_TEXT];
            javm_hash_format(&frame->image, image);
            say(page, " of image %s", image);
        }
        say(page, ", after %" PRIu64 " gas:\n", before->at[0].gas_used);
        say_block(page, b, frame);
    } else {
        say(page, "with %" PRIu64 " gas, at the very beginning:\n", gas);
    }
    say_after(page, b, after);
}

enum javm_status bisect(const struct bisect *b, uint64_t gas, bool *parted, char *text, size_t size,
                        struct javm_error *err)
{
    struct page page = {.at = text, .left = size};
    struct pair before, after, middle;
    uint64_t low = 0, high = gas;
    text[0] = '\0';
    *parted = false;
    enum javm_status status = probe_both(b, high, &after, err);
    if (status != JAVM_OK || same(&after) || too_slow(&after))
        return status;
    /* More than what was used changes nothing but what is left. */
    const uint64_t used =
        after.at[0].gas_used > after.at[1].gas_used ? after.at[0].gas_used : after.at[1].gas_used;
    if (used < high) {
        status = probe_both(b, used, &middle, err);
        if (status != JAVM_OK)
            return status;
        if (!same(&middle) && !too_slow(&middle)) {
            high = used;
            after = middle;
        }
    }
    status = probe_both(b, 0, &before, err);
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
        const uint64_t half = low + (high - low) / 2;
        status = probe_both(b, half, &middle, err);
        if (status != JAVM_OK)
            return status;
        if (same(&middle)) {
            low = half;
            before = middle;
        } else {
            high = half;
            after = middle;
        }
    }
    tell(&page, b, &before, &after, high);
    return JAVM_OK;
}
