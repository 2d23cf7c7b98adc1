/* The child of test_machine.c: a program compiled in a virtual machine of the child's own, whose
 * machine code is replaced by bytes that somebody sends. */
#ifndef TESTS_NUB_PRISON_H
#define TESTS_NUB_PRISON_H

#include "vm/nub/serve.h"

enum { FN_WHERE, FN_RUN, FN_CLEAN, FN_IOCTL };

/* Answer of FN_WHERE: addresses in the child. */
struct prison_map {
    uint64_t base, other;          /* guest address 0 of the memory that runs, of another window */
    uint64_t own, stack;           /* data of the child's, and its stack */
    uint64_t shared;               /* the region */
    uint64_t writable, executable; /* the views of compiled code */
    uint64_t code;                 /* where the bytes will lie */
    uint64_t table;
    uint64_t gate;  /* the last instruction of all ways out */
    uint64_t exits; /* displacement from GS of the address of the way out that stops a run */
    int32_t vm, vcpu;
};
/* Answer of FN_RUN and FN_CLEAN. */
struct prison_end {
    uint64_t exit;
    uint64_t rax; /* FN_CLEAN: what the program came to */
};
#define CLEAN_RESULT UINT64_C(1000)

/* For struct nub_program; options is NULL. */
enum javm_status prison_start(const void *options, struct nub_region *region,
                              struct nub_service *service, struct javm_error *err);

#endif
