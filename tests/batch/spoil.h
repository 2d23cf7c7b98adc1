/* Native code made wrong where it lies in memory, so that a run of it comes to something else. */
#ifndef TESTS_BATCH_SPOIL_H
#define TESTS_BATCH_SPOIL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tests/require.h"

/* Replaces the only 32-bit constant of its kind in all native code; false: there is none. */
static inline bool spoil(uint32_t from, uint32_t to)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    bool found = false;
    REQUIRE(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long begin, end;
        if (strstr(line, "javm-code") == NULL || strstr(line, " rw-s ") == NULL)
            continue;
        REQUIRE(sscanf(line, "%lx-%lx", &begin, &end) == 2);
        for (char *at = (char *)begin; !found && at + sizeof from <= (char *)end; at++)
            if (memcmp(at, &from, sizeof from) == 0) {
                memcpy(at, &to, sizeof to);
                found = true;
            }
    }
    fclose(maps);
    return found;
}

#endif
