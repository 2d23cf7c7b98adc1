#include "batch/carry.h"

#include <stdlib.h>
#include <string.h>

struct block {
    struct block *next;
    _Alignas(8) unsigned char bytes[];
};

void carry_clear(struct carry *carry)
{
    while (carry->blocks != NULL) {
        struct block *block = carry->blocks;
        carry->blocks = block->next;
        free(block);
    }
}

/* The next bytes of what is read; NULL: there are not so many. */
static const uint8_t *take(struct carry *carry, uint64_t size)
{
    carry->bad = carry->bad || size > carry->len;
    if (carry->bad)
        return NULL;
    const uint8_t *bytes = carry->from;
    carry->from += size;
    carry->len -= (size_t)size;
    return bytes;
}

static void put(struct carry *carry, const void *bytes, size_t size)
{
    if (carry->to != NULL && size > 0)
        memcpy(carry->to + carry->len, bytes, size);
    carry->len += size;
}

void carry_plain(struct carry *carry, void *thing, size_t size)
{
    if (!carry->reads) {
        put(carry, thing, size);
        return;
    }
    const uint8_t *bytes = take(carry, size);
    if (bytes != NULL)
        memcpy(thing, bytes, size);
    else
        memset(thing, 0, size);
}

void carry_bytes(struct carry *carry, struct javm_bytes *bytes)
{
    uint64_t len = carry->reads ? 0 : bytes->len;
    carry_plain(carry, &len, sizeof len);
    if (!carry->reads) {
        put(carry, bytes->data, bytes->len);
        return;
    }
    const uint8_t *found = take(carry, len);
    *bytes = found == NULL ? (struct javm_bytes){"", 0} : (struct javm_bytes){found, (size_t)len};
}

void *carry_array(struct carry *carry, const void *items, size_t *count, size_t size, size_t least)
{
    uint64_t number = carry->reads ? 0 : *count;
    carry_plain(carry, &number, sizeof number);
    if (!carry->reads)
        return (void *)(uintptr_t)items; /* who writes does not change them */
    *count = 0;
    if (number > carry->len / least) /* before there is memory for them */
        carry->bad = true;
    if (carry->bad || number == 0)
        return NULL;
    struct block *block = calloc(1, sizeof *block + (size_t)number * size);
    carry->bad = block == NULL;
    if (block == NULL)
        return NULL;
    block->next = carry->blocks;
    carry->blocks = block;
    *count = (size_t)number;
    return block->bytes;
}
