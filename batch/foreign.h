/* PVM programs in their containers as what jobs invoke: loaded when their line is read, compiled
 * once for each store of native code, run on a fresh instance for each job. */
#ifndef JAVM_BATCH_FOREIGN_H
#define JAVM_BATCH_FOREIGN_H

#include <pthread.h>

#include "javm/hash.h"
#include "javm/module.h"

/* --host-call NAME=VALUE: what a call to the host gives, by the name of its import or by number. */
struct foreign_stub {
    const char *name; /* not NUL-terminated */
    size_t name_len;
    uint64_t value;
};
struct foreign_stubs {
    struct foreign_stub *items;
    size_t count;
};
/* "NAME=VALUE". False: it is none, or out of memory (*full). The text is borrowed. */
bool foreign_stubs_add(struct foreign_stubs *stubs, const char *text, bool *full);

struct foreign_answer {
    uint32_t number;
    uint64_t value;
};

struct foreign_module;

struct foreign {
    _Atomic uint64_t count; /* natives that stores keep of it hold it, too */
    struct javm_pvm_program program;
    uint64_t bytes;        /* of the file */
    uint8_t *file;         /* the file itself, or NULL */
    struct javm_hash hash; /* of the file and of the answers that it gets */
    struct foreign_answer *answers;
    size_t answer_count;
    char **names;         /* of imports, for results: JSON can have them; import_count */
    pthread_mutex_t lock; /* of the list */
    struct foreign_module *modules;
};

/* FORMAT and the like as javm_pvm_load, NOMEM. The text does not name the file. `stubs` is not
 * kept; of the file a copy when `keep`. */
enum javm_status foreign_load(const uint8_t *bytes, size_t len, const struct foreign_stubs *stubs,
                              bool keep, struct foreign **foreign, struct javm_error *err);
/* No runner has an instance of it any more: nothing has its native code open, so that the store may
 * keep it or let it go. NULL is nothing. */
void foreign_close(struct foreign *foreign);
/* The same, and it is not used any more. */
void foreign_free(struct foreign *foreign);
/* Ready for this engine and store; any thread. The module is the foreign's. */
enum javm_status foreign_module(struct foreign *foreign, enum javm_engine engine,
                                struct javm_jit *jit, struct javm_pvm_module **module,
                                struct javm_error *err);
/* The name of an import, for results; borrowed. NULL: it is none. */
const char *foreign_import(const struct foreign *foreign, uint64_t number);
/* NULL: nothing was said about it. */
const uint64_t *foreign_answer(const struct foreign *foreign, uint32_t number);

#endif
