/* What a JAR v2 job left, as the texts of its result. */
#ifndef JAVM_BATCH_V2_SHOW_H
#define JAVM_BATCH_V2_SHOW_H

#include "batch/result.h"
#include "batch/v2_job.h"
#include "batch/v2_text.h"

struct v2_buffer {
    char *bytes;
    size_t size;
};

/* Texts of the last result; zeroed: none. */
struct v2_texts {
    struct v2_buffer storage, calls, exports, expected, got;
};
void v2_texts_clear(struct v2_texts *texts);

/* Adds them to the result of a job that ran, which borrows them until the next one; with an error
 * result `left` is not looked at. */
void v2_show(struct v2_texts *texts, const struct job *job, const struct v2_left *left,
             struct result *result);

#endif
