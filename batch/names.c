#include "batch/names.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64

bool names_open(struct names *names)
{
    *names = (struct names){.capacity = FIRST_CAPACITY};
    names->places = calloc(names->capacity, sizeof(struct named *));
    randombytes_buf(names->key, sizeof names->key);
    return names->places != NULL;
}

void names_close(struct names *names)
{
    free(names->places);
    *names = (struct names){.places = NULL};
}

/* The place where `name` is or would go. */
static struct named **place(const struct names *names, const char *name, size_t len)
{
    unsigned char out[crypto_shorthash_BYTES];
    size_t i;
    crypto_shorthash(out, (const unsigned char *)name, len, names->key);
    memcpy(&i, out, sizeof i);
    for (i &= names->capacity - 1;; i = (i + 1) & (names->capacity - 1)) {
        const struct named *at = names->places[i];
        if (at == NULL || (at->name_len == len && memcmp(at->name, name, len) == 0))
            return &names->places[i];
    }
}

struct named *names_find(const struct names *names, const char *name, size_t len)
{
    return *place(names, name, len);
}

static bool grow(struct names *names)
{
    if (names->count * 2 < names->capacity)
        return true;
    struct names larger = *names;
    larger.capacity = names->capacity * 2;
    larger.places = calloc(larger.capacity, sizeof(struct named *));
    if (larger.places == NULL)
        return false;
    for (size_t i = 0; i < names->capacity; i++)
        if (names->places[i] != NULL)
            *place(&larger, names->places[i]->name, names->places[i]->name_len) = names->places[i];
    free(names->places);
    *names = larger;
    return true;
}

bool names_add(struct names *names, struct named *named, const char *name, size_t len)
{
    if (!grow(names) || (named->name = malloc(len + 1)) == NULL)
        return false;
    memcpy(named->name, name, len);
    named->name[len] = '\0';
    named->name_len = len;
    *place(names, name, len) = named;
    names->count++;
    return true;
}
