#include "bench/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void bench_check(enum javm_status status, const char *what, const struct javm_error *err)
{
    if (status == JAVM_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

void bench_image_load(const char *folder, const char *name, struct bench_image *image)
{
    char path[1024];
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct javm_error err = {.text = ""};
    snprintf(path, sizeof path, "%s/%s.jimg", folder, name);
    bench_check(javm_file_read(path, 0, &bytes, &len, &err), path, &err);
    bench_check(javm_bundle_decode(bytes, len, &image->bundle, &err), path, &err);
    free(bytes);
    image->image = javm_image_of(image->bundle.caps[image->bundle.roots[0].cap]);
    image->key = javm_program_key_of(image->image);
}

static const struct javm_cap *find(const struct javm_bundle *bundle, const struct javm_hash *hash)
{
    for (uint32_t i = 0; i < bundle->cap_count; i++) {
        struct javm_hash has;
        if (javm_cap_hash(bundle->caps[i], &has) == JAVM_OK && javm_hash_equal(&has, hash))
            return bundle->caps[i];
    }
    return NULL;
}

struct javm_region *bench_image_regions(const struct bench_image *image, size_t *count)
{
    const struct javm_image *fields = image->image;
    struct javm_region *regions = calloc(fields->mapping_count + (size_t)1, sizeof *regions);
    if (regions == NULL)
        abort();
    regions[0] = (struct javm_region){
        .first_page = JAVM_CODE_BASE >> JAVM_PAGE_SHIFT,
        .pages = (uint32_t)((fields->code_len + JAVM_PAGE_SIZE - 1) >> JAVM_PAGE_SHIFT),
        .kind = JAVM_REGION_BYTES,
        .bytes = fields->code,
        .len = fields->code_len};
    for (uint32_t i = 0; i < fields->mapping_count; i++) {
        const struct javm_mapping *mapping = &fields->mappings[i];
        const struct javm_key *slot = mapping->depth == 1 ? &mapping->path[0] : NULL;
        const struct javm_pin *pinned = slot != NULL ? javm_image_pinned(fields, slot) : NULL;
        const struct javm_pin *pin =
            slot != NULL && pinned == NULL ? javm_image_initial(fields, slot) : pinned;
        regions[i + 1] =
            (struct javm_region){.first_page = (uint32_t)(mapping->start >> JAVM_PAGE_SHIFT),
                                 .pages = (uint32_t)(mapping->size >> JAVM_PAGE_SHIFT),
                                 .kind = pin != NULL ? JAVM_REGION_DATA : JAVM_REGION_ZERO,
                                 .writable = pinned == NULL,
                                 .data = pin != NULL ? find(&image->bundle, &pin->hash) : NULL};
    }
    *count = fields->mapping_count + (size_t)1;
    return regions;
}

uint64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}
