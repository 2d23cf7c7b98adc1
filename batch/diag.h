/* Messages about a line of the jobs file: file:line:column, the line, a caret. */
#ifndef JAVM_BATCH_DIAG_H
#define JAVM_BATCH_DIAG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What is wrong with a line. */
struct problem {
    size_t offset;  /* byte offset into the line */
    char text[512]; /* what was found, what was expected; NUL-terminated, one line */
};

/* Make a text fit for one line of a terminal and for a JSON string: controls and what is not UTF-8
 * become '?'. Names from a jobs file end up in messages of the system. */
void diag_clean(char *text);

/* Fill in *problem, cleaned; returns false so that `return problem_at(...)` reads well. */
__attribute__((format(printf, 3, 4))) _Bool problem_at(struct problem *problem, size_t offset,
                                                       const char *fmt, ...);

/* 1-based column, counted in characters (a byte that is not UTF-8 counts as one). Where the line
 * ends, or in the CRs that end it: one past the last character. */
size_t diag_column(const char *line, size_t len, size_t offset);

/* Print the message with the line and the caret. A long line is shown around the caret only;
 * control characters and bad UTF-8 are shown as '?'. len 0 with line NULL: only the message. */
void diag_print(FILE *to, const char *file, uint64_t number, const char *line, size_t len,
                const struct problem *problem);

/* "javm-batch: " and the message on stderr, one line, whatever thread. */
__attribute__((format(printf, 1, 2))) void complain(const char *fmt, ...);

#endif
