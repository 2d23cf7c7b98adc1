#include "tests/sched/model.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum kind { LOAD, STORE, CAS, ADD, FENCE, WAIT };

/* One search at a time; bodies have no other way to reach it. */
static const struct model *model;
static struct model_state *now;
static unsigned self;     /* the thread that runs */
static unsigned replayed; /* operations of this run so far */
static bool performed;    /* the new one has been done */
static jmp_buf out;

static struct model_thread *me(void)
{
    return &now->threads[self];
}

static uint64_t *cell(const uint64_t *word)
{
    const size_t index = (size_t)(word - model->words);
    if (index >= model->word_count)
        abort(); /* an atomic word outside of the model's memory */
    return &now->memory[index];
}

/* ---- one operation ---- */

/* True: perform it; false: *value is what it returned before. Leaves the body at the operation
 * after the new one. */
static bool enter(enum kind kind, const uint64_t *word, uint64_t key, uint64_t *value)
{
    struct model_thread *thread = me();
    if (replayed < thread->steps) {
        *value = thread->seen[replayed++];
        return false;
    }
    if (performed) {
        thread->next.kind = (int)kind;
        thread->next.word = (uint64_t *)(uintptr_t)word;
        thread->next.key = key;
        longjmp(out, 1);
    }
    if (thread->steps == MODEL_STEPS)
        abort(); /* an endless body */
    performed = true;
    return true;
}

static void leave(uint64_t value)
{
    struct model_thread *thread = me();
    thread->seen[thread->steps++] = value;
    replayed++;
}

uint64_t model_load(const uint64_t *word)
{
    uint64_t value;
    if (!enter(LOAD, word, 0, &value))
        return value;
    value = *cell(word);
    const struct model_thread *thread = me();
    for (unsigned i = 0; i < thread->buffered; i++) /* its own newest store comes first */
        if (thread->buffer[i].word == word)
            value = thread->buffer[i].value;
    leave(value);
    return value;
}

void model_store(uint64_t *word, uint64_t value, bool release)
{
    uint64_t ignored;
    if (!enter(STORE, word, 0, &ignored))
        return;
    struct model_thread *thread = me();
    thread->buffer[thread->buffered].word = word;
    thread->buffer[thread->buffered].value = value;
    thread->buffer[thread->buffered].release = release && !model->no_release;
    thread->buffered++;
    leave(0);
}

bool model_cas(uint64_t *word, uint64_t expected, uint64_t value)
{
    uint64_t swapped;
    if (model->split_cas) {
        if (model_load(word) != expected)
            return false;
        model_store(word, value, true);
        return true;
    }
    if (!enter(CAS, word, 0, &swapped))
        return swapped != 0;
    swapped = *cell(word) == expected;
    if (swapped)
        *cell(word) = value;
    leave(swapped);
    return swapped != 0;
}

uint64_t model_add(uint64_t *word, uint64_t delta)
{
    uint64_t before;
    if (!enter(ADD, word, 0, &before))
        return before;
    before = *cell(word);
    *cell(word) = before + delta;
    leave(before);
    return before;
}

uint64_t model_or_and(uint64_t *word, uint64_t with_or, uint64_t with_and)
{
    uint64_t before;
    if (!enter(ADD, word, 0, &before))
        return before;
    before = *cell(word);
    *cell(word) = (before | with_or) & with_and;
    leave(before);
    return before;
}

void model_fence(void)
{
    uint64_t ignored;
    if (enter(FENCE, NULL, 0, &ignored))
        leave(0);
}

void model_wait(uint64_t *word, uint64_t key)
{
    uint64_t ignored;
    if (enter(WAIT, word, key, &ignored))
        leave(0);
}

void model_result(uint64_t value)
{
    struct model_thread *thread = me();
    if (thread->result_count == MODEL_RESULTS)
        abort();
    thread->results[thread->result_count++] = value;
}

uint64_t model_word(const struct model_state *state, const uint64_t *word)
{
    return state->memory[word - model->words];
}

/* ---- steps ---- */

/* Runs the body: what it has seen, then one operation more unless `first`. */
static void run(unsigned thread, bool first)
{
    self = thread;
    replayed = 0;
    performed = first; /* then it stops before its first operation */
    me()->result_count = 0;
    if (model->reset != NULL)
        model->reset(thread);
    if (setjmp(out) == 0) {
        model->body(thread);
        me()->done = true;
    }
}

static bool can_run(const struct model_state *state, unsigned thread)
{
    const struct model_thread *t = &state->threads[thread];
    if (t->done)
        return false;
    switch ((enum kind)t->next.kind) {
    case LOAD:
        return true;
    case STORE:
        return t->buffered < MODEL_BUFFER;
    case FENCE:
        return t->buffered == 0 || (model->no_fence >> thread & 1) != 0;
    case CAS:
    case ADD:
        return t->buffered == 0;
    case WAIT: /* going to sleep drains the buffer like a fence */
        return t->buffered == 0 && state->memory[t->next.word - model->words] != t->next.key;
    }
    return false;
}

