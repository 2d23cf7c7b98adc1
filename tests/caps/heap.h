/* An allocator that fails when it is told to, and counts. For a program of one thread that is
 * linked with --wrap for malloc, calloc, realloc and free. */
#ifndef TESTS_CAPS_HEAP_H
#define TESTS_CAPS_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/* From now on the fail_at-th allocation fails (0: none), and with fail_on all that follow. */
void heap_arm(unsigned long fail_at, bool fail_on);
/* True when an allocation was made to fail since heap_arm; from now on none does. */
bool heap_disarm(void);
bool heap_failed(void);         /* the same, without an end */
unsigned long heap_calls(void); /* allocations since heap_arm, failed ones too */
long heap_blocks(void);         /* live ones */
size_t heap_bytes(void);        /* in them */
size_t heap_peak(void);         /* the most of them since heap_reset_peak */
void heap_reset_peak(void);

#endif
