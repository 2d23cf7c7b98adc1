/* What a Vm keeps ready between invocations: decoded programs by image hash, and published
 * instances whose image, program and memory layout are resolved. Everything here belongs to one
 * worker; the counts it holds on published caps spare the directory's shared lines. */
#ifndef JAVM_VM_PREPARED_H
#define JAVM_VM_PREPARED_H

#include "javm/vm.h"
#include "vm/layout.h"

/* A published instance, ready to enter: invocations start from counts of it. */
struct prepared {
    struct javm_hash hash;
    struct instance *instance; /* one count; NULL: this place is free */
    uint64_t last_use;
};

#define PREPARED_SETS   64u
#define PREPARED_WAYS   4u
#define PROGRAM_BUCKETS 4096u

struct prepared_cache {
    struct prepared places[PREPARED_SETS][PREPARED_WAYS];
    struct instance *passing; /* the one that was asked for last and is in an annex, so that it may
                                 go soon and not everybody sees what it names; NULL: none */
    LIST_HEAD(program_bucket, cached_program) buckets[PROGRAM_BUCKETS];
    TAILQ_HEAD(program_use, cached_program) by_use; /* the one used last is last */
    uint64_t program_limit, clock;
    uint64_t last_id;            /* of spaces and layouts; none is given twice */
    bool full;                   /* gas model: first writes cost */
    struct javm_jit *jit;        /* borrowed; NULL: programs are decoded for the interpreter */
    struct javm_vm_stats *stats; /* its program_bytes is what program_limit limits */
};

void prepared_init(struct prepared_cache *cache, struct javm_jit *jit, uint64_t program_limit,
                   struct javm_vm_stats *stats);

/* Find or make the entry of a published instance: with program and layout when it is Idle. *out is
 * borrowed until the next call. MISSING, KIND, UNSUPPORTED, RANGE, NOMEM. */
enum javm_status prepared_get(struct prepared_cache *cache, struct javm_dir_thread *dir,
                              const struct javm_hash *hash, struct instance **out,
                              struct javm_error *err);
/* Give an instance what it needs to be entered, where it has not got it: program and layout.
 * Statuses as above. */
enum javm_status prepare_instance(struct prepared_cache *cache, struct javm_dir_thread *dir,
                                  struct instance *instance, struct javm_error *err);
/* The program of an image, with a count for the caller. `image` may be NULL: then it is looked up
 * in the directory. */
enum javm_status prepare_program(struct prepared_cache *cache, struct javm_dir_thread *dir,
                                 const struct javm_hash *image_hash, struct javm_cap *image,
                                 struct cached_program **out, struct javm_error *err);
/* Let go of the instance that was in an annex. */
void prepared_forget(struct prepared_cache *cache);
void prepared_flush(struct prepared_cache *cache);

#endif