static bool can_flush(const struct model_state *state, unsigned thread, unsigned entry)
{
    const struct model_thread *t = &state->threads[thread];
    if (entry >= t->buffered)
        return false;
    if (entry == 0)
        return true;
    if (!model->partial || t->buffer[entry].release)
        return false;
    for (unsigned i = 0; i < entry; i++)
        if (t->buffer[i].word == t->buffer[entry].word)
            return false;
    return true;
}

static void flush(struct model_state *state, unsigned thread, unsigned entry)
{
    struct model_thread *t = &state->threads[thread];
    state->memory[t->buffer[entry].word - model->words] = t->buffer[entry].value;
    t->buffered--;
    for (unsigned i = entry; i < t->buffered; i++)
        t->buffer[i] = t->buffer[i + 1];
}

/* ---- the search ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9FB21C651E98DF25);
    return hash ^ hash >> 29;
}

/* What has been seen decides where a thread stands, so it stands for the thread's own state. */
static uint64_t hash_of(const struct model_state *state)
{
    uint64_t hash = 1;
    if (model->preemptions != 0)
        hash = mix(mix(hash, state->last), state->preemptions);
    for (size_t i = 0; i < model->word_count; i++)
        hash = mix(hash, state->memory[i]);
    for (unsigned i = 0; i < model->threads; i++) {
        const struct model_thread *t = &state->threads[i];
        hash = mix(hash, t->steps);
        for (unsigned k = 0; k < t->steps; k++)
            hash = mix(hash, t->seen[k]);
        hash = mix(hash, t->buffered);
        for (unsigned k = 0; k < t->buffered; k++)
            hash = mix(mix(hash, (uint64_t)(t->buffer[k].word - model->words)), t->buffer[k].value);
    }
    return hash != 0 ? hash : 1;
}

struct set {
    uint64_t *slots; /* 0: free */
    size_t size, used;
};

static bool set_add(struct set *set, uint64_t hash)
{
    if (2 * set->used >= set->size) {
        struct set larger = {.size = set->size != 0 ? 2 * set->size : 1024};
        larger.slots = calloc(larger.size, sizeof *larger.slots);
        if (larger.slots == NULL)
            abort();
        for (size_t i = 0; i < set->size; i++)
            if (set->slots[i] != 0)
                set_add(&larger, set->slots[i]);
        free(set->slots);
        *set = larger;
    }
    size_t at = (size_t)hash & (set->size - 1);
    for (; set->slots[at] != 0; at = (at + 1) & (set->size - 1))
        if (set->slots[at] == hash)
            return false;
    set->slots[at] = hash;
    set->used++;
    return true;
}

struct frame {
    struct model_state state;
    unsigned choice; /* the next to try: a step or a flush of a thread */
    bool moved;      /* some choice was possible */
};

/* Does choice number `choice` in `state`; false: it is not possible here. */
static bool choose(struct model_state *state, unsigned choice)
{
    const unsigned thread = choice / (MODEL_BUFFER + 1);
    const unsigned entry = choice % (MODEL_BUFFER + 1);
    now = state;
    if (entry == MODEL_BUFFER) {
        if (!can_run(state, thread))
            return false;
        if (thread != state->last && can_run(state, state->last)) {
            if (model->preemptions != 0 && state->preemptions == model->preemptions)
                return false;
            state->preemptions++;
        }
        state->last = thread;
        run(thread, false);
    } else {
        if (!can_flush(state, thread, entry))
            return false;
        flush(state, thread, entry);
    }
    /* A fence that can be passed changes nothing for anybody: no order with others to try. */
    while (state->threads[thread].next.kind == FENCE && can_run(state, thread))
        run(thread, false);
    return true;
}

struct model_report model_explore(const struct model *what)
{
    struct model_report report = {.wrong = NULL};
    struct set visited = {.size = 0};
    size_t depth = 0;
    size_t room = 64;
    struct frame *frames = calloc(room, sizeof *frames);
    if (frames == NULL || what->word_count > MODEL_WORDS || what->threads > MODEL_THREADS)
        abort();
    model = what;
    memcpy(frames[0].state.memory, what->words, what->word_count * sizeof *what->words);
    now = &frames[0].state;
    for (unsigned i = 0; i < what->threads; i++)
        run(i, true);
    set_add(&visited, hash_of(now));
    for (depth = 1; depth > 0 && report.wrong == NULL;) {
        struct frame *frame = &frames[depth - 1];
        if (frame->choice == what->threads * (MODEL_BUFFER + 1)) {
            if (!frame->moved) {
                report.ends++;
                report.wrong = what->check(&frame->state);
            }
            depth--;
            continue;
        }
        if (depth == room) {
            room *= 2;
            frames = realloc(frames, room * sizeof *frames);
            if (frames == NULL)
                abort();
            frame = &frames[depth - 1];
        }
        struct frame *next = &frames[depth];
        next->state = frame->state;
        if (!choose(&next->state, frame->choice++))
            continue;
        frame->moved = true;
        if (!set_add(&visited, hash_of(&next->state)))
            continue;
        next->choice = 0;
        next->moved = false;
        depth++;
    }
    report.states = visited.used;
    free(frames);
    free(visited.slots);
    return report;
}
