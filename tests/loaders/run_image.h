/* Runs an endpoint of a linked bundle on the engine alone: no kernel, no directory. */
#ifndef JAVM_TEST_RUN_IMAGE_H
#define JAVM_TEST_RUN_IMAGE_H

#include "javm/engine.h"
#include "javm/load.h"

struct run_result {
    enum javm_exit exit;
    int64_t arg;
    uint64_t value; /* φ[7] */
    uint64_t fault;
    uint64_t pc;
};

/* An image on an engine alone, of either instruction set: set registers and pc, then run. */
struct image_machine {
    struct javm_exec exec;
    struct javm_program *program;
    struct javm_jit *jit;
};
void machine_open(struct image_machine *m, const struct javm_bundle *bundle,
                  enum javm_engine engine);
void machine_close(struct image_machine *m);

/* Endpoint by index; φ[7], φ[8] = a0, a1; plenty of gas. */
struct run_result run_image(const struct javm_bundle *bundle, uint32_t endpoint, uint64_t a0,
                            uint64_t a1);
const struct javm_image *image_of(const struct javm_bundle *bundle);
/* Links with the options, and fails the test with the linker's message when that fails. */
struct javm_bundle link_bytes(const uint8_t *bytes, size_t len,
                              const struct javm_link_options *options);
/* A file of tests/data/elf; fails the test when it is not there. malloc'ed. */
uint8_t *read_elf(const char *name, size_t *len);

#endif
