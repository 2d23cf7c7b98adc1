/* Epoch-based reclamation: ck_epoch of concurrencykit 0.7.1 behind four calls.
 *
 * What is retired here is plain memory, and the places of entries (place.h). Counts of caps and
 * CapRefs are given up at once by whoever gives them up; only bytes and places wait for a grace
 * period. A thread that is stopped inside a section therefore keeps memory from being reused, but
 * holds up neither an operation nor a sweep.
 *
 * ck_epoch_synchronize and ck_epoch_barrier wait for other threads and are not used.
 * ck_epoch_poll_deferred does not wait: it walks the records once and gives up when one lags.
 *
 * Version 0.7.1 argues with the order that x86 gives (upstream: "add missing barrier for RMO
 * architectures in begin", "make poll safer to use", June 2026). Two fences make our use of it
 * right on other multi-copy-atomic machines too; on x86 they cost a compiler barrier and, on
 * retirement only, one mfence.
 *
 * epoch_enter: loads of the section stay behind the load of the global epoch, so a record never
 * announces an epoch newer than what its section can see.
 *
 * epoch_retire: the unlinking is visible before the global epoch is read, so whoever observes the
 * next epoch cannot find the object any more. */
#ifndef CACHE_EPOCH_H
#define CACHE_EPOCH_H

#include <ck_epoch.h>
#include <ck_pr.h>
#include <stddef.h>

#include "cache/atomic.h"

#ifdef CACHE_TSAN
#include <sanitizer/tsan_interface.h>
#define EPOCH_TSAN_RELEASE(at) __tsan_release(at)
#define EPOCH_TSAN_ACQUIRE(at) __tsan_acquire(at)
#else
#define EPOCH_TSAN_RELEASE(at) ((void)(at))
#define EPOCH_TSAN_ACQUIRE(at) ((void)(at))
#endif

/* Sections may nest. One record belongs to one thread. */
static inline void epoch_enter(ck_epoch_record_t *record)
{
    ck_epoch_begin(record, NULL);
    ck_pr_fence_load();
}

static inline void epoch_exit(ck_epoch_record_t *record)
{
    /* what the section read comes before the reuse of memory by whoever polls: epoch_poll */
    EPOCH_TSAN_RELEASE(record->global);
    ck_epoch_end(record, NULL);
}

/* Call inside the section in which the object was unlinked. Once no section that could have seen it
 * is left, some later epoch_poll of this record calls reclaim(link), which must not wait either. */
static inline void epoch_retire(ck_epoch_record_t *record, ck_epoch_entry_t *link,
                                ck_epoch_cb_t *reclaim)
{
    ck_pr_fence_memory();
    ck_epoch_call(record, link, reclaim);
}

/* Reclaim what is past its grace period. Outside of sections. Never waits. */
static inline void epoch_poll(ck_epoch_record_t *record)
{
    ck_stack_t ready = CK_STACK_INITIALIZER;
    ck_epoch_poll_deferred(record, &ready);
    EPOCH_TSAN_ACQUIRE(record->global); /* partner: epoch_exit of every reader */
    for (ck_stack_entry_t *next, *at = ready.head; at != NULL; at = next) {
        next = at->next;
        ck_epoch_entry_t *entry =
            (ck_epoch_entry_t *)(void *)((char *)at - offsetof(ck_epoch_entry_t, stack_entry));
        entry->function(entry);
    }
}

#endif
