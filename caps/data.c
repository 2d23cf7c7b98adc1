/* Data: a persistent merkle tree of pages.
 *
 *   depth 2      inner            Nodes and pages are counted and shared between clones. A NULL
 * stands for a subtree /     \           of zeros, so a sparse Data costs what it holds. Writing a
 * page copies the nodes inner     NULL        on its path that others share (and the page), and
 * forgets the hashes on the /    \                path; everything beside the path keeps its
 * remembered hash. */
#include <stdlib.h>
#include <string.h>

#include "caps/atomic.h"
#include "caps/cap_impl.h"

#define MAX_PAGES   (UINT64_C(1) << 20)
#define INNER_BYTES sizeof(struct data_node)
#define PAGE_BYTES  (offsetof(struct data_node, bytes) + JAVM_PAGE_SIZE)

static const uint8_t zero_page[JAVM_PAGE_SIZE];

static void node_release(struct data_node *node, uint32_t depth)
{
    /* Acquire-release: the last holder frees what the others have finished reading. */
    if (node == NULL || atomic_sub_acq_rel(&node->count, 1) != 1)
        return;
    if (depth > 0) {
        node_release(node->kids[0], depth - 1);
        node_release(node->kids[1], depth - 1);
    }
    free(node);
}

/* Make *at a node that nobody else holds, with its present content. False: out of memory. */
static bool node_own(struct data_node **at, uint32_t depth)
{
    struct data_node *old = *at;
    /* Acquire: pairs with node_release of a former sharer, whose reads end before we write. */
    if (old != NULL && atomic_load_acquire(&old->count) == 1) {
        old->memo.state = HASH_NONE;
        return true;
    }
    struct data_node *fresh = malloc(depth > 0 ? INNER_BYTES : PAGE_BYTES);
    if (fresh == NULL)
        return false;
    fresh->count = 1;
    fresh->memo.state = HASH_NONE;
    if (depth == 0) {
        /* The caller overwrites the whole page. */
    } else if (old == NULL) {
        fresh->kids[0] = fresh->kids[1] = NULL;
    } else {
        for (int side = 0; side < 2; side++) {
            fresh->kids[side] = old->kids[side];
            if (fresh->kids[side] != NULL)
                atomic_add_relaxed(&fresh->kids[side]->count, 1); /* `old` holds it meanwhile */
        }
    }
    node_release(old, depth);
    *at = fresh;
    return true;
}

struct javm_cap *javm_data_new_zero(uint64_t pages)
{
    if (pages > MAX_PAGES)
        return NULL;
    struct javm_cap *cap = cap_alloc(JAVM_DATA);
    if (cap == NULL)
        return NULL;
    cap->data.pages = pages;
    while (UINT64_C(1) << cap->data.depth < pages)
        cap->data.depth++;
    return cap;
}

struct javm_cap *javm_data_new(const void *bytes, size_t len)
{
    if (len > MAX_PAGES * JAVM_PAGE_SIZE)
        return NULL;
    struct javm_cap *cap = javm_data_new_zero((len + JAVM_PAGE_SIZE - 1) / JAVM_PAGE_SIZE);
    const uint8_t *from = bytes;
    for (uint64_t page = 0; cap != NULL && page < cap->data.pages; page++) {
        uint8_t padded[JAVM_PAGE_SIZE];
        const uint8_t *source = from + page * JAVM_PAGE_SIZE;
        const size_t left = len - (size_t)page * JAVM_PAGE_SIZE;
        if (left < JAVM_PAGE_SIZE) {
            memset(padded, 0, sizeof padded);
            memcpy(padded, source, left);
            source = padded;
        }
        if (javm_data_write_page(cap, page, source) != JAVM_OK) {
            javm_cap_release(cap);
            return NULL;
        }
    }
    return cap;
}

uint64_t javm_data_pages(const struct javm_cap *data)
{
    return data->data.pages;
}

const uint8_t *javm_data_page(const struct javm_cap *data, uint64_t page)
{
    const struct data_node *node = data->data.root;
    for (uint32_t depth = data->data.depth; depth > 0 && node != NULL; depth--)
        node = node->kids[page >> (depth - 1) & 1];
    return node != NULL ? node->bytes : NULL;
}

