/* Files of caps to an executor: bundles (.jimg, .jbundle) and linked ELF files with all that their
 * roots need, children first, or one archived cap as it is. */
#ifndef JAVM_RPC_PUT_H
#define JAVM_RPC_PUT_H

#include "rpc/remote.h"

struct put_root {
    char name[256]; /* "" for an archived cap */
    bool known;     /* `kind` is; an archived cap is not looked at here */
    enum javm_kind kind;
    struct javm_hash hash;
    bool runs;                 /* it can be invoked: */
    struct javm_hash instance; /* itself, or of an Image a fresh Instance, which was put, too */
};
struct put {
    struct put_root *roots; /* owned */
    uint32_t count;
    uint32_t refused; /* the error number that the executor answered, or 0; then PUT_FAILED */
};

/* PUT_BAD_FILE: it cannot be read or sent. PUT_FAILED: the executor refuses. PUT_LOST: it is gone.
 * *err begins with the path. *put is empty then. */
enum put_end { PUT_DONE, PUT_BAD_FILE, PUT_FAILED, PUT_LOST };
enum put_end put_file(struct remote *remote, const char *path, struct put *put,
                      struct javm_error *err);
void put_clear(struct put *put);

#endif
