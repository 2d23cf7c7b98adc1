/* Yield, gas and quota handles: Instances of well-known kernel chains that run no code (spec: v3
 * capabilities, "Yield and resource handles"). A reader that is given any other cap says "none". */
#ifndef JAVM_HANDLE_H
#define JAVM_HANDLE_H

#include "javm/cap.h"

#ifdef __cplusplus
extern "C" {
#endif

#define JAVM_KERNEL_YIELD_NS 0xCEu

/* Reserved yield keys. */
extern const struct javm_key JAVM_YK_MINT_YIELD, JAVM_YK_MERGE_YIELD_RECEIVER,
    JAVM_YK_SET_GAS_METER, JAVM_YK_MINT_GAS, JAVM_YK_SET_STORAGE_QUOTA, JAVM_YK_MINT_QUOTA,
    JAVM_YK_OOG, JAVM_YK_STORAGE_EXHAUSTED, JAVM_YK_ATTEST;

bool javm_is_kernel_yield_key(const struct javm_key *key);

enum javm_handle {
    JAVM_HANDLE_NONE = 0,
    JAVM_HANDLE_GAS,
    JAVM_HANDLE_QUOTA,
    JAVM_HANDLE_YIELD_SENDER,
    JAVM_HANDLE_YIELD_RECEIVER,
    JAVM_HANDLE_GAS_METER,
    JAVM_HANDLE_STORAGE_QUOTA,
    JAVM_HANDLE_FILE
};

/* Which kernel handle this cap is; NONE for every cap that is not an Instance of such a chain. */
enum javm_handle javm_handle_kind(const struct javm_cap *cap);
const struct javm_hash *javm_handle_chain(enum javm_handle handle);

/* Constructors: a new cap, or NULL (out of memory, or a key with len outside 1..8). */
struct javm_cap *javm_yield_sender(const struct javm_key *key);
struct javm_cap *javm_gas_handle(const struct javm_key *key);
struct javm_cap *javm_quota_handle(const struct javm_key *key);
/* keys in any order, duplicates allowed: they are sorted and made unique. At most 65535. */
struct javm_cap *javm_yield_receiver(const struct javm_key *keys, size_t count);
/* The union; NULL when one is not a YieldReceiver or memory ran out. */
struct javm_cap *javm_merge_yield_receivers(const struct javm_cap *a, const struct javm_cap *b);

/* Readers: false when `cap` is not that handle or its registers do not hold a key. */
bool javm_yield_sender_key(const struct javm_cap *cap, struct javm_key *key);
bool javm_gas_meter_key(const struct javm_cap *cap, struct javm_key *key);
bool javm_quota_key(const struct javm_cap *cap, struct javm_key *key);
/* *keys is malloc'ed (NULL when the set is empty) and becomes the caller's. KIND for another cap.
 */
enum javm_status javm_yield_receiver_keys(const struct javm_cap *cap, struct javm_key **keys,
                                          size_t *count);
/* Membership without allocation. */
bool javm_yield_receiver_has(const struct javm_cap *cap, const struct javm_key *key);

#ifdef __cplusplus
}
#endif
#endif
