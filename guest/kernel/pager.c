/* Serves pages to a program that walks more data than it ever holds: the walker (walker.c) yields
 * the number of a page in slot[0] and finds the page there when it goes on. Link with --receiver 2.
 *
 * Slots: 2 YieldReceiver with the pages' key; 5 the Data, which is not mapped here either; 8 the
 * walker, an Instance.
 *
 *     guest_main(first, steps) -> the walker's value; traps when it faults */
#include "javm_guest.h"

#define PAGE_BYTES 4096
JAVM_SCRATCHPAD(PAGE_BYTES);

enum { SET = 5, WALKER = 8 };

uint64_t guest_main(uint64_t first, uint64_t steps, uint64_t c, uint64_t d)
{
    (void)c, (void)d;
    struct javm_answer walker = javm_call(WALKER, 0, first, steps, 0, 0);
    while (walker.status == JAVM_PAUSED) {
        uint8_t *page = javm_scratch();
        const uint64_t number = *(const uint64_t *)(const void *)page;
        if (javm_read_data(SET, number * PAGE_BYTES, page, PAGE_BYTES).value < PAGE_BYTES)
            memset(page, 0, PAGE_BYTES); /* behind the end */
        walker = javm_call_resume();
    }
    if (walker.status != JAVM_OK)
        javm_trap();
    return walker.value;
}
