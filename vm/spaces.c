#include "vm/spaces.h"

#include <stdlib.h>

static struct space *make(struct javm_error *err)
{
    struct space *space = calloc(1, sizeof *space);
    if (space == NULL) {
        javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "guest memory: out of memory");
        return NULL;
    }
    if (javm_memory_create(&space->memory, err) != JAVM_OK) {
        free(space);
        return NULL;
    }
    return space;
}

static void forget(struct space *space)
{
    memory_drop(space->memory);
    space->id = 0;
}

enum javm_status spaces_init(struct spaces *spaces, struct javm_error *err)
{
    *spaces = (struct spaces){0};
    TAILQ_INIT(&spaces->idle);
    struct space *first = make(err);
    if (first == NULL)
        return JAVM_E_NOMEM;
    spaces_give(spaces, first);
    return JAVM_OK;
}

void spaces_free(struct spaces *spaces)
{
    for (struct space *s; (s = TAILQ_FIRST(&spaces->idle)) != NULL;) {
        TAILQ_REMOVE(&spaces->idle, s, place);
        javm_memory_destroy(s->memory);
        free(s);
    }
}

static struct space *unlisted(struct spaces *spaces, struct space *space)
{
    TAILQ_REMOVE(&spaces->idle, space, place);
    spaces->idle_count--;
    spaces->idle_warm -= space->memory->warm_count;
    return space;
}

/* What idle memories keep is bounded; those that were not used for longest give way. */
static void trim(struct spaces *spaces)
{
    struct space *s;
    TAILQ_FOREACH_REVERSE(s, &spaces->idle, space_list, place)
    {
        if (spaces->idle_warm <= WARM_ALL)
            return;
        const uint32_t had = s->memory->warm_count;
        if (had == 0)
            continue;
        forget(s);
        spaces->idle_warm -= had - s->memory->warm_count; /* less when the system refused */
    }
}

struct space *spaces_take(struct spaces *spaces, uint64_t id)
{
    struct space *s = NULL;
    TAILQ_FOREACH(s, &spaces->idle, place)
    {
        if (s->id == id)
            break;
    }
    if (s == NULL) {
        struct space *oldest = TAILQ_LAST(&spaces->idle, space_list);
        if (spaces->idle_count < SPACES_IDLE && (oldest == NULL || oldest->id != 0))
            s = make(NULL);
        if (s == NULL && oldest != NULL)
            s = unlisted(spaces, oldest);
        if (s == NULL)
            return NULL;
        s->id = id;
    } else {
        unlisted(spaces, s);
    }
    if (spaces->idle_warm > WARM_ALL)
        trim(spaces);
    return s;
}

void spaces_give(struct spaces *spaces, struct space *space)
{
    TAILQ_INSERT_HEAD(&spaces->idle, space, place);
    spaces->idle_count++;
    spaces->idle_warm += space->memory->warm_count;
}

void spaces_drop(struct spaces *spaces)
{
    struct space *s;
    TAILQ_FOREACH(s, &spaces->idle, place)
    {
        spaces->idle_warm -= s->memory->warm_count;
        forget(s);
        spaces->idle_warm += s->memory->warm_count;
    }
}
