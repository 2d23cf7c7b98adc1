#include "cache/place.h"

#include <stdlib.h>

#include "cache/atomic.h"
#include "cache/epoch.h"
#include "cache/point.h"

static struct place *place_pop(ck_epoch_record_t *record, struct place_stack *stack)
{
    struct place *top, *seen, *next;
    epoch_enter(record);
    do {
        /* acquire: partner is cas_release in place_give; the fields of the place, and `next` as it
         * was when the place came to the top */
        top = load_acquire(&stack->top);
        if (top == NULL)
            break;
        CACHE_POINT("place.pop");
        /* relaxed: acquired with the top; when somebody took the top meanwhile this may be any
         * value, and the compare-and-set fails */
        next = load_relaxed(&top->next);
        seen = top;
        /* relaxed: publishes nothing; a read-modify-write, so it passes on the releases of the
         * places below */
    } while (!cas_relaxed(&stack->top, &seen, next));
    epoch_exit(record);
    return top;
}

struct place *place_take(ck_epoch_record_t *record, struct place_stack *stack)
{
    struct place *place = place_pop(record, stack);
    if (place != NULL)
        return place;
    place = malloc(sizeof *place);
    if (place == NULL)
        return NULL;
    place->number = add_relaxed(&stack->made, 1) + 1; /* relaxed: only has to be unique */
    place->home = stack;
    place->next = NULL;
    return place;
}

void place_give(struct place *place)
{
    struct place_stack *stack = place->home;
    struct place *top = load_relaxed(&stack->top); /* relaxed: not looked behind */
    do {
        CACHE_POINT("place.push");
        store_relaxed(&place->next, top); /* relaxed: published by the next line */
        /* release: partner is the acquire of place_pop; also for the places below, whose releases
         * this read-modify-write continues */
    } while (!cas_release(&stack->top, &top, place));
}

void place_clear(struct place_stack *stack)
{
    for (struct place *next, *at = stack->top; at != NULL; at = next) {
        next = at->next;
        free(at);
    }
    stack->top = NULL;
}
