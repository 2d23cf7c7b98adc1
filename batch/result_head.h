/* The head of a result line, read as result_line writes it: what names the job. */
#ifndef JAVM_BATCH_RESULT_HEAD_H
#define JAVM_BATCH_RESULT_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "batch/diag.h"

struct result_head {
    size_t key_len;  /* the line's first bytes, up to the job hash: {"id":...,"job":"..." */
    size_t id_len;   /* the id as JSON, behind {"id": */
    size_t rep_len;  /* the digits of rep, behind the key and ,"rep": ; 0: it has none */
    size_t same_len; /* up to where only us and worker follow, or the closing brace */
    bool failed;     /* an error, a crash, or not as expected */
    bool crashed;
};

#define RESULT_ID_AT    6 /* where the id begins */
#define RESULT_REP_SKIP 7 /* from the key to the digits of rep */

/* `line` is anybody's bytes, without its newline. False: *problem says what was expected where. */
bool result_head(const char *line, size_t len, struct result_head *head, struct problem *problem);

#endif
