/* Any bytes as a standard program or service blob, and as whatever they are found to be. */
#include "tests/fuzz/container_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_program(data, size, JAVM_PVM_SPI);
    if (javm_pvm_sniff(data, size) != JAVM_PVM_JAR)
        fuzz_program(data, size, JAVM_PVM_ANY);
    return 0;
}
