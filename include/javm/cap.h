/* Capabilities: the values of the v3 system (spec: v3 capabilities).
 *
 * A `struct javm_cap` is a counted value of one of five kinds. Once it is visible to a second
 * holder it is immutable: whoever wants to change it calls javm_cap_clone() (O(1) for the heavy
 * parts, which are shared and copied on write) and changes the clone. Retain and release are
 * atomic, so holders may sit on different threads; every function that changes a cap needs the only
 * reference.
 *
 * A slot holds a `struct javm_target`: nothing, the hash of a published cap, or a CapRef to a live
 * entry of a directory. CapRefs are counted in the entry's `struct javm_ref_cell`; this layer
 * counts, the directory (directory.h) frees. */
#ifndef JAVM_CAP_H
#define JAVM_CAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "javm/hash.h"
#include "javm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define JAVM_NUM_REGS         13 /* φ[0]..φ[12], what kernel and host interfaces see */
#define JAVM_NUM_SLOTS        15 /* engine register file: φ[0..12], then x3 and x4 */
#define JAVM_MAX_ENDPOINTS    64
#define JAVM_MAX_SOURCE_DEPTH 8
#define JAVM_MAX_KEY_LEN      8
#define JAVM_PAGE_SIZE        4096u
#define JAVM_PAGE_SHIFT       12

enum javm_kind { JAVM_INSTANCE = 0, JAVM_IMAGE = 1, JAVM_DATA = 2, JAVM_CNODE = 3, JAVM_TYPE = 4 };

const char *javm_kind_name(enum javm_kind kind); /* "Instance", ...; "?" for others */

/* ---- keys ------------------------------------------------------------------------------- */

/* The name of a slot: 1..8 bytes. Unused bytes are zero, so that keys compare with memcmp. */
struct javm_key {
    uint8_t len; /* 0 only for "no key" */
    uint8_t bytes[JAVM_MAX_KEY_LEN];
};

/* The little-endian bytes of a number without trailing zeros; 0 is the one-byte key 0. */
struct javm_key javm_key_from_u64(uint64_t number);
/* Byte i of the key in bits 8i..8i+7; with the length this is the form of registers. */
uint64_t javm_key_pack(const struct javm_key *key);
/* False when len is not 1..8. Bytes of `packed` above len are ignored. */
bool javm_key_unpack(uint64_t packed, uint64_t len, struct javm_key *key);
/* Bytewise, shorter first on a tie: <0, 0, >0. The order of every canonical encoding. */
int javm_key_compare(const struct javm_key *a, const struct javm_key *b);

/* ---- CapRef and targets ----------------------------------------------------------------- */

/* Embedded first in a directory's live entry. `count` is atomic: add relaxed, drop release, and
 * the directory's sweep acquires before it frees. The directory itself holds one. */
struct javm_ref_cell {
    uint64_t count;
    uint64_t directory; /* unique number of the directory that made it; never 0 */
    uint64_t id;        /* unique within the directory, never reused */
};

enum javm_target_kind { JAVM_TARGET_EMPTY = 0, JAVM_TARGET_HASH = 1, JAVM_TARGET_REF = 2 };

/* CapHashOrRef. A target of kind REF owns one count of its cell. Plain copies do not count. */
struct javm_target {
    enum javm_target_kind kind;
    union {
        struct javm_hash hash;
        struct javm_ref_cell *ref;
    };
};

static inline struct javm_target javm_target_hash(const struct javm_hash *hash)
{
    struct javm_target target = {JAVM_TARGET_HASH, {*hash}};
    return target;
}

void javm_ref_clone(struct javm_ref_cell *ref); /* +1, relaxed: the caller already holds one */
void javm_ref_drop(struct javm_ref_cell *ref);  /* -1, release; never frees */
/* Copy with its own count / give up the count and become EMPTY. */
struct javm_target javm_target_clone(const struct javm_target *target);
void javm_target_drop(struct javm_target *target);

/* ---- Data ------------------------------------------------------------------------------- */

struct javm_cap;

/* Every constructor returns a new cap with one reference for the caller, or NULL when memory ran
 * out or an argument is out of range. */

/* `len` bytes, zero-padded to pages; all-zero pages are not stored. NULL when len > 2^32. */
struct javm_cap *javm_data_new(const void *bytes, size_t len);
/* `pages` zero pages: costs O(1). */
struct javm_cap *javm_data_new_zero(uint64_t pages);
uint64_t javm_data_pages(const struct javm_cap *data);
/* The bytes of one page, or NULL when the page is all zero. Valid while the caller's reference is;
 * O(log pages). */
const uint8_t *javm_data_page(const struct javm_cap *data, uint64_t page);
/* Replace one page by a copy of `bytes` (JAVM_PAGE_SIZE of them); a zero page is stored as
 * nothing. Needs the only reference to `data`; pages and tree nodes that are shared with clones are
 * copied, O(log pages). RANGE, NOMEM (then nothing changed). */
