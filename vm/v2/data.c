/* DATA caps: what their mapping bits make visible, and their bytes (JAR v2 1.1, 6.3.5, 6.4).
 *
 * An address of a VM shows the page whose mapping was the last event there: mapping hides what
 * another cap shows there, unmapping leaves nothing. So every page is `visible` in one place at
 * most, and the cost of an operation is one look at each cap of a table and at words of bits,
 * whatever the number of pages. Only pages that are resident cost more, and they were touched. */
#include <stdlib.h>
#include <string.h>

#include "vm/v2/bits.h"
#include "vm/v2/v2.h"

/* As many pages are looked at in one go, so that finding one page is cheap. */
#define LOOK_AHEAD 4096u

/* The next DATA cap with a base from *slot on, which moves behind it; NULL: none. */
static const struct v2_cap *next_based(const struct javm_v2 *v2, uint32_t vm, uint32_t *slot)
{
    const struct v2_vm *owner = &v2->vms[vm];
    while (*slot < V2_SLOTS) {
        const struct v2_cap *piece = owner->pieces[*slot / V2_PIECE];
        if (piece == NULL) {
            *slot += V2_PIECE - *slot % V2_PIECE;
            continue;
        }
        const struct v2_cap *cap = &piece[(*slot)++ % V2_PIECE];
        if (cap->type == CAP_DATA && cap->has)
            return cap;
    }
    return NULL;
}

bool v2_find(const struct javm_v2 *v2, uint32_t vm, uint32_t page, struct v2_shown *shown)
{
    const uint64_t *visible = v2->store.visible;
    uint32_t slot = 0;
    for (const struct v2_cap *c; (c = next_based(v2, vm, &slot)) != NULL;) {
        const uint32_t index = page - c->id; /* wraps below the base */
        if (index >= c->pages || !bit_get(visible, c->offset + index))
            continue;
        const uint32_t left = c->pages - index, at = c->offset + index;
        const uint32_t end = at + (left < LOOK_AHEAD ? left : LOOK_AHEAD);
        *shown = (struct v2_shown){at, bits_find(visible, at, end, false) - at, c->writable};
        return true;
    }
    return false;
}

/* Nothing but `except` shows anything at these addresses any more. */
static void hide(struct javm_v2 *v2, uint32_t vm, uint64_t first, uint64_t end,
                 const struct v2_cap *except)
{
    uint32_t slot = 0;
    for (const struct v2_cap *c; (c = next_based(v2, vm, &slot)) != NULL;) {
        const uint64_t low = c->id > first ? c->id : first;
        const uint64_t high = (uint64_t)c->id + c->pages < end ? (uint64_t)c->id + c->pages : end;
        if (low >= high || c == except)
            continue;
        const uint32_t page = c->offset + (uint32_t)(low - c->id);
        v2_close(v2, vm, (uint32_t)low, page, (uint32_t)(high - low));
        bits_fill(v2->store.visible, page, page + (uint32_t)(high - low), false);
    }
}

void v2_map(struct javm_v2 *v2, uint32_t vm, const struct v2_cap *cap, uint32_t first,
            uint32_t count)
{
    const uint64_t at = (uint64_t)cap->id + first;
    const uint32_t page = cap->offset + first;
    hide(v2, vm, at, at + count, cap);
    bits_fill(v2->store.mapped, page, page + count, true);
    bits_fill(v2->store.visible, page, page + count, true);
}

void v2_unmap(struct javm_v2 *v2, uint32_t vm, const struct v2_cap *cap, uint32_t first,
              uint32_t count)
{
    const uint32_t end = cap->offset + first + count;
    uint32_t page = cap->offset + first, stop;
    for (; bits_run(v2->store.mapped, &page, end, &stop); page = stop) {
        const uint64_t at = (uint64_t)cap->id + (page - cap->offset);
        hide(v2, vm, at, at + (stop - page), NULL);
        bits_fill(v2->store.mapped, page, stop, false);
    }
}

bool v2_is_mapped(const struct javm_v2 *v2, const struct v2_cap *cap)
{
    const uint32_t end = cap->offset + cap->pages;
    return bits_find(v2->store.mapped, cap->offset, end, true) != end;
}

void v2_detach(struct javm_v2 *v2, uint32_t vm, struct v2_cap *cap)
{
    if (cap->type != CAP_DATA || !cap->has)
        return;
    v2_unmap(v2, vm, cap, 0, cap->pages);
    cap->has = false;
    cap->id = 0;
}

/* ---- the mapping of a cap that is away ------------------------------------------------------ */

bool v2_save(struct javm_v2 *v2, const struct v2_cap *cap, struct v2_saved **out)
{
    const uint64_t *mapped = v2->store.mapped;
    const uint32_t end = cap->offset + cap->pages;
    uint32_t count = 0, page = cap->offset, stop;
    *out = NULL;
    if (cap->type != CAP_DATA || !cap->has)
        return true;
    for (; bits_run(mapped, &page, end, &stop); page = stop)
        count++;
    struct v2_saved *saved = malloc(sizeof *saved + count * sizeof *saved->runs);
    if (saved == NULL) {
        v2->nomem = true;
        return false;
    }
    saved->base = cap->id;
    saved->pages = cap->pages;
    saved->writable = cap->writable;
    saved->count = 0;
    for (page = cap->offset; bits_run(mapped, &page, end, &stop); page = stop) {
        saved->runs[saved->count].first = page - cap->offset;
        saved->runs[saved->count++].count = stop - page;
    }
    *out = saved;
    return true;
}

