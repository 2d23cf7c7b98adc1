/* Programs of the JAR v2 kernel, each file loaded once for a batch. One thread gets them; what it
 * got may be used by all, as long as the store lives. */
#ifndef JAVM_BATCH_V2_PROGRAMS_H
#define JAVM_BATCH_V2_PROGRAMS_H

#include "javm/hash.h"
#include "javm/v2.h"

struct v2_program {
    struct javm_v2_blob *blob;
    struct javm_hash hash; /* of the file's bytes */
    uint8_t *file;         /* which are here, when they are kept; else NULL */
    size_t len;
};
struct v2_programs;

/* FORMAT and the like as javm_v2_blob_load, NOMEM. The text does not name the file. */
enum javm_status v2_program_load(const uint8_t *bytes, size_t len, struct v2_program *program,
                                 struct javm_error *err);
/* `keep`: programs keep their files. NULL: out of memory. */
struct v2_programs *v2_programs_new(bool keep);
void v2_programs_free(struct v2_programs *programs);
/* NULL: *err, which names the path. */
const struct v2_program *v2_programs_get(struct v2_programs *programs, const char *path,
                                         struct javm_error *err);

#endif