enum javm_status javm_data_write_page(struct javm_cap *data, uint64_t page, const uint8_t *bytes);
/* Copy [offset, offset + len) out; the caller ensures that the range lies inside. */
void javm_data_read(const struct javm_cap *data, uint64_t offset, void *to, size_t len);
/* page_root of the merkle tree. Work is O(pages changed since the last call x log pages). Safe
 * on a shared cap. */
struct javm_hash javm_data_root(const struct javm_cap *data);

/* ---- CNode ------------------------------------------------------------------------------ */

struct javm_cap *javm_cnode_new(void);
uint32_t javm_cnode_count(const struct javm_cap *cnode);
/* Borrowed pointer, valid until the cnode changes or is released; NULL when the slot is empty. */
const struct javm_target *javm_cnode_get(const struct javm_cap *cnode, const struct javm_key *key);
/* Slot number i in key order, i < count. */
const struct javm_target *javm_cnode_at(const struct javm_cap *cnode, uint32_t i,
                                        struct javm_key *key);
/* Put *target into the slot; the count that *target owns becomes the cnode's and what was there is
 * dropped. Setting an EMPTY target clears the slot. Needs the only reference. NOMEM changes nothing
 * and leaves *target with the caller. */
enum javm_status javm_cnode_set(struct javm_cap *cnode, const struct javm_key *key,
                                struct javm_target *target);
/* Take the slot's content out (EMPTY when there is none); the slot is then empty. Needs the only
 * reference; may need memory when the table is shared with a clone: NOMEM changes nothing. */
enum javm_status javm_cnode_take(struct javm_cap *cnode, const struct javm_key *key,
                                 struct javm_target *taken);

/* ---- Type ------------------------------------------------------------------------------- */

struct javm_cap *javm_type_new(const struct javm_hash *image_hash_chain);
const struct javm_hash *javm_type_chain(const struct javm_cap *type);

/* ---- Instance --------------------------------------------------------------------------- */

enum javm_instance_status { JAVM_IDLE = 0, JAVM_PAUSED = 1, JAVM_FAULTED = 2 };

struct javm_instance {
    struct javm_hash image_hash_chain;
    struct javm_hash image_hash;
    struct javm_target root_cnode; /* HASH or REF; 32 zero bytes for kernel handles */
    struct javm_cap *mem;          /* a Data, owned; never NULL */
    uint64_t regs[JAVM_NUM_SLOTS];
    uint64_t pc;
    uint64_t gas_remaining;
    enum javm_instance_status status;
    struct javm_key yield_key; /* len 0 unless PAUSED */
};

/* Takes over root_cnode's count and the reference to mem from *fields on success. */
struct javm_cap *javm_instance_new(const struct javm_instance *fields);
const struct javm_instance *javm_instance_of(const struct javm_cap *instance);
/* For the holder of the only reference: fields may be changed; ownership rules as in the struct.
 * Forgets a remembered hash. */
struct javm_instance *javm_instance_mut(struct javm_cap *instance);

/* ---- all kinds -------------------------------------------------------------------------- */

enum javm_kind javm_cap_kind(const struct javm_cap *cap);
/* Returns `cap`. Relaxed: the caller already holds a reference. */
struct javm_cap *javm_cap_retain(const struct javm_cap *cap);
/* NULL is allowed. The last release (acquire-release) drops every CapRef and cap inside. */
void javm_cap_release(struct javm_cap *cap);
/* A cap of equal value that the caller owns alone and may change. Pages, slot tables' targets and
 * image bodies stay shared; every CapRef inside gains a count. NULL when out of memory. */
struct javm_cap *javm_cap_clone(const struct javm_cap *cap);
/* True when a CapRef stands directly in this cap (its slots, root_cnode). */
bool javm_cap_has_ref(const struct javm_cap *cap);
/* cap_hash. LIVE when the cap contains a CapRef. The result is remembered in the cap. */
enum javm_status javm_cap_hash(const struct javm_cap *cap, struct javm_hash *hash);
/* Calls visit(ctx, hash) for every hash that the cap names directly (slots, pinned, initial,
 * image_hash, root cnode; not a Type's chain, not all-zero hashes) until it returns false; returns
 * false then. */
bool javm_cap_each_hash(const struct javm_cap *cap,
                        bool (*visit)(void *ctx, const struct javm_hash *hash), void *ctx);
/* Bytes that the cap keeps allocated by itself, shared parts included; for statistics. */
uint64_t javm_cap_bytes(const struct javm_cap *cap);

/* chain at genesis is cap_hash(image); this extends it: H(chain || image_hash). */
struct javm_hash javm_chain_extend(const struct javm_hash *chain,
                                   const struct javm_hash *image_hash);

#ifdef __cplusplus
}
#endif
#endif
