#include "javm/handle.h"

#include <stdlib.h>

#include "caps/cap_impl.h"

#define KERNEL_KEY(low)                                  \
    {                                                    \
        .len = 2, .bytes = { JAVM_KERNEL_YIELD_NS, low } \
    }
const struct javm_key JAVM_YK_MINT_YIELD = KERNEL_KEY(0x01);
const struct javm_key JAVM_YK_MERGE_YIELD_RECEIVER = KERNEL_KEY(0x02);
const struct javm_key JAVM_YK_SET_GAS_METER = KERNEL_KEY(0x03);
const struct javm_key JAVM_YK_MINT_GAS = KERNEL_KEY(0x04);
const struct javm_key JAVM_YK_SET_STORAGE_QUOTA = KERNEL_KEY(0x05);
const struct javm_key JAVM_YK_MINT_QUOTA = KERNEL_KEY(0x06);
const struct javm_key JAVM_YK_OOG = KERNEL_KEY(0x10);
const struct javm_key JAVM_YK_STORAGE_EXHAUSTED = KERNEL_KEY(0x11);
const struct javm_key JAVM_YK_ATTEST = KERNEL_KEY(0x20);

#define HANDLES  (JAVM_HANDLE_FILE + 1)
#define KEYS_MAX 65535u

/* H("kernel:<name>") of each handle; computed once, before main. */
static struct javm_hash chains[HANDLES];

__attribute__((constructor)) static void fill_chains(void)
{
    static const char *const names[HANDLES] = {
        [JAVM_HANDLE_GAS] = "gas",
        [JAVM_HANDLE_QUOTA] = "quota",
        [JAVM_HANDLE_YIELD_SENDER] = "yieldsender",
        [JAVM_HANDLE_YIELD_RECEIVER] = "yieldreceiver",
        [JAVM_HANDLE_GAS_METER] = "gasmeter",
        [JAVM_HANDLE_STORAGE_QUOTA] = "storagequota",
        [JAVM_HANDLE_FILE] = "file",
    };
    for (int i = JAVM_HANDLE_NONE + 1; i < HANDLES; i++)
        chains[i] = javm_hash_kernel(names[i]);
}

bool javm_is_kernel_yield_key(const struct javm_key *key)
{
    return key->len != 0 && key->bytes[0] == JAVM_KERNEL_YIELD_NS;
}

const struct javm_hash *javm_handle_chain(enum javm_handle handle)
{
    return &chains[handle];
}

enum javm_handle javm_handle_kind(const struct javm_cap *cap)
{
    if (javm_cap_kind(cap) == JAVM_INSTANCE)
        for (int i = JAVM_HANDLE_NONE + 1; i < HANDLES; i++)
            if (javm_hash_equal(&cap->instance.image_hash_chain, &chains[i]))
                return (enum javm_handle)i;
    return JAVM_HANDLE_NONE;
}

/* An Instance of a kernel chain: no image, no cnode. Takes over `mem`, also when it fails. */
static struct javm_cap *make_handle(enum javm_handle handle, struct javm_cap *mem,
                                    const struct javm_key *key)
{
    struct javm_instance fields = {
        .image_hash_chain = chains[handle], .root_cnode = {.kind = JAVM_TARGET_HASH}, .mem = mem};
    if (key != NULL) {
        fields.regs[0] = javm_key_pack(key);
        fields.regs[1] = key->len;
    }
    struct javm_cap *cap = mem != NULL ? javm_instance_new(&fields) : NULL;
    if (cap == NULL)
        javm_cap_release(mem);
    return cap;
}

static struct javm_cap *key_handle(enum javm_handle handle, const struct javm_key *key)
{
    if (key->len == 0 || key->len > JAVM_MAX_KEY_LEN)
        return NULL;
    return make_handle(handle, javm_data_new_zero(0), key);
}

static bool handle_key(const struct javm_cap *cap, enum javm_handle handle, struct javm_key *key)
{
    if (javm_handle_kind(cap) != handle)
        return false;
    const uint64_t *regs = cap->instance.regs;
    return javm_key_unpack(regs[0], regs[1], key);
}

struct javm_cap *javm_yield_sender(const struct javm_key *key)
{
    return key_handle(JAVM_HANDLE_YIELD_SENDER, key);
}

struct javm_cap *javm_gas_handle(const struct javm_key *key)
{
    return key_handle(JAVM_HANDLE_GAS, key);
}

struct javm_cap *javm_quota_handle(const struct javm_key *key)
{
    return key_handle(JAVM_HANDLE_QUOTA, key);
}

bool javm_yield_sender_key(const struct javm_cap *cap, struct javm_key *key)
{
    return handle_key(cap, JAVM_HANDLE_YIELD_SENDER, key);
}

bool javm_gas_meter_key(const struct javm_cap *cap, struct javm_key *key)
{
    return handle_key(cap, JAVM_HANDLE_GAS, key);
}

bool javm_quota_key(const struct javm_cap *cap, struct javm_key *key)
{
    return handle_key(cap, JAVM_HANDLE_QUOTA, key);
}

