/* Bytes to a bundle. The bytes are not trusted: lengths are compared with what is left before
 * anything is allocated for them, every named hash must be of an earlier cap, and nothing is
 * published here. Format: docs/formats.md. */
#include "loaders/bundle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "loaders/bytes.h"

struct bundle_reader {
    struct reader in; /* all bytes before the checksum */
    struct cap_index index;
    struct javm_bundle *bundle; /* what there is so far */
    struct javm_error *err;
    uint32_t cap;        /* number of the cap that is being read */
    enum javm_kind kind; /* its kind */
    size_t reference_at; /* where the cap's header is: errors about its references point here */
};

/* FORMAT, with the cap that it is about in front. */
__attribute__((format(printf, 3, 4))) static enum javm_status
bad(struct bundle_reader *r, size_t where, const char *fmt, ...)
{
    char text[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return javm_fail(r->err, JAVM_E_FORMAT, where, "cap %" PRIu32 " (%s) at byte %zu: %s", r->cap,
                     javm_kind_name(r->kind), where, text);
}

static enum javm_status no_memory(struct bundle_reader *r)
{
    return javm_fail(r->err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to read a bundle");
}

/* ---- bodies ----------------------------------------------------------------------------- */

static const uint8_t zero_page[JAVM_PAGE_SIZE];

/* u64 size; u32 stored; stored x { u32 page; 4096 bytes }. */
static enum javm_status read_data(struct bundle_reader *r, struct reader *in, struct javm_cap **cap)
{
    size_t at = in->at;
    uint64_t size = reader_u64(in);
    uint32_t stored = reader_u32(in);
    if (!in->ok)
        return bad(r, at, "the body ends inside size and page count");
    if (size % JAVM_PAGE_SIZE != 0 || size / JAVM_PAGE_SIZE > BUNDLE_MAX_PAGES)
        return bad(r, at, "size %" PRIu64 " is not a multiple of 4096 up to 2^32", size);
    uint64_t pages = size / JAVM_PAGE_SIZE;
    if (stored > pages || stored > (in->len - in->at) / BUNDLE_STORED_PAGE)
        return bad(r, at + 8,
                   "%" PRIu32 " stored pages do not fit in %zu bytes and %" PRIu64 " pages", stored,
                   in->len - in->at, pages);
    *cap = javm_data_new_zero(pages);
    if (*cap == NULL)
        return no_memory(r);
    uint64_t next = 0; /* the lowest page number that keeps the order */
    for (uint32_t i = 0; i < stored; i++) {
        at = in->at;
        uint32_t page = reader_u32(in);
        const uint8_t *bytes = reader_take(in, JAVM_PAGE_SIZE);
        if (page < next || page >= pages)
            return bad(r, at, "page %" PRIu32 " where one of %" PRIu64 "..%" PRIu64 " was expected",
                       page, next, pages - 1);
        if (memcmp(bytes, zero_page, JAVM_PAGE_SIZE) == 0)
            return bad(r, at, "page %" PRIu32 " is all zero and must not be stored", page);
        if (javm_data_write_page(*cap, page, bytes) != JAVM_OK)
            return no_memory(r);
        next = (uint64_t)page + 1;
    }
    return JAVM_OK;
}

/* u8 length; bytes. */
static bool read_key(struct reader *in, struct javm_key *key)
{
    *key = (struct javm_key){.len = reader_u8(in)};
    if (key->len > JAVM_MAX_KEY_LEN)
        in->ok = false;
    const uint8_t *bytes = reader_take(in, key->len);
    if (bytes != NULL)
        memcpy(key->bytes, bytes, key->len);
    return in->ok;
}

static bool read_hash(struct reader *in, struct javm_hash *hash)
{
    const uint8_t *bytes = reader_take(in, JAVM_HASH_BYTES);
    if (bytes != NULL)
        memcpy(hash->bytes, bytes, JAVM_HASH_BYTES);
    return bytes != NULL;
}

/* u32 count; count x { key; hash }, keys ascending. */
static enum javm_status read_cnode(struct bundle_reader *r, struct reader *in,
                                   struct javm_cap **cap)
{
    size_t at = in->at;
    uint32_t count = reader_u32(in);
    if (!in->ok)
        return bad(r, at, "the body ends inside the slot count");
    *cap = javm_cnode_new();
    if (*cap == NULL)
        return no_memory(r);
    struct javm_key last = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct javm_key key;
        struct javm_hash hash;
        at = in->at;
        if (!read_key(in, &key) || !read_hash(in, &hash))
            return bad(r, at, "slot %" PRIu32 " of %" PRIu32 " has no key of 1 to 8 bytes and hash",
                       i, count);
        if (key.len == 0 || (i > 0 && javm_key_compare(&last, &key) >= 0))
            return bad(r, at, "the key of slot %" PRIu32 " is empty or not above the one before it",
                       i);
        if (javm_hash_is_zero(&hash))
            return bad(r, at, "slot %" PRIu32 " holds the zero hash", i);
        struct javm_target target = javm_target_hash(&hash);
        if (javm_cnode_set(*cap, &key, &target) != JAVM_OK)
            return no_memory(r);
        last = key;
    }
    return JAVM_OK;
}

static enum javm_status read_type(struct bundle_reader *r, struct reader *in, struct javm_cap **cap)
{
    struct javm_hash chain;
    size_t at = in->at;
    if (!read_hash(in, &chain))
        return bad(r, at, "the body ends inside the 32 bytes of the chain");
    *cap = javm_type_new(&chain);
    return *cap == NULL ? no_memory(r) : JAVM_OK;
}

/* The canonical encoding of images, which has a decoder of its own; its offsets are moved to ours.
 */
static enum javm_status read_image(struct bundle_reader *r, struct reader *in,
                                   struct javm_cap **cap)
{
    size_t at = in->at, len = in->len - in->at;
    const uint8_t *bytes = reader_take(in, len);
    struct javm_error inner = {.where = JAVM_NOWHERE};
    enum javm_status status = javm_image_decode(bytes, len, cap, &inner);
    if (status == JAVM_OK || status == JAVM_E_NOMEM)
        return status == JAVM_OK ? JAVM_OK : no_memory(r);
    *cap = NULL;
    return bad(r, inner.where <= len ? at + (size_t)inner.where : at, "%.160s", inner.text);
}

/* chain, image hash, root cnode hash; 15 registers; pc; gas; status; yield key; then mem as a Data
 * body. */
static enum javm_status read_instance(struct bundle_reader *r, struct reader *in,
                                      struct javm_cap **cap)
{
    size_t at = in->at;
    struct javm_instance fields = {0};
    struct javm_hash root;
    read_hash(in, &fields.image_hash_chain);
    read_hash(in, &fields.image_hash);
    if (!read_hash(in, &root))
        return bad(r, at, "the body ends inside the hashes");
    fields.root_cnode = javm_target_hash(&root);
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        fields.regs[i] = reader_u64(in);
    fields.pc = reader_u64(in);
    fields.gas_remaining = reader_u64(in);
    at = in->at;
    uint8_t status = reader_u8(in);
    if (!read_key(in, &fields.yield_key))
        return bad(r, at, "the body ends before the memory, or the yield key has over 8 bytes");
    if (status > JAVM_FAULTED)
        return bad(r, at, "status %u is none of Idle 0, Paused 1, Faulted 2", status);
    if ((status == JAVM_PAUSED) != (fields.yield_key.len != 0))
        return bad(r, at, "a yield key goes with status Paused and with no other");
    fields.status = (enum javm_instance_status)status;
    enum javm_status result = read_data(r, in, &fields.mem);
    if (result == JAVM_OK && (*cap = javm_instance_new(&fields)) == NULL)
        result = no_memory(r);
    if (result != JAVM_OK)
        javm_cap_release(fields.mem);
    return result;
}

/* ---- caps ------------------------------------------------------------------------------- */

static enum javm_status read_body(struct bundle_reader *r, struct reader *in, struct javm_cap **cap)
{
    switch (r->kind) {
    case JAVM_INSTANCE:
        return read_instance(r, in, cap);
    case JAVM_IMAGE:
        return read_image(r, in, cap);
    case JAVM_DATA:
        return read_data(r, in, cap);
    case JAVM_CNODE:
        return read_cnode(r, in, cap);
    case JAVM_TYPE:
        return read_type(r, in, cap);
    }
    return bad(r, r->reference_at, "kind is not one of 0..4");
}

/* u8 kind; u64 length of the body; body. On success the bundle owns the new cap. */
static enum javm_status read_cap(struct bundle_reader *r)
{
    r->reference_at = r->in.at;
    uint8_t kind = reader_u8(&r->in);
    uint64_t length = reader_u64(&r->in);
    if (!r->in.ok)
        return javm_fail(r->err, JAVM_E_FORMAT, r->reference_at,
                         "cap %" PRIu32 " at byte %zu: the file ends inside its header", r->cap,
                         r->reference_at);
    r->kind = (enum javm_kind)kind;
    if (kind > JAVM_TYPE)
        return javm_fail(r->err, JAVM_E_FORMAT, r->reference_at,
                         "cap %" PRIu32 " at byte %zu: kind %u where 0..4 was expected", r->cap,
                         r->reference_at, kind);
    if (length > r->in.len - r->in.at)
        return bad(r, r->reference_at, "a body of %" PRIu64 " bytes, but only %zu are left", length,
                   r->in.len - r->in.at);
    struct reader body = {r->in.bytes, r->in.at + (size_t)length, r->in.at, true};
    struct javm_cap *cap = NULL;
    struct javm_hash hash;
    enum javm_status status = read_body(r, &body, &cap);
    if (status == JAVM_OK && body.at != body.len)
        status = bad(r, body.at, "%zu bytes too many in the body", body.len - body.at);
    char problem[BUNDLE_PROBLEM];
    if (status == JAVM_OK &&
        bundle_check_references(&r->index, r->bundle->caps, cap, problem) != JAVM_OK)
        status = bad(r, r->reference_at, "%s", problem);
    if (status == JAVM_OK && (status = javm_cap_hash(cap, &hash)) != JAVM_OK)
        status = no_memory(r);
    if (status != JAVM_OK) {
        javm_cap_release(cap);
        return status;
    }
    r->in.at += (size_t)length;
    cap_index_add(&r->index, &hash);
    r->bundle->caps[r->bundle->cap_count++] = cap;
    return JAVM_OK;
}

/* ---- roots, header ---------------------------------------------------------------------- */

/* u8 length; name; u32 cap. Ascending names. */
static enum javm_status read_root(struct bundle_reader *r, uint32_t i)
{
    struct javm_bundle *bundle = r->bundle;
    size_t at = r->in.at;
    uint8_t len = reader_u8(&r->in);
    const uint8_t *name = reader_take(&r->in, len);
    uint32_t cap = reader_u32(&r->in);
    if (!r->in.ok)
        return javm_fail(r->err, JAVM_E_FORMAT, at,
                         "root %" PRIu32 " at byte %zu: the file ends inside it", i, at);
    const char *problem = bundle_name_problem((const char *)name, len);
    if (*problem != 0)
        return javm_fail(r->err, JAVM_E_FORMAT, at, "root %" PRIu32 " at byte %zu: its name %s", i,
                         at, problem);
    if (cap >= bundle->cap_count)
        return javm_fail(r->err, JAVM_E_FORMAT, at,
                         "root %" PRIu32 " at byte %zu: names cap %" PRIu32 " of %" PRIu32, i, at,
                         cap, bundle->cap_count);
    char text[BUNDLE_NAME_TEXT], *copy = strndup((const char *)name, len);
    if (copy == NULL)
        return no_memory(r);
    bundle->roots[i] = (struct javm_bundle_root){copy, cap};
    bundle->root_count = i + 1;
    if (i > 0 && strcmp(bundle->roots[i - 1].name, copy) >= 0)
        return javm_fail(r->err, JAVM_E_FORMAT, at,
                         "root %" PRIu32 " at byte %zu: \"%s\" is not above the name before it", i,
                         at, bundle_name_text(copy, text));
    return JAVM_OK;
}

static enum javm_status check_frame(const uint8_t *bytes, size_t len, struct javm_error *err)
{
    if (len < 8 || memcmp(bytes, BUNDLE_MAGIC, 8) != 0)
        return javm_fail(err, JAVM_E_FORMAT, 0,
                         "not a bundle: it must begin with 4a 41 56 4d 0d 0a 1a 0a");
    if (len < BUNDLE_HEADER_BYTES + JAVM_HASH_BYTES)
        return javm_fail(err, JAVM_E_FORMAT, len,
                         "a bundle has at least 56 bytes, this one ends after %zu", len);
    uint32_t version = get_u32(bytes + 8);
    if (version != BUNDLE_VERSION)
        return javm_fail(err, JAVM_E_UNSUPPORTED, 8,
                         "bundle version %" PRIu32 "; this build reads version 1", version);
    size_t body = len - JAVM_HASH_BYTES;
    struct javm_bytes piece = {bytes, body};
    struct javm_hash sum = javm_hash_pieces(&piece, 1);
    if (memcmp(sum.bytes, bytes + body, JAVM_HASH_BYTES) != 0)
        return javm_fail(err, JAVM_E_FORMAT, body,
                         "the checksum in the last 32 bytes does not match: the file is damaged or "
                         "cut short");
    return JAVM_OK;
}

static enum javm_status check_counts(const struct reader *in, uint32_t caps, uint32_t roots,
                                     uint32_t zero, struct javm_error *err)
{
    size_t left = in->len - in->at;
    /* The smallest cap is an empty CNode, the smallest root has a name of one byte. */
    if (caps > left / (BUNDLE_CAP_HEADER + 4))
        return javm_fail(err, JAVM_E_FORMAT, 12, "%" PRIu32 " caps cannot fit in %zu bytes", caps,
                         left);
    if (roots > left / 6)
        return javm_fail(err, JAVM_E_FORMAT, 16, "%" PRIu32 " roots cannot fit in %zu bytes", roots,
                         left);
    if (zero != 0)
        return javm_fail(err, JAVM_E_FORMAT, 20, "bytes 20..23 must be zero");
    return JAVM_OK;
}

enum javm_status javm_bundle_decode(const uint8_t *bytes, size_t len, struct javm_bundle *bundle,
                                    struct javm_error *err)
{
    *bundle = (struct javm_bundle){0};
    enum javm_status status = check_frame(bytes, len, err);
    if (status != JAVM_OK)
        return status;
    struct bundle_reader r = {
        .in = {bytes, len - JAVM_HASH_BYTES, 12, true}, .bundle = bundle, .err = err};
    uint32_t caps = reader_u32(&r.in);
    uint32_t roots = reader_u32(&r.in);
    uint32_t zero = reader_u32(&r.in);
    status = check_counts(&r.in, caps, roots, zero, err);
    if (status != JAVM_OK)
        return status;
    bundle->caps = calloc((size_t)caps + 1, sizeof(struct javm_cap *));
    bundle->roots = calloc((size_t)roots + 1, sizeof *bundle->roots);
    if (bundle->caps == NULL || bundle->roots == NULL || !cap_index_init(&r.index, caps))
        status = no_memory(&r);
    for (r.cap = 0; r.cap < caps && status == JAVM_OK; r.cap++)
        status = read_cap(&r);
    for (uint32_t i = 0; i < roots && status == JAVM_OK; i++)
        status = read_root(&r, i);
    if (status == JAVM_OK && r.in.at != r.in.len)
        status = javm_fail(err, JAVM_E_FORMAT, r.in.at, "%zu bytes too many after the last root",
                           r.in.len - r.in.at);
    cap_index_free(&r.index);
    if (status != JAVM_OK)
        javm_bundle_clear(bundle);
    return status;
}
