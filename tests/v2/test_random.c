/* Random programs over random tables, in four kernels that must agree (twins.h).
 *
 * Would catch: what an engine, a window that is taken away, or an earlier invocation changes in the
 * result, in what the services are told, in the memory at any service call; gas that comes from
 * nowhere (in builds with assertions). */
#include <criterion/criterion.h>

#include "tests/require.h"
#include "tests/v2/twins.h"

Test(v2_random, four_kernels_agree)
{
    static uint8_t choices[3000], blob[TWINS_BLOB];
    struct random random = {.state = 5};
    const unsigned rounds = (SANITIZED ? 40 : 400) * stress_factor();
    for (unsigned i = 0; i < rounds; i++) {
        const size_t len = random_below(&random, sizeof choices);
        random_bytes(&random, choices, len);
        REQUIRE(twins_run(blob, twins_make(choices, len, blob),
                          100000 + random_below(&random, 3000000)));
    }
}
