/* The names of a jobs file: images and instances, loaded and published when their line is read. */
#ifndef JAVM_BATCH_DEFINITIONS_H
#define JAVM_BATCH_DEFINITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "batch/diag.h"
#include "batch/fields.h"
#include "javm/cap.h"
#include "javm/directory.h"

/* What a job can invoke. Lives as long as the definitions. */
struct target {
    struct javm_hash instance; /* published */
    struct javm_cap *image;    /* one reference */
    bool paused;               /* a Paused Instance: it can be resumed */
    struct foreign
        *foreign; /* a PVM program, owned; then `instance` is its hash, and the rest none */
};

struct foreign_stubs;

struct definitions;

/* `dir` and `stubs` (NULL: none) are borrowed. `base` is put before relative paths ("" or
 * "some/dir/"). `keep`: PVM programs keep their files. NULL: out of memory. */
struct definitions *definitions_new(struct javm_dir_thread *dir, const char *base,
                                    const struct foreign_stubs *stubs, bool keep);
/* Close what was compiled of them. No job runs any more. */
void definitions_close(struct definitions *definitions);
void definitions_free(struct definitions *definitions);

/* A line with an "image" or "instance" member. False: *problem; then nothing was defined. */
bool definitions_add(struct definitions *definitions, const struct fields *fields,
                     struct problem *problem);
/* The target of a name or of "0x" + 64 hex digits, or NULL with *problem. */
const struct target *definitions_find(struct definitions *definitions, const struct json_node *node,
                                      struct problem *problem);
/* The PVM program in a file, which is loaded once. */
const struct target *definitions_program(struct definitions *definitions,
                                         const struct json_node *node, struct problem *problem);
uint64_t definitions_count(const struct definitions *definitions);

/* base + path, or path alone when it is absolute: malloc'ed; NULL with *problem at `node` for a
 * path with a NUL, an empty one, or when out of memory. */
char *definitions_path(const struct definitions *definitions, const struct json_node *node,
                       const char *text, size_t len, struct problem *problem);

#endif
