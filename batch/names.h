/* Things by name. Open addressing over pointers, so that they never move; names are hashed under a
 * random key: a file cannot choose names that collide. One thread at a time. */
#ifndef JAVM_BATCH_NAMES_H
#define JAVM_BATCH_NAMES_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>

/* A part of what has a name. */
struct named {
    char *name; /* owned; NUL-terminated, and may have others inside */
    size_t name_len;
};

struct names {
    struct named **places;  /* NULL: free */
    size_t capacity, count; /* capacity: a power of two, at most half full */
    unsigned char key[crypto_shorthash_KEYBYTES];
};

bool names_open(struct names *names); /* false: out of memory */
/* The table; what is in it, with its names, is the caller's to free before. */
void names_close(struct names *names);
struct named *names_find(const struct names *names, const char *name, size_t len); /* or NULL */
/* The name, which is not there yet, is copied. False: out of memory, nothing changed. */
bool names_add(struct names *names, struct named *named, const char *name, size_t len);

#endif
