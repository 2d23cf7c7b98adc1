/* Shared by tests that invoke the images of guest/prebuilt. JAVM_SOURCE is the source tree. */
#ifndef TESTS_VM_PREBUILT_H
#define TESTS_VM_PREBUILT_H

#include "javm/load.h"
#include "tests/vm/support.h"

#ifndef JAVM_PREBUILT
#define JAVM_PREBUILT "guest/prebuilt"
#endif

/* The Image of JAVM_PREBUILT/<name>.jimg, published. */
static inline struct javm_hash prebuilt_image(struct javm_dir_thread *dir, const char *name)
{
    char path[1024];
    uint8_t *bytes;
    size_t len;
    struct javm_bundle bundle;
    struct javm_hash *roots;
    snprintf(path, sizeof path, "%s/" JAVM_PREBUILT "/%s.jimg", JAVM_SOURCE, name);
    REQUIRE(javm_file_read(path, 0, &bytes, &len, NULL) == JAVM_OK);
    REQUIRE(javm_bundle_decode(bytes, len, &bundle, NULL) == JAVM_OK);
    REQUIRE(javm_bundle_publish(&bundle, dir, &roots, NULL) == JAVM_OK);
    const struct javm_hash image = roots[0];
    free(roots);
    free(bytes);
    javm_bundle_clear(&bundle);
    return image;
}

/* A fresh instance of it. */
static inline struct javm_hash prebuilt(struct javm_dir_thread *dir, const char *name)
{
    const struct javm_hash image = prebuilt_image(dir, name);
    return instantiate(dir, &image);
}

#endif
