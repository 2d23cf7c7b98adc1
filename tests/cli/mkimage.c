/* Writes the files that the shell tests load: mkimage FOLDER puts there
 *   demo.jimg       the demo image (demo_image.h)
 *   named.jbundle   the same under the root name "demo", the only one
 *   two.jbundle     two roots, none named image
 *   data.jbundle    the only root is a Data
 *   pause.jimg      the image of jobs that pause
 *   cut.jimg        the first half of demo.jimg
 *   flipped.jimg    demo.jimg with one byte of the code changed */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo_image.h"

static const char *folder;

static void require(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "mkimage: %s\n", what);
    exit(1);
}

static void save(const char *name, const void *bytes, size_t len)
{
    char path[4096];
    struct javm_error err;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    require(javm_file_write(path, bytes, len, &err) == JAVM_OK, err.text);
}

static void save_bundle(const char *name, const struct javm_bundle *bundle)
{
    struct javm_error err;
    uint8_t *bytes;
    size_t len;
    require(javm_bundle_encode(bundle, &bytes, &len, &err) == JAVM_OK, err.text);
    save(name, bytes, len);
    if (strcmp(name, "demo.jimg") == 0) {
        save("cut.jimg", bytes, len / 2);
        bytes[len / 2] ^= 1;
        save("flipped.jimg", bytes, len);
    }
    free(bytes);
}

/* A blob of the JAR v2 kernel: no memory, one code, which halts with 0x2a2. */
static const uint8_t JAR[] = {0x4A, 0x41, 0x52, 2, 0, 0, 0, 0, 1,    0x40, 0x40, 0, 0,    0, 0,
                              0,    0,    0,    0, 0, 0, 0, 0, 0,    0,    0x10, 0, 0,    0, 0,
                              0,    0,    0,    4, 6, 0, 0, 0, 0x33, 7,    0xA2, 2, 0x0A, 0, 0x31};

int main(int argc, char **argv)
{
    require(argc == 2, "expected a folder");
    folder = argv[1];
    struct javm_bundle bundle;
    save("s.jar", JAR, sizeof JAR);
    require(demo_bundle("image", &bundle), "the image is not admitted");
    save_bundle("demo.jimg", &bundle);
    javm_bundle_clear(&bundle);

    require(pause_bundle(&bundle), "the image is not admitted");
    save_bundle("pause.jimg", &bundle);
    javm_bundle_clear(&bundle);

    require(demo_bundle("demo", &bundle), "the image is not admitted");
    save_bundle("named.jbundle", &bundle);
    struct javm_bundle_root *roots = calloc(2, sizeof *roots);
    require(roots != NULL, "out of memory");
    roots[0] = (struct javm_bundle_root){strdup("a"), 0};
    roots[1] = (struct javm_bundle_root){strdup("b"), 1};
    free(bundle.roots[0].name);
    free(bundle.roots);
    bundle.roots = roots;
    bundle.root_count = 2;
    save_bundle("two.jbundle", &bundle);
    free(roots[1].name);
    bundle.root_count = 1;
    save_bundle("data.jbundle", &bundle);
    javm_bundle_clear(&bundle);
    return 0;
}
