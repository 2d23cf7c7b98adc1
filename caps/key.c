/* Keys, CapRefs and slot targets. */
#include <stdio.h>
#include <stdlib.h>

#include "caps/atomic.h"
#include "javm/cap.h"

struct javm_key javm_key_from_u64(uint64_t number)
{
    struct javm_key key = {.len = 0};
    do {
        key.bytes[key.len++] = (uint8_t)number;
        number >>= 8;
    } while (number != 0);
    return key;
}

uint64_t javm_key_pack(const struct javm_key *key)
{
    uint64_t packed = 0;
    for (unsigned i = 0; i < key->len && i < JAVM_MAX_KEY_LEN; i++)
        packed |= (uint64_t)key->bytes[i] << 8 * i;
    return packed;
}

bool javm_key_unpack(uint64_t packed, uint64_t len, struct javm_key *key)
{
    if (len == 0 || len > JAVM_MAX_KEY_LEN)
        return false;
    *key = (struct javm_key){.len = (uint8_t)len};
    for (unsigned i = 0; i < len; i++)
        key->bytes[i] = (uint8_t)(packed >> 8 * i);
    return true;
}

int javm_key_compare(const struct javm_key *a, const struct javm_key *b)
{
    const size_t common = a->len < b->len ? a->len : b->len;
    const int bytes = memcmp(a->bytes, b->bytes, common);
    return bytes != 0 ? bytes : (int)a->len - (int)b->len;
}

void javm_ref_clone(struct javm_ref_cell *ref)
{
    /* Relaxed: the caller's own count keeps the entry alive, so nothing has to become visible. */
    atomic_add_relaxed(&ref->count, 1);
}

void javm_ref_drop(struct javm_ref_cell *ref)
{
    /* Release: what this holder did to the entry happens before the sweep that frees it; its
     * partner is the acquiring exchange of the count in the directory's sweep. */
    if (atomic_sub_release(&ref->count, 1) <= 1) {
        fputs("javm: invariant broken: a CapRef was dropped more often than it was counted\n",
              stderr);
        abort();
    }
}

struct javm_target javm_target_clone(const struct javm_target *target)
{
    if (target->kind == JAVM_TARGET_REF)
        javm_ref_clone(target->ref);
    return *target;
}

void javm_target_drop(struct javm_target *target)
{
    if (target->kind == JAVM_TARGET_REF)
        javm_ref_drop(target->ref);
    target->kind = JAVM_TARGET_EMPTY;
}
