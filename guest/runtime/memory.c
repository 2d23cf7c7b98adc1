/* The four functions that compilers call by themselves. Unaligned access is fine on this machine,
 * so they move words wherever they are. */
#include <stddef.h>
#include <stdint.h>

/* Else the loops below would be recognised as what they implement. */
#define NO_BUILTIN __attribute__((no_builtin))

typedef uint64_t __attribute__((aligned(1), may_alias)) word;

NO_BUILTIN void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
    uint8_t *d = to;
    const uint8_t *s = from;
    for (; len >= 32; len -= 32, d += 32, s += 32) {
        const uint64_t a = ((const word *)s)[0], b = ((const word *)s)[1];
        const uint64_t c = ((const word *)s)[2], e = ((const word *)s)[3];
        ((word *)d)[0] = a;
        ((word *)d)[1] = b;
        ((word *)d)[2] = c;
        ((word *)d)[3] = e;
    }
    for (; len >= 8; len -= 8, d += 8, s += 8)
        *(word *)d = *(const word *)s;
    for (; len != 0; len--)
        *d++ = *s++;
    return to;
}

NO_BUILTIN void *memmove(void *to, const void *from, size_t len)
{
    uint8_t *d = to;
    const uint8_t *s = from;
    if ((uintptr_t)d - (uintptr_t)s >= len)
        return memcpy(to, from, len);
    while (len >= 8) {
        len -= 8;
        *(word *)(d + len) = *(const word *)(s + len);
    }
    while (len != 0) {
        len--;
        d[len] = s[len];
    }
    return to;
}

NO_BUILTIN void *memset(void *to, int byte, size_t len)
{
    uint8_t *d = to;
    const uint64_t pattern = (uint8_t)byte * UINT64_C(0x0101010101010101);
    for (; len >= 32; len -= 32, d += 32)
        ((word *)d)[0] = ((word *)d)[1] = ((word *)d)[2] = ((word *)d)[3] = pattern;
    for (; len >= 8; len -= 8, d += 8)
        *(word *)d = pattern;
    for (; len != 0; len--)
        *d++ = (uint8_t)byte;
    return to;
}

NO_BUILTIN int memcmp(const void *a, const void *b, size_t len)
{
    const uint8_t *x = a, *y = b;
    for (; len >= 8 && *(const word *)x == *(const word *)y; len -= 8, x += 8, y += 8)
        ;
    for (; len != 0; len--, x++, y++)
        if (*x != *y)
            return *x < *y ? -1 : 1;
    return 0;
}
