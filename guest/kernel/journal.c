/* Keeps a journal in a world that is its host's: its gas is a meter's, its pages are files.
 * Whenever so many entries are written it saves the page, tells the host by host call 64 and
 * yields, so that the host can take it away and let it go on elsewhere. Linked with --gas-slot 20.
 *
 * Slots: 3 YieldSender of a key that is not the kernel's; 4 Quota handle; 5 (afterwards) the File
 * handle of the last page; 20 Gas handle.
 *
 *     guest_main(entries, every) -> the sum of the entries, as the file has them; at most 512, and
 *         what a file costs of the quota is two pages. Traps when the host refuses the note:
 * answers anything but how many it has now */
#include "javm_guest.h"

enum { PAUSE = 3, QUOTA, PAGE_FILE, DATA };
enum { HOST_NOTE = 64 };

static uint64_t page[512];
#define ENTRIES (sizeof page / sizeof *page)

static void save(uint64_t written, uint64_t notes)
{
    javm_mint_data(page, sizeof page, QUOTA, DATA);
    if (notes != 1)
        javm_mgmt_drop(PAGE_FILE);
    javm_file_save(DATA, QUOTA, PAGE_FILE);
    javm_mgmt_drop(DATA);
    if (javm_host_call(HOST_NOTE, written, 0, 0, 0).value != notes)
        javm_trap();
}

static uint64_t sum_of_file(void)
{
    uint64_t sum = 0;
    memset(page, 0, sizeof page);
    javm_file_open(PAGE_FILE, DATA);
    javm_read_data(DATA, 0, page, sizeof page);
    for (size_t i = 0; i < ENTRIES; i++)
        sum += page[i];
    return sum;
}

uint64_t guest_main(uint64_t entries, uint64_t every, uint64_t c, uint64_t d)
{
    uint64_t notes = 0;
    (void)c, (void)d;
    if (entries > ENTRIES || every == 0)
        javm_trap();
    for (uint64_t i = 0; i < entries; i++) {
        page[i] = i * i + 1;
        if ((i + 1) % every == 0 || i + 1 == entries) {
            save(i + 1, ++notes);
            javm_host_yield(PAUSE, 0, 0, 0, 0);
        }
    }
    return entries != 0 ? sum_of_file() : 0;
}
