/* Programs of a few instructions as .polkavm and standard programs, on both engines. */
#ifndef TESTS_MODULE_SUPPORT_H
#define TESTS_MODULE_SUPPORT_H

#include <string.h>

#include "javm/module.h"
#include "tests/loaders/pvm_maker.h"
#include "tests/vm/pvm_support.h"

#define RETURN(t) PVM(t, 50, 0) /* jump_ind ra */

/* The text as a loader's test writes it down; `starts` takes PVM_CODE bytes. */
static inline struct pvm_source source_of(const struct pvm_text *t, uint8_t *starts)
{
    for (uint32_t i = 0; i < t->len; i++)
        starts[i] = t->bitmask[i / 8] >> i % 8 & 1;
    return (struct pvm_source){t->code, starts, t->len, t->jumps, t->jump_count, 4};
}

static inline void load(struct blob blob, struct javm_pvm_program *program)
{
    struct javm_error err;
    REQUIRE(javm_pvm_load(blob.bytes, blob.len, JAVM_PVM_ANY, program, &err) == JAVM_OK);
    blob_free(&blob);
}

/* One program on both engines. */
struct both {
    struct javm_jit *jit;
    struct javm_pvm_program program;
    struct javm_pvm_module *module[2];
};

static inline void both_open(struct both *both, uint32_t page_size)
{
    REQUIRE(javm_jit_create(NULL, &both->jit, NULL) == JAVM_OK);
    for (unsigned i = 0; i < 2; i++) {
        const struct javm_pvm_module_options options = {.engine = i == 0 ? JAVM_ENGINE_INTERP
                                                                         : JAVM_ENGINE_JIT,
                                                        .jit = both->jit,
                                                        .page_size = page_size};
        REQUIRE(javm_pvm_module_open(&both->program, &options, &both->module[i], NULL) == JAVM_OK);
    }
}

static inline void both_close(struct both *both)
{
    for (unsigned i = 0; i < 2; i++)
        javm_pvm_module_close(both->module[i]);
    javm_pvm_clear(&both->program);
    javm_jit_destroy(both->jit);
    REQUIRE_NO_LEAKS();
}

#endif
