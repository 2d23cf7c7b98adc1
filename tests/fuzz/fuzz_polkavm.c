/* Any bytes as a .polkavm file. The magic and the length in the header are made right when the
 * first byte is not the magic's, so that mutations get past them. */
#include "tests/fuzz/container_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    REQUIRE(bytes != NULL);
    memcpy(bytes, data, size);
    if (size >= 14 && data[0] != 'P') {
        memcpy(bytes, "PVM", 4);
        for (unsigned i = 0; i < 8; i++)
            bytes[5 + i] = (uint8_t)((uint64_t)size >> 8 * i);
    }
    fuzz_program(bytes, size, JAVM_PVM_POLKAVM);
    free(bytes);
    return 0;
}
