/* What the two halves share. */
#ifndef JAVM_MODULE_MODULE_H
#define JAVM_MODULE_MODULE_H

#include "javm/module.h"

struct javm_pvm_module {
    const struct javm_pvm_program *program; /* borrowed */
    enum javm_engine engine;
    uint32_t page_size;
    struct javm_program *decoded; /* INTERP: owned */
    struct javm_native *native;   /* JIT: owned */
};

#endif
