/* Any bytes as code blobs of both profiles: refused with a place, or read as PVM 2 says. */
#include "tests/fuzz/container_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_program(data, size, JAVM_PVM_CODE_JAR1);
    fuzz_program(data, size, JAVM_PVM_CODE_GP);
    return 0;
}
