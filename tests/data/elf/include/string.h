/* Enough of <string.h> for the samples, which the compiler's own headers do not bring. */
#include <stddef.h>
void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
