/* Status codes and error values: the one error idiom of libjavm.
 *
 * A function that can fail returns `enum javm_status` and takes a `struct javm_error *` last. The
 * error may be NULL; when it is not, it is written on failure only. A guest that misbehaves is a
 * result (see vm.h), never a status. A broken invariant of our own aborts with its name. */
#ifndef JAVM_STATUS_H
#define JAVM_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Frozen numbers: they go into exit reports and, later, over the wire. Append only. */
enum javm_status {
    JAVM_OK = 0,
    JAVM_E_NOMEM = 1,   /* an allocation or a memory reservation failed */
    JAVM_E_IO = 2,      /* a file could not be opened, read or written; the text has strerror */
    JAVM_E_FORMAT = 3,  /* bytes are not what they claim to be; `where` is the byte offset */
    JAVM_E_RANGE = 4,   /* a number or an index is outside its range */
    JAVM_E_KIND = 5,    /* a cap of another kind was expected */
    JAVM_E_MISSING = 6, /* a hash, name or slot that is not there */
    JAVM_E_FOREIGN = 7, /* a CapRef of another directory */
    JAVM_E_LIVE = 8,    /* a live CapRef where only settled caps can stand */
    JAVM_E_EXISTS = 9,  /* a name or key that is taken */
    JAVM_E_LIMIT = 10,  /* a configured or specified limit would be exceeded */
    JAVM_E_STATE = 11,  /* the object is not in a state that allows the call */
    JAVM_E_UNSUPPORTED = 12, /* known, but not in this build or version */
    JAVM_E_CRASHED = 13      /* the process that did it died */
};

#define JAVM_NOWHERE UINT64_MAX

struct javm_error {
    enum javm_status status;
    uint64_t where; /* byte offset into the input that was read, or JAVM_NOWHERE */
    char text[240]; /* what, where, and what was expected; one line without control characters */
};

/* Fill *err (if not NULL) and return `status`, so that `return javm_fail(...)` reads well.
 * The text is cut at the end of the buffer. Any thread. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
enum javm_status
javm_fail(struct javm_error *err, enum javm_status status, uint64_t where, const char *fmt, ...);

/* As the function, but compilers and analysers see that `status` is what comes back. */
static inline enum javm_status javm_failed(enum javm_status status, enum javm_status same)
{
    (void)same;
    return status;
}
#define javm_fail(err, status, ...) javm_failed(status, javm_fail(err, status, __VA_ARGS__))

/* The frozen lower-case name of a status, e.g. "format"; never NULL. */
const char *javm_status_name(enum javm_status status);

#ifdef __cplusplus
}
#endif
#endif
