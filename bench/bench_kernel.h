/* Kernel operations as benchmarks: see bench_kernel.c. */
#ifndef BENCH_KERNEL_H
#define BENCH_KERNEL_H

#include "javm/vm.h"

enum bench_kernel {
    BENCH_KERNEL_NOTHING, /* the loop alone */
    BENCH_KERNEL_CALL,    /* CALL and REPLY of a child that touches a page */
    BENCH_KERNEL_SPAWN,   /* DERIVE_SPAWN, first CALL, DROP */
    BENCH_KERNEL_YIELD,   /* a yield that the parent catches and resumes */
    BENCH_KERNEL_CHAIN, /* a copy that makes and calls the next: as many deep as there are rounds */
    BENCH_KERNELS
};

struct kernel_bench;

/* Ends the program when something cannot be made. It lives until the process ends. */
struct kernel_bench *bench_kernel_open(enum bench_kernel what, enum javm_engine engine);
/* One invocation: so many rounds of the operation. `context` is the bench. */
void bench_kernel_run(void *context);
uint32_t bench_kernel_rounds(void);

#endif
