#include "tests/cache/history.h"

#include <stdlib.h>
#include <string.h>

void history_add(struct history *history, unsigned thread, struct step step)
{
    if (history->count[thread] == HISTORY_STEPS || step.from >= step.to)
        abort();
    history->steps[thread][history->count[thread]++] = step;
}

/* ---- the sequential directory ----------------------------------------------------------- */

struct state {
    uint8_t next[HISTORY_THREADS]; /* steps that took effect */
    uint8_t blobs;                 /* bit set */
    uint8_t live;                  /* entries in the directory, bit set */
    uint8_t holders[HISTORY_ENTRIES];
    uint8_t value[HISTORY_ENTRIES];
    uint8_t remembered[HISTORY_THREADS]; /* by a sweep that has begun, bit set */
};

static uint8_t garbage_of(const struct state *state)
{
    uint8_t garbage = 0;
    for (unsigned i = 0; i < HISTORY_ENTRIES; i++)
        if (state->live >> i & 1 && state->holders[i] == 0)
            garbage |= (uint8_t)(1u << i);
    return garbage;
}

static unsigned bits_of(uint8_t set)
{
    return (unsigned)__builtin_popcount(set);
}

/* False when the step cannot take effect in this state. REMOVE is not here: it has a choice. */
static bool apply(struct state *state, const struct step *step, unsigned thread)
{
    if (step->what >= HISTORY_ENTRIES)
        return false;
    const uint8_t bit = (uint8_t)(1u << step->what);
    const bool held = state->live & bit && state->holders[step->what] > 0;
    switch (step->kind) {
    case STEP_PUT:
        state->blobs |= bit;
        return true;
    case STEP_GET:
        return (state->blobs >> step->what & 1) == step->observed;
    case STEP_MAKE:
        if (state->live & bit)
            return false;
        state->live |= bit;
        state->holders[step->what] = 1;
        state->value[step->what] = step->observed;
        return true;
    case STEP_READ:
        return held && state->value[step->what] == step->observed;
    case STEP_REPLACE:
        state->value[step->what] = step->observed;
        return held;
    case STEP_CLONE:
        state->holders[step->what]++;
        return held;
    case STEP_DROP:
        if (held)
            state->holders[step->what]--;
        return held;
    case STEP_SWEEP_BEGIN:
        state->remembered[thread] = garbage_of(state);
        return true;
    case STEP_SWEEP_END:
        /* an entry is never made twice under one number, so what is live was not removed */
        if (state->remembered[thread] & state->live)
            return false;
        state->remembered[thread] = 0;
        return true;
    case STEP_COUNT:
        return bits_of(state->live) == step->observed;
    case STEP_SWEEP_REMOVE:
        break;
    }
    return false;
}

/* ---- the search ------------------------------------------------------------------------- */

/* States that led nowhere: a set, so that each is tried once. */
struct dead_ends {
    struct state *states;
    bool *used;
    size_t room, count;
};

struct search {
    const struct history *history;
    struct dead_ends dead;
};

static size_t dead_index(const struct dead_ends *dead, const struct state *state)
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a over the bytes; the struct has no padding */
    const unsigned char *bytes = (const unsigned char *)state;
    for (size_t i = 0; i < sizeof *state; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    size_t at = (size_t)hash & (dead->room - 1);
    while (dead->used[at] && memcmp(&dead->states[at], state, sizeof *state) != 0)
        at = (at + 1) & (dead->room - 1);
    return at;
}

_Static_assert(sizeof(struct state) == 2 * HISTORY_THREADS + 2 + 2 * HISTORY_ENTRIES,
               "states are compared bytewise");

static void dead_add(struct dead_ends *dead, const struct state *state)
{
    if (dead->count * 2 >= dead->room) {
        struct dead_ends bigger = {.room = dead->room == 0 ? 256 : dead->room * 2};
        bigger.states = calloc(bigger.room, sizeof *bigger.states);
        bigger.used = calloc(bigger.room, sizeof *bigger.used);
        if (bigger.states == NULL || bigger.used == NULL)
            abort();
        for (size_t i = 0; i < dead->room; i++)
            if (dead->used[i]) {
                size_t at = dead_index(&bigger, &dead->states[i]);
                bigger.states[at] = dead->states[i];
                bigger.used[at] = true;
            }
        bigger.count = dead->count;
        free(dead->states);
        free(dead->used);
        *dead = bigger;
    }
    size_t at = dead_index(dead, state);
    dead->states[at] = *state;
    dead->used[at] = true;
    dead->count++;
}

static const struct step *next_step(const struct search *search, const struct state *state,
                                    unsigned thread)
{
    unsigned i = state->next[thread];
    return i < search->history->count[thread] ? &search->history->steps[thread][i] : NULL;
}

/* No other step that still waits ended before this one began. */
static bool may_be_next(const struct search *search, const struct state *state,
                        const struct step *step)
{
    for (unsigned other = 0; other < HISTORY_THREADS; other++) {
        const struct step *waiting = next_step(search, state, other);
        if (waiting != NULL && waiting != step && waiting->to < step->from)
            return false;
    }
    return true;
}

static bool explore(struct search *search, const struct state *state);

static bool try_remove(struct search *search, const struct state *after)
{
    uint8_t garbage = garbage_of(after);
    for (unsigned i = 0; i < HISTORY_ENTRIES; i++) {
        if ((garbage >> i & 1) == 0)
            continue;
        struct state removed = *after;
        removed.live &= (uint8_t) ~(1u << i);
        if (explore(search, &removed))
            return true;
    }
    return false;
}

/* Depth is bounded by the number of steps. */
static bool explore(struct search *search, const struct state *state)
{
    bool finished = true;
    if (search->dead.room != 0 && search->dead.used[dead_index(&search->dead, state)])
        return false;
    for (unsigned thread = 0; thread < HISTORY_THREADS; thread++) {
        const struct step *step = next_step(search, state, thread);
        if (step == NULL)
            continue;
        finished = false;
        if (!may_be_next(search, state, step))
            continue;
        struct state after = *state;
        after.next[thread]++;
        if (step->kind == STEP_SWEEP_REMOVE
                ? try_remove(search, &after)
                : apply(&after, step, thread) && explore(search, &after))
            return true;
    }
    if (!finished)
        dead_add(&search->dead, state);
    return finished;
}

bool history_is_linearizable(const struct history *history)
{
    struct search search = {.history = history};
    struct state empty = {.blobs = 0};
    bool found = explore(&search, &empty);
    free(search.dead.states);
    free(search.dead.used);
    return found;
}
