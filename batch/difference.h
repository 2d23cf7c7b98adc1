/* Two result lines of one job, and what is different about them. */
#ifndef JAVM_BATCH_DIFFERENCE_H
#define JAVM_BATCH_DIFFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "batch/result_head.h"

struct difference; /* parsers */

struct difference *difference_new(void); /* NULL: out of memory */
void difference_free(struct difference *difference);

/* "job ID: " or "job ID, rep N: ": of a line that result_head has accepted. */
void difference_name(FILE *to, const char *line, const struct result_head *head);
/* One line: each field but us and worker with what was recorded and what came now. Both lines have
 * json_padding() bytes behind them; `head` is that of the recorded one. False, and nothing is
 * written: no field differs. */
bool difference_tell(struct difference *difference, FILE *to, const char *recorded,
                     size_t recorded_len, const char *got, size_t got_len,
                     const struct result_head *head);

#endif
