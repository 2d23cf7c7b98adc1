/* Programs of the JAR v2 kernel, each file loaded once for a batch. One thread gets them; what it
 * got may be used by all, as long as the store lives. */
#ifndef JAVM_BATCH_V2_PROGRAMS_H
#define JAVM_BATCH_V2_PROGRAMS_H

#include "javm/hash.h"
#include "javm/v2.h"

struct v2_program {
    struct javm_v2_blob *blob;
    struct javm_hash hash; /* of the file's bytes */
};
struct v2_programs;

struct v2_programs *v2_programs_new(void); /* NULL: out of memory */
void v2_programs_free(struct v2_programs *programs);
/* NULL: *err, which names the path. */
const struct v2_program *v2_programs_get(struct v2_programs *programs, const char *path,
                                         struct javm_error *err);

#endif
