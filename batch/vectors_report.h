/* Counting vectors and printing what does not match. */
#ifndef JAVM_BATCH_VECTORS_REPORT_H
#define JAVM_BATCH_VECTORS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report {
    bool verbose; /* a line for each vector that passes, too */
    bool quiet;   /* only the totals */
    uint64_t passed, failed;
    /* The vector at hand; both borrowed. */
    const char *path;
    const char *name;
    size_t name_len;
    bool mismatch;
};

void report_begin(struct report *report, const char *name, size_t name_len);
/* One field of the vector at hand: "gas: got 5, want 6". */
__attribute__((format(printf, 2, 3))) void report_mismatch(struct report *report, const char *fmt,
                                                           ...);
/* As above for a number, when the two differ. */
void report_compare(struct report *report, const char *field, uint64_t got, uint64_t want);
/* Count the vector. */
void report_end(struct report *report);

#endif