static enum javm_status write_zero(struct data_body *data, uint64_t page)
{
    struct data_node **path[33];
    uint32_t depth = data->depth;
    path[depth] = &data->root;
    for (; depth > 0; depth--) {
        if (*path[depth] == NULL)
            return JAVM_OK; /* zeros already */
        if (!node_own(path[depth], depth))
            return JAVM_E_NOMEM;
        path[depth - 1] = &(*path[depth])->kids[page >> (depth - 1) & 1];
    }
    node_release(*path[0], 0);
    *path[0] = NULL;
    /* A node above zeros only is zeros itself. */
    for (depth = 1; depth <= data->depth; depth++) {
        struct data_node *node = *path[depth];
        if (node->kids[0] != NULL || node->kids[1] != NULL)
            break;
        node_release(node, depth);
        *path[depth] = NULL;
    }
    return JAVM_OK;
}

enum javm_status javm_data_write_page(struct javm_cap *data, uint64_t page, const uint8_t *bytes)
{
    struct data_body *body = &data->data;
    if (page >= body->pages)
        return JAVM_E_RANGE;
    cap_forget_hash(data);
    if (memcmp(bytes, zero_page, JAVM_PAGE_SIZE) == 0)
        return javm_data_page(data, page) == NULL ? JAVM_OK : write_zero(body, page);
    /* Owning a path changes no content, so running out of memory half way changes nothing but a
     * NULL into an inner node of zeros; prune cannot fail, but is not needed either: such a node
     * hashes as zero. */
    struct data_node **at = &body->root;
    for (uint32_t depth = body->depth; depth > 0; depth--) {
        if (!node_own(at, depth))
            return JAVM_E_NOMEM;
        at = &(*at)->kids[page >> (depth - 1) & 1];
    }
    if (!node_own(at, 0))
        return JAVM_E_NOMEM;
    memcpy((*at)->bytes, bytes, JAVM_PAGE_SIZE);
    return JAVM_OK;
}

void javm_data_read(const struct javm_cap *data, uint64_t offset, void *to, size_t len)
{
    uint8_t *out = to;
    while (len != 0) {
        const size_t skip = (size_t)(offset % JAVM_PAGE_SIZE);
        const size_t part = len < JAVM_PAGE_SIZE - skip ? len : JAVM_PAGE_SIZE - skip;
        const uint8_t *page = javm_data_page(data, offset / JAVM_PAGE_SIZE);
        if (page != NULL)
            memcpy(out, page + skip, part);
        else
            memset(out, 0, part);
        out += part;
        offset += part;
        len -= part;
    }
}

static struct javm_hash node_hash(struct data_node *node, uint32_t depth)
{
    struct javm_hash hash = {{0}};
    if (node == NULL || hash_memo_get(&node->memo, &hash))
        return hash;
    if (depth == 0) {
        const struct javm_bytes pieces[] = {{"javm.page.v1", 12}, {node->bytes, JAVM_PAGE_SIZE}};
        hash = javm_hash_pieces(pieces, 2);
    } else {
        const struct javm_hash left = node_hash(node->kids[0], depth - 1);
        const struct javm_hash right = node_hash(node->kids[1], depth - 1);
        if (!javm_hash_is_zero(&left) || !javm_hash_is_zero(&right)) {
            const struct javm_bytes pieces[] = {{"javm.node.v1", 12},
                                                {left.bytes, JAVM_HASH_BYTES},
                                                {right.bytes, JAVM_HASH_BYTES}};
            hash = javm_hash_pieces(pieces, 3);
        }
    }
    hash_memo_offer(&node->memo, &hash);
    return hash;
}

struct javm_hash javm_data_root(const struct javm_cap *data)
{
    return node_hash(data->data.root, data->data.depth);
}

void data_body_release(struct data_body *data)
{
    node_release(data->root, data->depth);
}

void data_body_share(struct data_body *to, const struct data_body *from)
{
    *to = *from;
    if (to->root != NULL)
        atomic_add_relaxed(&to->root->count, 1); /* `from` holds it meanwhile */
}

static uint64_t node_bytes(const struct data_node *node, uint32_t depth)
{
    if (node == NULL)
        return 0;
    if (depth == 0)
        return PAGE_BYTES;
    return INNER_BYTES + node_bytes(node->kids[0], depth - 1) +
           node_bytes(node->kids[1], depth - 1);
}

uint64_t data_body_bytes(const struct data_body *data)
{
    return node_bytes(data->root, data->depth);
}
