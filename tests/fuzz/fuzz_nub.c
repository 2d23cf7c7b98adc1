/* Any bytes as an archived cap: refused with a reason, or read to something whose archived form is
 * read to the same again; and any bytes as a result.
 *
 * Would catch: a read outside the buffer, a leak, allocation without bound, a value that the wire
 * can carry one way only. */
#include <stdlib.h>
#include <string.h>

#include "javm/nub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool what)
{
    if (!what)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct javm_nub_wire wire, again;
    struct javm_nub_result result;
    struct javm_error err = {.text = ""};
    (void)javm_nub_decode_result(data, size, &result, NULL);
    if (javm_nub_decode_cap(data, size, &wire, &err) != JAVM_OK) {
        demand(err.text[0] != '\0' && wire.cap == NULL && wire.overlays == NULL);
        return 0;
    }
    struct javm_hash first, second;
    uint8_t *bytes;
    size_t len;
    for (uint32_t i = 0; i < wire.overlay_count; i++)
        demand(wire.overlays[i].bytes >= data &&
               wire.overlays[i].len <= (size_t)(data + size - wire.overlays[i].bytes));
    if (javm_nub_encode_cap(wire.cap, &bytes, &len, &err) == JAVM_OK) {
        demand(javm_nub_decode_cap(bytes, len, &again, &err) == JAVM_OK);
        demand(javm_cap_hash(wire.cap, &first) == JAVM_OK);
        demand(javm_cap_hash(again.cap, &second) == JAVM_OK);
        demand(javm_hash_equal(&first, &second));
        javm_nub_wire_clear(&again);
        free(bytes);
    } else { /* what arrives can be sent on, but for PVM images with a bitmask and no code */
        demand(err.status == JAVM_E_UNSUPPORTED);
    }
    javm_nub_wire_clear(&wire);
    return 0;
}
