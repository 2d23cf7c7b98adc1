/* Makes a copy of itself and calls it, and so on: a chain as deep as was asked for, or as the host
 * allows. Each level keeps the one below, so that the instance is left with the whole chain in it.
 *
 * Slots: 3 this Image; 5 (afterwards) the next level.
 *
 *     guest_main(levels) -> how many levels below this one replied; fewer than asked for when the
 *         call stack has no room: the level that has none faults, and the one above it is the last
 */
#include "javm_guest.h"

enum { IMAGE = 3, CNODE, NEXT };
enum { DEPTH_LIMIT = 7 };

uint64_t guest_main(uint64_t levels, uint64_t b, uint64_t c, uint64_t d)
{
    (void)b, (void)c, (void)d;
    if (levels == 0)
        return 0;
    javm_cnode_mint(CNODE);
    javm_mgmt_copy(IMAGE, javm_path(CNODE, IMAGE));
    javm_derive_spawn(IMAGE, CNODE, NEXT);
    const struct javm_answer next = javm_call(NEXT, 0, levels - 1, 0, 0, 0);
    if (next.status == JAVM_OK)
        return next.value + 1;
    if (next.value != DEPTH_LIMIT)
        javm_trap();
    return 0;
}
