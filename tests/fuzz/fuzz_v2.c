/* Any bytes as a JAR v2 blob, or as choices of a generator of them, run in four kernels.
 *
 * Input: gas (2 bytes, times 64), 0 or 1 for the two kinds, the rest. */
#include "tests/v2/twins.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t blob[TWINS_BLOB];
    if (size < 3 || size > 16384)
        return 0;
    const uint64_t gas = 64u * (data[0] + 256u * data[1]);
    if (data[2] & 1)
        twins_run(blob, twins_make(data + 3, size - 3, blob), gas);
    else
        twins_run(data + 3, size - 3, gas);
    return 0;
}
