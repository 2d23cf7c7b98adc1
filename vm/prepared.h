/* What a Vm keeps ready between invocations: decoded programs by image hash, and instances whose
 * image, program and memory layout are resolved. Everything here belongs to one worker; the counts
 * it holds on published caps spare the directory's shared lines. */
#ifndef JAVM_VM_PREPARED_H
#define JAVM_VM_PREPARED_H

#include <sys/queue.h>

#include "javm/directory.h"
#include "javm/vm.h"

/* A decoded program and the image whose code it borrows. */
struct cached_program {
    LIST_ENTRY(cached_program) same_bucket;
    TAILQ_ENTRY(cached_program) by_use;
    struct javm_hash image_hash;
    struct javm_cap *image;       /* one reference */
    struct javm_program *program; /* INTERP */
    struct javm_native *native;   /* JIT: open */
    uint64_t space; /* of guest memory (vm/memory.h): all its instances have the same regions */
};

/* A published instance, ready to enter. */
struct prepared {
    struct javm_hash hash;
    struct javm_cap *instance; /* one reference; NULL: this place is free */
    struct cached_program *program;
    /* regions[0] is the code, regions[i + 1] belongs to mappings[i] of the image. The Data of each
     * is held by the same index in `held`. */
    struct javm_region *regions;
    struct javm_cap **held;
    uint32_t region_count;
    uint32_t scratch_region; /* the mapping of slot[0], 0: none */
    bool slot0_pinned;
    uint64_t layout; /* id of what the regions show (vm/memory.h) */
    /* Indices of the mappings that have a source, in order of their paths. */
    uint32_t *persistent;
    uint32_t persistent_count;
    uint64_t last_use;
};

#define PREPARED_SETS   64u
#define PREPARED_WAYS   4u
#define PROGRAM_BUCKETS 4096u

struct prepared_cache {
    struct prepared places[PREPARED_SETS][PREPARED_WAYS];
    LIST_HEAD(program_bucket, cached_program) buckets[PROGRAM_BUCKETS];
    TAILQ_HEAD(program_use, cached_program) by_use; /* the one used last is last */
    uint64_t program_limit, clock;
    uint64_t last_id;            /* of spaces and layouts; none is given twice */
    struct javm_jit *jit;        /* borrowed; NULL: programs are decoded for the interpreter */
    struct javm_vm_stats *stats; /* its program_bytes is what program_limit limits */
};

void prepared_init(struct prepared_cache *cache, struct javm_jit *jit, uint64_t program_limit,
                   struct javm_vm_stats *stats);

/* Find or make the entry of a published instance. It stays valid until the next call. */
enum javm_status prepared_get(struct prepared_cache *cache, struct javm_dir_thread *dir,
                              const struct javm_hash *instance, const struct prepared **prepared,
                              struct javm_error *err);
void prepared_flush(struct prepared_cache *cache);

#endif
