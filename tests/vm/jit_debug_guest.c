/* For gdb_unwind.sh: a guest that runs until somebody looks at it, `loop` or `deep` in calls. A
 * signal comes every few milliseconds of its time, so that a debugger gets to see it. */
#include <sys/time.h>

#include "tests/vm/jit_debug_guests.h"

#define DEPTH 3000u

uintptr_t guest_code_end; /* for gdb, which knows where it begins by name */

int main(int argc, char **argv)
{
    struct guest g;
    const bool deep = argc > 1 && strcmp(argv[1], "deep") == 0;
    const struct itimerval tick = {.it_interval = {.tv_usec = 5000}, .it_value = {.tv_usec = 5000}};
    guest_open(&g, NULL);
    guest_code_end = (uintptr_t)g.jit->arena->executable + g.jit->arena->bytes;
    guest_start(&g, deep ? GUEST_DEEP : GUEST_LOOP, deep ? DEPTH : UINT64_MAX, UINT64_MAX,
                UINT64_C(1) << 60);
    REQUIRE(setitimer(ITIMER_VIRTUAL, &tick, NULL) == 0); /* without a debugger it ends here */
    javm_exec_run(&g.m.exec, 0);
    guest_close(&g);
    return 0;
}
