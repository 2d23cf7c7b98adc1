/* The same invocation in four kernels that must not differ: both engines, and both again with a
 * single address space, which every change of the VM takes away. They live on from blob to blob. */
#ifndef TESTS_V2_TWINS_H
#define TESTS_V2_TWINS_H

#include "javm/v2.h"

/* Load and run; differences abort with what they are. False: the blob was refused. */
bool twins_run(const uint8_t *bytes, size_t len, uint64_t gas);

/* A blob of three codes that do what `choices` say: operations on caps of all kinds, loads and
 * stores near mapped pages, services. Returns its length; `blob` has room for TWINS_BLOB bytes. */
#define TWINS_BLOB 65536u
size_t twins_make(const uint8_t *choices, size_t len, uint8_t *blob);

#endif