void v2_restore(struct javm_v2 *v2, uint32_t vm, struct v2_cap *cap, const struct v2_saved *saved)
{
    if (saved == NULL || cap->type != CAP_DATA || cap->pages != saved->pages)
        return;
    cap->has = cap->fixed = true;
    cap->id = saved->base;
    cap->writable = saved->writable;
    for (uint32_t i = 0; i < saved->count; i++)
        v2_map(v2, vm, cap, saved->runs[i].first, saved->runs[i].count);
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static struct javm_memory *window_of(const struct javm_v2 *v2, uint32_t vm)
{
    return v2->windows[v2->vms[vm].window - 1].memory;
}

const uint8_t *v2_look(const struct javm_v2 *v2, uint32_t vm, const struct v2_cap *cap,
                       uint32_t index, size_t *len)
{
    const uint32_t page = cap->offset + index;
    if (!bit_get(v2->store.resident, page))
        return v2_source(v2, page, len);
    *len = JAVM_PAGE_SIZE;
    return window_of(v2, vm)->base + ((uint64_t)(cap->id + index) << JAVM_PAGE_SHIFT);
}

uint8_t *v2_poke(struct javm_v2 *v2, uint32_t vm, const struct v2_cap *cap, uint32_t index)
{
    const uint32_t page = cap->offset + index, at = cap->id + index;
    bit_set(v2->store.written, page);
    if (bit_get(v2->store.resident, page)) {
        const struct javm_memory *m = window_of(v2, vm);
        if (m->access[at] & PAGE_HARD_WRITE)
            return m->base + ((uint64_t)at << JAVM_PAGE_SHIFT);
        v2_close(v2, vm, at, page, 1);
    }
    return v2_present(v2, page);
}

static void copy_part(struct javm_v2 *v2, struct v2_place from, struct v2_place to,
                      uint64_t from_at, uint64_t to_at, size_t len)
{
    const size_t skip = from_at % JAVM_PAGE_SIZE;
    size_t have;
    /* In this order: what is written to may change its place. */
    uint8_t *target = v2_poke(v2, to.vm, v2_cap_at(v2, to), (uint32_t)(to_at >> JAVM_PAGE_SHIFT)) +
                      to_at % JAVM_PAGE_SIZE;
    const uint8_t *source =
        v2_look(v2, from.vm, v2_cap_at(v2, from), (uint32_t)(from_at >> JAVM_PAGE_SHIFT), &have);
    const size_t left = have > skip ? have - skip : 0, bytes = left < len ? left : len;
    if (bytes != 0)
        memmove(target, source + skip, bytes);
    memset(target + bytes, 0, len - bytes);
}

enum v2_outcome v2_copy(struct javm_v2 *v2, struct v2_place from, struct v2_place to,
                        uint64_t from_at, uint64_t to_at, uint64_t len)
{
    const uint64_t from_len = (uint64_t)v2_cap_at(v2, from)->pages << JAVM_PAGE_SHIFT;
    const struct v2_cap *target = v2_cap_at(v2, to);
    const uint64_t to_len = (uint64_t)target->pages << JAVM_PAGE_SHIFT;
    if (target->type != CAP_DATA || len == 0 || len > from_len || from_at > from_len - len ||
        len > to_len || to_at > to_len - len)
        return V2_REFUSED;
    /* Inside one cap the order of the pieces matters. */
    const bool down = from_at < to_at;
    for (uint64_t done = 0, part; done < len; done += part) {
        const uint64_t left = len - done;
        const uint64_t s = down ? (from_at + left - 1) % JAVM_PAGE_SIZE + 1
                                : JAVM_PAGE_SIZE - (from_at + done) % JAVM_PAGE_SIZE;
        const uint64_t t = down ? (to_at + left - 1) % JAVM_PAGE_SIZE + 1
                                : JAVM_PAGE_SIZE - (to_at + done) % JAVM_PAGE_SIZE;
        part = s < t ? s : t;
        part = part < left ? part : left;
        const uint64_t at = down ? left - part : done;
        copy_part(v2, from, to, from_at + at, to_at + at, (size_t)part);
    }
    v2->exec.regs[7] = len;
    return V2_DONE;
}

/* ---- written pages -------------------------------------------------------------------------- */

static uint64_t take_marks(struct javm_v2 *v2, struct v2_place at, uint8_t *bytes)
{
    const struct v2_cap *cap = v2_cap_at(v2, at);
    const uint32_t end = cap->offset + cap->pages;
    uint64_t count = 0;
    uint32_t page = cap->offset, stop;
    for (; bits_run(v2->store.written, &page, end, &stop); page = stop) {
        for (uint32_t p = page; p < stop; p++)
            bytes[(p - cap->offset) / 8] |= (uint8_t)(1u << (p - cap->offset) % 8);
        count += stop - page;
        bits_fill(v2->store.written, page, stop, false);
        if (cap->has)
            v2_unwritten(v2, at.vm, cap->id + (page - cap->offset), page, stop - page);
    }
    return count;
}

enum v2_outcome v2_dirty(struct javm_v2 *v2, struct v2_place at)
{
    uint64_t *regs = v2->exec.regs;
    const uint64_t need = ((uint64_t)v2_cap_at(v2, at)->pages + 7) / 8;
    if (regs[8] < need || !javm_v2_accessible(v2, regs[7], need, true))
        return V2_REFUSED;
    uint8_t *bytes = calloc(1, need + 1);
    if (bytes == NULL) {
        v2->nomem = true;
        return V2_REFUSED;
    }
    const uint64_t count = take_marks(v2, at, bytes);
    javm_v2_write(v2, regs[7], bytes, need);
    free(bytes);
    regs[7] = count;
    return V2_DONE;
}
