/* Any bytes as a bundle: refused, or decoded to something whose encoding is the same bytes again.
 * The last 32 bytes are made a right checksum when the first byte is not the magic's, so that
 * mutations get past it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "javm/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void repair(uint8_t *bytes, size_t len)
{
    static const uint8_t magic[12] = {'J', 'A', 'V', 'M', 13, 10, 26, 10, 1, 0, 0, 0};
    if (len < 56)
        return;
    memcpy(bytes, magic, sizeof magic);
    struct javm_bytes piece = {bytes, len - JAVM_HASH_BYTES};
    struct javm_hash sum = javm_hash_pieces(&piece, 1);
    memcpy(bytes + len - JAVM_HASH_BYTES, sum.bytes, JAVM_HASH_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct javm_bundle bundle;
    uint8_t *bytes = malloc(size + 1), *again;
    size_t len;
    if (bytes == NULL)
        abort();
    memcpy(bytes, data, size);
    if (size > 0 && data[0] != 'J')
        repair(bytes, size);
    struct javm_error err = {0};
    if (javm_bundle_decode(bytes, size, &bundle, &err) == JAVM_OK) {
        if (javm_bundle_encode(&bundle, &again, &len, NULL) != JAVM_OK || len != size ||
            memcmp(again, bytes, size) != 0)
            abort();
        free(again);
        javm_bundle_clear(&bundle);
    } else if (err.text[0] == 0 || bundle.caps != NULL) {
        abort();
    }
    free(bytes);
    return 0;
}
