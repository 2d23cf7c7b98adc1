/* The store of named natives, and the cache directory behind it. */
#ifndef JAVM_VM_JIT_STORE_H
#define JAVM_VM_JIT_STORE_H

#include <sys/queue.h>

#include "vm/jit.h"

/* A native under its name. Programs whose keys pick the same costs are the same. */
struct jit_entry {
    LIST_ENTRY(jit_entry) in_bucket;
    TAILQ_ENTRY(jit_entry) in_idle; /* while users is 0 */
    struct javm_hash name;
    uint32_t memory_cycles;
    uint64_t cow_cost;
    enum javm_pvm pvm;
    unsigned features;
    struct javm_native *native;
    uint64_t users;
    uint64_t bytes; /* while idle: what forgetting it would give back */
    /* The native's region_count when a file was last read or written. Who has the entry taken out
     * of the table, or the native's lock. */
    uint64_t filed;
};

/* ---- cache directory -------------------------------------------------------------------- */

/* One file per name. Files hold native code that is run as it is, so they are trusted: only what
 * this user wrote into a directory that only this user can write to is read. What is checked beyond
 * that (version, program, checksum, every count and offset before it is used) is there for files
 * that are damaged or from elsewhere; it does not make a hostile file harmless. */
struct jit_files {
    int dir;                    /* -1: none */
    pthread_mutex_t load_lock;  /* load; held while room is made, so it is not the other */
    struct jit_buffer load;     /* one for all, so that small programs share chunks */
    pthread_mutex_t error_lock; /* first_error */
    struct javm_error first_error;
    _Atomic uint64_t loaded, saved, refused, failed;
};

/* path may be NULL. IO. */
enum javm_status jit_files_open(struct jit_files *files, struct jit_arena *arena, const char *path,
                                struct javm_error *err);
void jit_files_close(struct jit_files *files);
/* The first error of a write since the last call. */
enum javm_status jit_files_error(struct jit_files *files, struct javm_error *err);
/* Publish what the entry's file has, if there is a right one. The native's lock is held. */
void jit_file_load(struct jit_files *files, struct jit_entry *entry);
/* Write the entry's file if regions came since. Nobody uses the native. */
void jit_file_save(struct jit_files *files, struct jit_entry *entry);

#endif
