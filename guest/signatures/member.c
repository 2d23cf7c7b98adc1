/* A guest as a part of another: its guest_main is MEMBER_MAIN, and the scratchpad is mapped there.
 */
#include "javm_guest.h"
#undef JAVM_SCRATCHPAD
#define JAVM_SCRATCHPAD(bytes) _Static_assert((bytes) <= 16384, "what the whole program maps")
#define guest_main             MEMBER_MAIN
#include MEMBER
