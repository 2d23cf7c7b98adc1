/* Any bytes as a linked ELF, for both instruction sets: refused, or linked to an image whose
 * targets the engine agrees with, and whose bundle survives being written and read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "javm/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct javm_bundle *bundle)
{
    struct javm_bundle back;
    uint8_t *bytes;
    size_t len;
    char *findings;
    uint64_t problems;
    const struct javm_image *image = javm_image_of(bundle->caps[bundle->roots[0].cap]);
    if (image->isa == JAVM_ISA_PVM2) { /* the linker looks at each jump of what it translated */
        if (javm_image_check(image, &findings, &problems, NULL) != JAVM_OK || problems != 0)
            abort();
        free(findings);
    }
    /* encoding looks at each page: leave out the sparse giants, which are right but slow */
    if (javm_image_footprint(image) > 4096)
        return;
    if (javm_bundle_encode(bundle, &bytes, &len, NULL) != JAVM_OK ||
        javm_bundle_decode(bytes, len, &back, NULL) != JAVM_OK)
        abort();
    javm_bundle_clear(&back);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int variant = 0; variant < 5; variant++) {
        struct javm_link_options options = {.mark_all = variant == 1 || variant == 4,
                                            .keep_layout = variant == 2,
                                            .pvm = variant >= 3};
        struct javm_bundle bundle;
        struct javm_error err = {0};
        char *map;
        if (javm_link_elf(data, size, &options, &bundle, &map, &err) == JAVM_OK) {
            check(&bundle);
            javm_bundle_clear(&bundle);
            free(map);
        } else if (err.text[0] == 0 || bundle.caps != NULL || map != NULL) {
            abort();
        }
    }
    return 0;
}
