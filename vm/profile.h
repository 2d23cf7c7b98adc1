/* Execution counts of the guests, for choosing the interpreter's fused groups. */
#ifndef JAVM_VM_PROFILE_H
#define JAVM_VM_PROFILE_H

#include <stdint.h>

struct javm_program;

/* One counter per instruction of the program, kept until the process ends. */
uint64_t *profile_counts(const struct javm_program *program);

#endif
