/* The host's functions, and what a Vm keeps itself where there are none: meters, quotas, files,
 * attestations, for the time of one invocation. */
#ifndef JAVM_VM_KERNEL_ASSIST_H
#define JAVM_VM_KERNEL_ASSIST_H

#include "javm/assist.h"

/* Numbers by key: open addressing, at most half full. */
struct number_table {
    struct number {
        struct javm_key key; /* len 0: free */
        uint64_t value;
    } * places;
    uint32_t used, room; /* room: a power of two, or 0 */
    uint64_t seed;       /* keys are guests' choice: where they land is not */
};

struct recorded {
    struct javm_key key;
    struct javm_cap *data; /* one reference */
};

struct assist {
    struct javm_assist host; /* members may be NULL */
    bool used;               /* something is in what follows */
    struct number_table gas, quota;
    struct javm_cap **files; /* by number - 1; references */
    uint32_t file_count, file_room;
    struct recorded *recorded;
    uint32_t recorded_count, recorded_room;
};

void assist_init(struct assist *assist, const struct javm_assist *host);
/* A new invocation. Memory of small tables stays. */
void assist_forget(struct assist *assist);
static inline void assist_reset(struct assist *assist)
{
    if (assist->used || assist->host.reset != NULL)
        assist_forget(assist);
}
void assist_free(struct assist *assist);

enum meter { METER_GAS, METER_QUOTA };
enum javm_status assist_get(struct assist *assist, enum meter meter, const struct javm_key *key,
                            uint64_t *value);
enum javm_status assist_set(struct assist *assist, enum meter meter, const struct javm_key *key,
                            uint64_t value);
/* All meters or quotas that the Vm keeps itself, for a continuation that takes them along: calls
 * visit for each that was set, in no order. */
void assist_each(const struct assist *assist, enum meter meter,
                 void (*visit)(void *context, const struct javm_key *key, uint64_t value),
                 void *context);
uint32_t assist_count(const struct assist *assist, enum meter meter);
/* Add to what the Vm keeps itself: what a continuation brought along, in its order. */
enum javm_status assist_keep_file(struct assist *assist, const struct javm_cap *data);
enum javm_status assist_keep_attestation(struct assist *assist, const struct javm_key *key,
                                         const struct javm_cap *data);
/* As in struct javm_assist. */
enum javm_status assist_file_save(struct assist *assist, const struct javm_cap *data,
                                  struct javm_key *name);
enum javm_status assist_file_open(struct assist *assist, const struct javm_key *name,
                                  struct javm_cap **data);
enum javm_status assist_attest(struct assist *assist, const struct javm_key *key,
                               const struct javm_cap *data, uint64_t *answer);

#endif