/* ---- receivers -------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    return javm_key_compare(a, b);
}

/* The list as it stands in a receiver's mem; `sorted` has no duplicates. */
static struct javm_cap *receiver_mem(const struct javm_key *sorted, size_t count)
{
    size_t len = 2;
    for (size_t i = 0; i < count; i++)
        len += 1 + (size_t)sorted[i].len;
    uint8_t *bytes = malloc(len);
    if (bytes == NULL)
        return NULL;
    size_t at = 2;
    bytes[0] = (uint8_t)count;
    bytes[1] = (uint8_t)(count >> 8);
    for (size_t i = 0; i < count; i++) {
        bytes[at++] = sorted[i].len;
        memcpy(bytes + at, sorted[i].bytes, sorted[i].len);
        at += sorted[i].len;
    }
    struct javm_cap *mem = javm_data_new(bytes, len);
    free(bytes);
    return mem;
}

struct javm_cap *javm_yield_receiver(const struct javm_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (keys[i].len == 0 || keys[i].len > JAVM_MAX_KEY_LEN)
            return NULL;
    /* The limit is on the set; a list with duplicates may be longer. */
    struct javm_key *sorted = calloc(count + 1, sizeof *sorted);
    if (sorted == NULL)
        return NULL;
    size_t unique = 0;
    if (count != 0)
        memcpy(sorted, keys, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_keys);
    for (size_t i = 0; i < count; i++)
        if (unique == 0 || javm_key_compare(&sorted[unique - 1], &sorted[i]) != 0)
            sorted[unique++] = sorted[i];
    struct javm_cap *mem = unique <= KEYS_MAX ? receiver_mem(sorted, unique) : NULL;
    free(sorted);
    return make_handle(JAVM_HANDLE_YIELD_RECEIVER, mem, NULL);
}

/* Walks the list in a receiver's mem; a list that is cut short ends at the last whole key. */
struct key_reader {
    const struct javm_cap *mem;
    uint64_t at, end;
    uint32_t left;
};

static struct key_reader read_keys(const struct javm_cap *mem)
{
    struct key_reader reader = {mem, 2, javm_data_pages(mem) * JAVM_PAGE_SIZE, 0};
    uint8_t count[2];
    if (reader.end >= sizeof count) {
        javm_data_read(mem, 0, count, sizeof count);
        reader.left = (uint32_t)(count[0] | count[1] << 8);
    }
    return reader;
}

static bool next_key(struct key_reader *reader, struct javm_key *key)
{
    uint8_t len;
    if (reader->left == 0 || reader->end - reader->at < 1)
        return false;
    javm_data_read(reader->mem, reader->at, &len, 1);
    if (len == 0 || len > JAVM_MAX_KEY_LEN || reader->end - reader->at - 1 < len)
        return false;
    *key = (struct javm_key){.len = len};
    javm_data_read(reader->mem, reader->at + 1, key->bytes, len);
    reader->at += 1 + (uint64_t)len;
    reader->left--;
    return true;
}

enum javm_status javm_yield_receiver_keys(const struct javm_cap *cap, struct javm_key **keys,
                                          size_t *count)
{
    *keys = NULL;
    *count = 0;
    if (javm_handle_kind(cap) != JAVM_HANDLE_YIELD_RECEIVER)
        return JAVM_E_KIND;
    struct key_reader reader = read_keys(cap->instance.mem);
    /* A key takes at least two bytes, so a count that lies asks for no more than mem warrants. */
    uint64_t room = reader.left;
    if (room > reader.end / 2)
        room = reader.end / 2;
    if (room == 0)
        return JAVM_OK;
    struct javm_key *array = malloc((size_t)room * sizeof *array);
    if (array == NULL)
        return JAVM_E_NOMEM;
    size_t found = 0;
    while (found < room && next_key(&reader, &array[found]))
        found++;
    if (found == 0) {
        free(array);
        return JAVM_OK;
    }
    *keys = array;
    *count = found;
    return JAVM_OK;
}

bool javm_yield_receiver_has(const struct javm_cap *cap, const struct javm_key *key)
{
    if (javm_handle_kind(cap) != JAVM_HANDLE_YIELD_RECEIVER)
        return false;
    struct key_reader reader = read_keys(cap->instance.mem);
    struct javm_key held;
    while (next_key(&reader, &held))
        if (javm_key_compare(&held, key) == 0)
            return true;
    return false;
}

struct javm_cap *javm_merge_yield_receivers(const struct javm_cap *a, const struct javm_cap *b)
{
    struct javm_key *left = NULL, *right = NULL, *both = NULL;
    size_t left_count = 0, right_count = 0;
    struct javm_cap *merged = NULL;
    if (javm_yield_receiver_keys(a, &left, &left_count) == JAVM_OK &&
        javm_yield_receiver_keys(b, &right, &right_count) == JAVM_OK)
        both = malloc((left_count + right_count + 1) * sizeof *both);
    if (both != NULL) {
        if (left_count != 0)
            memcpy(both, left, left_count * sizeof *both);
        if (right_count != 0)
            memcpy(both + left_count, right, right_count * sizeof *both);
        merged = javm_yield_receiver(both, left_count + right_count);
    }
    free(left);
    free(right);
    free(both);
    return merged;
}
