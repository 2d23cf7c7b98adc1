/* Where the heap is: javm-link fills these two in. Volatile, because a compiler that sees the whole
 * program must not believe the initial values; the second one has one, so that the two lie in data
 * that the image holds. */
#include "javm_guest.h"

volatile uint64_t __javm_heap_start, __javm_heap_end = 1;
