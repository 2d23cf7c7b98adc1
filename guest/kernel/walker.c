/* Goes from page to page of a data set that it has not got: the first word of each page says which
 * is next. It sees one at a time, in slot[0], from whoever catches its yield (pager.c).
 *
 * Slots: 3 YieldSender of the pages' key.
 *
 *     guest_main(first, steps) -> over all words in the order of the walk: value * 31 + word */
#include "javm_guest.h"

#define PAGE_BYTES 4096
JAVM_SCRATCHPAD(PAGE_BYTES);

enum { PAGES = 3 };

uint64_t guest_main(uint64_t first, uint64_t steps, uint64_t c, uint64_t d)
{
    uint64_t *page = (uint64_t *)(void *)javm_scratch();
    uint64_t value = 0;
    (void)c, (void)d;
    for (uint64_t next = first; steps != 0; steps--, next = page[0]) {
        page[0] = next;
        javm_host_yield(PAGES, 0, 0, 0, 0);
        for (size_t i = 0; i < PAGE_BYTES / sizeof *page; i++)
            value = value * 31 + page[i];
    }
    return value;
}
