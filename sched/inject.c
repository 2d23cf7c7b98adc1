#include "sched/inject.h"

#include <stdlib.h>

#define FIRST_SLOTS 1024

void inject_init(struct inject *inject)
{
    *inject = (struct inject){.slots = 0};
    (void)pthread_mutex_init(&inject->lock, NULL); /* cannot fail without attributes */
}

void inject_destroy(struct inject *inject)
{
    free(inject->ring);
    inject->ring = NULL;
    pthread_mutex_destroy(&inject->lock);
}

static bool grow(struct inject *inject, uint64_t needed)
{
    uint64_t slots = inject->slots == 0 ? FIRST_SLOTS : inject->slots;
    while (slots < needed) {
        if (slots > SIZE_MAX / sizeof *inject->ring / 4)
            return false;
        slots *= 2;
    }
    uint64_t *ring = malloc(slots * sizeof *ring);
    if (ring == NULL)
        return false;
    for (uint64_t i = 0; i < inject->size; i++)
        ring[i] = inject->ring[(inject->head + i) & (inject->slots - 1)];
    free(inject->ring);
    inject->ring = ring;
    inject->slots = slots;
    inject->head = 0;
    return true;
}

bool inject_push(struct inject *inject, struct javm_task *const *tasks, size_t count,
                 unsigned generation)
{
    bool room = true;
    pthread_mutex_lock(&inject->lock);
    if (count > inject->slots - inject->size)
        room = count <= SIZE_MAX - inject->size && grow(inject, inject->size + count);
    if (room) {
        if (generation == INJECT_CURRENT)
            generation = (unsigned)inject->generation;
        for (size_t i = 0; i < count; i++)
            inject->ring[(inject->head + inject->size + i) & (inject->slots - 1)] =
                item_of(tasks[i], generation);
        /* Relaxed: the lock and the caller's fence order both (sched.c, idle.c). */
        at_bump(&inject->submitted[generation], count);
        at_bump(&inject->size, count);
    }
    pthread_mutex_unlock(&inject->lock);
    return room;
}

size_t inject_take(struct inject *inject, uint64_t *items, size_t limit, unsigned workers)
{
    if (inject_size_hint(inject) == 0)
        return 0;
    pthread_mutex_lock(&inject->lock);
    /* Half of an even share: what is left lets the slower ones catch up. */
    const uint64_t share = inject->size / (2 * (uint64_t)workers) + 1;
    uint64_t count = share < limit ? share : limit;
    if (count > inject->size)
        count = inject->size;
    for (uint64_t i = 0; i < count; i++)
        items[i] = inject->ring[(inject->head + i) & (inject->slots - 1)];
    inject->head += count;
    at_bump(&inject->size, (uint64_t)0 - count); /* relaxed: a hint to those without the lock */
    pthread_mutex_unlock(&inject->lock);
    return (size_t)count;
}

unsigned inject_turn(struct inject *inject)
{
    pthread_mutex_lock(&inject->lock);
    const unsigned ended = (unsigned)inject->generation;
    inject->generation = 1 - ended;
    pthread_mutex_unlock(&inject->lock);
    return ended;
}
