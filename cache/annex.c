/* Annexes: published caps of one holder, beside the directory. A table that one thread at a time
 * uses, so nothing here is atomic; the caps inside are ordinary counted ones. */
#include "cache/annex.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 16u

struct annexed {
    struct javm_cap *cap; /* one reference; NULL: free */
    struct javm_hash hash;
};

struct javm_annex {
    struct annexed *places; /* open addressing, at most half full */
    uint32_t used, room;    /* room: a power of two, or 0 */
    uint64_t bytes;
};

struct javm_annex *javm_annex_new(void)
{
    return calloc(1, sizeof(struct javm_annex));
}

static void clear(struct javm_annex *annex)
{
    for (uint32_t i = 0; i < annex->room; i++)
        javm_cap_release(annex->places[i].cap);
    free(annex->places);
    *annex = (struct javm_annex){0};
}

void javm_annex_free(struct javm_annex *annex)
{
    if (annex == NULL)
        return;
    clear(annex);
    free(annex);
}

uint64_t javm_annex_count(const struct javm_annex *annex, uint64_t *bytes)
{
    if (bytes != NULL)
        *bytes = annex->bytes;
    return annex->used;
}

/* The place of a hash, or the free one where it belongs; room is not 0. Hashes are spread by
 * construction. */
static struct annexed *place_of(const struct javm_annex *annex, const struct javm_hash *hash)
{
    uint32_t at;
    memcpy(&at, hash->bytes, sizeof at);
    for (at &= annex->room - 1;; at = (at + 1) & (annex->room - 1)) {
        struct annexed *place = &annex->places[at];
        if (place->cap == NULL || javm_hash_equal(&place->hash, hash))
            return place;
    }
}

struct javm_cap *annex_find(const struct javm_annex *annex, const struct javm_hash *hash)
{
    return annex->used != 0 ? place_of(annex, hash)->cap : NULL;
}

static bool make_room(struct javm_annex *annex, uint64_t count)
{
    uint64_t room = annex->room != 0 ? annex->room : FIRST_ROOM;
    while (room / 2 < count)
        room *= 2;
    if (room == annex->room)
        return true;
    if (room > UINT32_MAX / 4)
        return false;
    struct javm_annex larger = *annex;
    larger.room = (uint32_t)room;
    larger.places = calloc(room, sizeof *larger.places);
    if (larger.places == NULL)
        return false;
    for (uint32_t i = 0; i < annex->room; i++)
        if (annex->places[i].cap != NULL)
            *place_of(&larger, &annex->places[i].hash) = annex->places[i];
    free(annex->places);
    *annex = larger;
    return true;
}

/* There is room and it is not there yet. Takes the reference. */
static void insert(struct javm_annex *annex, struct javm_cap *cap, const struct javm_hash *hash)
{
    *place_of(annex, hash) = (struct annexed){cap, *hash};
    annex->used++;
    annex->bytes += javm_cap_bytes(cap);
}

bool annex_insert(struct javm_annex *annex, const struct javm_cap *cap,
                  const struct javm_hash *hash)
{
    if (!make_room(annex, annex->used + (uint64_t)1))
        return false;
    insert(annex, javm_cap_retain(cap), hash);
    return true;
}

/* ---- keeping what is reached ------------------------------------------------------------ */

struct keeping {
    const struct javm_annex *from;
    struct javm_annex kept; /* has room for all of them */
    struct javm_cap **queue;
    uint32_t count;
};

static bool reach(void *ctx, const struct javm_hash *hash)
{
    struct keeping *keeping = ctx;
    struct javm_cap *cap = annex_find(keeping->from, hash);
    if (cap == NULL || annex_find(&keeping->kept, hash) != NULL)
        return true;
    insert(&keeping->kept, javm_cap_retain(cap), hash);
    keeping->queue[keeping->count++] = cap;
    return true;
}

enum javm_status javm_annex_keep(struct javm_annex *annex, const struct javm_hash *root)
{
    struct keeping keeping = {.from = annex};
    if (annex->used == 0)
        return JAVM_OK;
    keeping.queue = malloc(annex->used * sizeof *keeping.queue);
    if (keeping.queue == NULL || !make_room(&keeping.kept, annex->used)) {
        free(keeping.queue);
        return JAVM_E_NOMEM;
    }
    reach(&keeping, root);
    for (uint32_t i = 0; i < keeping.count; i++)
        javm_cap_each_hash(keeping.queue[i], reach, &keeping);
    free(keeping.queue);
    clear(annex);
    *annex = keeping.kept;
    return JAVM_OK;
}

enum javm_status javm_annex_move(struct javm_annex *to, struct javm_annex *from)
{
    if (!make_room(to, (uint64_t)to->used + from->used))
        return JAVM_E_NOMEM;
    for (uint32_t i = 0; i < from->room; i++) {
        struct annexed *place = &from->places[i];
        if (place->cap == NULL || annex_find(to, &place->hash) != NULL)
            continue;
        insert(to, place->cap, &place->hash);
        place->cap = NULL;
    }
    clear(from);
    return JAVM_OK;
}
