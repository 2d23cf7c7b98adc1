/* javm-demo-jobs IMAGES COUNT: writes the demo's jobs file to standard output: COUNT jobs over all
 * guests, each with the value that its native twin gives and the gas that the machine took here. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/native/guest_vm.h"

#define BUDGET UINT64_C(1000000000)

/* A fixed generator, so that the file is the same each time. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Vary the demo's arguments: sizes between a half and one and a half, seeds at will. */
static void vary(const struct guest_native *guest, uint64_t *state, uint64_t args[4])
{
    memcpy(args, guest->demo, 4 * sizeof *args);
    const uint64_t size = args[0];
    if (size > 1)
        args[0] = size / 2 + next(state) % (size + 1);
    if (size == 1 && guest->scratch_bytes != 0) { /* signatures: how many, from which vector on */
        args[0] = 1 + next(state) % 2;
        args[2] = next(state) % 8;
    }
    if (guest->scratch_bytes == 0 && args[1] != 0 && strcmp(guest->name, "polyeval") != 0)
        args[1] = 1 + next(state) % 1000;
}

int main(int argc, char **argv)
{
    static uint8_t scratch[65536];
    struct guest_vm *vm = argc == 3 ? guest_vm_open(argv[1], NULL) : NULL;
    if (vm == NULL) {
        fputs("usage: javm-demo-jobs IMAGES COUNT\n", stderr);
        return 2;
    }
    const uint64_t count = strtoull(argv[2], NULL, 10);
    uint64_t state = UINT64_C(0x2545f4914f6cdd1d);
    puts("// Made by javm-demo-jobs; see guest/demo/README.md.");
    for (size_t i = 0; i < guest_native_count; i++)
        printf("{\"image\":\"%s\",\"load\":\"../prebuilt/%s.jimg\"}\n", guest_natives[i].name,
               guest_natives[i].name);
    for (uint64_t n = 0; n < count; n++) {
        const size_t i = (size_t)(n % guest_native_count);
        const struct guest_native *guest = &guest_natives[i];
        struct javm_call_result result;
        struct javm_error err = {.text = ""};
        uint64_t a[4];
        vary(guest, &state, a);
        const uint64_t native = guest_native_run(guest, a, scratch);
        if (guest_vm_invoke(vm, i, a, BUDGET, NULL, &result, &err) != JAVM_OK ||
            result.end != JAVM_END_HALT || result.value != native) {
            fprintf(stderr, "%s(%" PRIu64 "): the machine and the native twin differ: %s\n",
                    guest->name, a[0], err.text);
            return 1;
        }
        printf("{\"id\":\"%s-%" PRIu64 "\",\"invoke\":\"%s\",\"args\":[%" PRIu64 ",%" PRIu64
               ",%" PRIu64 ",%" PRIu64 "],\"expect\":{\"exit\":\"halt\",\"value\":%" PRIu64
               ",\"gas_used\":%" PRIu64 "}}\n",
               guest->name, n / guest_native_count, guest->name, a[0], a[1], a[2], a[3], native,
               result.gas_used);
    }
    guest_vm_close(vm);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
