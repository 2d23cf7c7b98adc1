/* Data: a persistent merkle tree of pages.
 *
 *     root      depth 2        Nodes and pages are counted and shared between clones. NULL stands
 *    /    \                    for a subtree of zeros, so a sparse Data costs what it holds.
 *  node   NULL                 Writing a page copies those nodes of its path that others share,
 *  /  \                        and the page, and forgets the hashes on the path; whatever lies
 * p0   p1                      beside the path keeps its remembered hash.
 */
#include <stdlib.h>
#include <string.h>

#include "caps/atomic.h"
#include "caps/cap_impl.h"

#define MAX_DEPTH 20
#define MAX_PAGES (UINT64_C(1) << MAX_DEPTH)

static bool is_zero_page(const uint8_t *bytes)
{
    static const uint8_t zeros[JAVM_PAGE_SIZE];
    return memcmp(bytes, zeros, JAVM_PAGE_SIZE) == 0;
}

/* ---- nodes ------------------------------------------------------------------------------ */

/* Recursion goes no deeper than MAX_DEPTH. */
static void node_release(struct data_node *node, uint32_t depth)
{
    /* Acquire-release: partner is every other holder's release here; the last one frees what the
     * others have finished reading. */
    if (node == NULL || atomic_sub_acq_rel(&node->count, 1) != 1)
        return;
    if (depth > 0) {
        node_release(node->kids[0], depth - 1);
        node_release(node->kids[1], depth - 1);
    } else {
        free(node->page);
    }
    free(node);
}

static struct data_node *node_retain(struct data_node *node)
{
    if (node != NULL)
        atomic_add_relaxed(&node->count, 1); /* relaxed: the caller knows a holder that stays */
    return node;
}

static bool node_is_own(const struct data_node *node)
{
    /* Acquire: partner is node_release of a former sharer, whose reads end before we write. */
    return atomic_load_acquire(&node->count) == 1;
}

static struct data_node *leaf_new(const uint8_t *bytes)
{
    struct data_node *leaf = malloc(sizeof *leaf);
    uint8_t *page = malloc(JAVM_PAGE_SIZE);
    if (leaf == NULL || page == NULL) {
        free(leaf);
        free(page);
        return NULL;
    }
    memcpy(page, bytes, JAVM_PAGE_SIZE);
    leaf->count = 1;
    leaf->memo.state = HASH_NONE;
    leaf->pages = 1;
    leaf->page = page;
    return leaf;
}

/* Takes over the references to the kids on success. */
static struct data_node *inner_new(struct data_node *left, struct data_node *right)
{
    struct data_node *node = malloc(sizeof *node);
    if (node == NULL)
        return NULL;
    node->count = 1;
    node->memo.state = HASH_NONE;
    node->pages = (left != NULL ? left->pages : 0) + (right != NULL ? right->pages : 0);
    node->kids[0] = left;
    node->kids[1] = right;
    return node;
}

/* Make *at, an inner node or NULL, a node that nobody else holds, with its present content. */
static bool inner_own(struct data_node **at, uint32_t depth)
{
    struct data_node *old = *at;
    if (old != NULL && node_is_own(old))
        return true;
    struct data_node *fresh = old == NULL
                                  ? inner_new(NULL, NULL)
                                  : inner_new(node_retain(old->kids[0]), node_retain(old->kids[1]));
    if (fresh == NULL) {
        if (old != NULL) {
            node_release(old->kids[0], depth - 1);
            node_release(old->kids[1], depth - 1);
        }
        return false;
    }
    node_release(old, depth);
    *at = fresh;
    return true;
}

/* ---- making ----------------------------------------------------------------------------- */

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

static bool build_leaf(const uint8_t *bytes, size_t len, struct data_node **out)
{
    uint8_t padded[JAVM_PAGE_SIZE];
    if (len < JAVM_PAGE_SIZE) {
        memcpy(padded, bytes, len);
        memset(padded + len, 0, JAVM_PAGE_SIZE - len);
        bytes = padded;
    }
    if (is_zero_page(bytes))
        return true;
    *out = leaf_new(bytes);
    return *out != NULL;
}

/* The subtree of `depth` levels that starts with these bytes; len fits into it. */
static bool build(const uint8_t *bytes, size_t len, uint32_t depth, struct data_node **out)
{
    *out = NULL;
    if (len == 0)
        return true;
    if (depth == 0)
        return build_leaf(bytes, len, out);
    const size_t half = (size_t)JAVM_PAGE_SIZE << (depth - 1);
    struct data_node *kids[2] = {NULL, NULL};
    bool ok =
        build(bytes, len < half ? len : half, depth - 1, &kids[0]) &&
        build(bytes + (len < half ? len : half), len < half ? 0 : len - half, depth - 1, &kids[1]);
    if (ok && (kids[0] != NULL || kids[1] != NULL)) {
        *out = inner_new(kids[0], kids[1]);
        ok = *out != NULL;
    }
    if (!ok) {
        node_release(kids[0], depth - 1);
        node_release(kids[1], depth - 1);
    }
    return ok;
}

struct javm_cap *javm_data_new(const void *bytes, size_t len)
{
    if (len > MAX_PAGES * JAVM_PAGE_SIZE)
        return NULL;
    struct javm_cap *cap = javm_data_new_zero((len + JAVM_PAGE_SIZE - 1) / JAVM_PAGE_SIZE);
    if (cap != NULL && !build(bytes, len, cap->data.depth, &cap->data.root)) {
        javm_cap_release(cap);
        return NULL;
    }
    return cap;
}

/* ---- reading ---------------------------------------------------------------------------- */

uint64_t javm_data_pages(const struct javm_cap *data)
{
    return data->data.pages;
}

const uint8_t *javm_data_page(const struct javm_cap *data, uint64_t page)
{
    const struct data_node *node = data->data.root;
    for (uint32_t depth = data->data.depth; depth > 0 && node != NULL; depth--)
        node = node->kids[page >> (depth - 1) & 1];
    return node != NULL && page < data->data.pages ? node->page : NULL;
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

/* ---- writing ---------------------------------------------------------------------------- */

/* The places on the way to a page: at[depth] is the root pointer, at[0] the pointer to the leaf. */
struct path {
    struct data_node **at[MAX_DEPTH + 1];
};

/* After a change below: counts, hashes and the rule that no node stands above zeros only, from
 * level `from` up to the root. Every node on the way is our own. */
static void path_tidy(const struct path *path, uint32_t from, uint32_t depth)
{
    for (uint32_t level = from; level <= depth; level++) {
        struct data_node *node = *path->at[level];
        const struct data_node *left = node->kids[0], *right = node->kids[1];
        if (left == NULL && right == NULL) {
            node_release(node, level);
            *path->at[level] = NULL;
            continue;
        }
        node->pages = (left != NULL ? left->pages : 0) + (right != NULL ? right->pages : 0);
        node->memo.state = HASH_NONE; /* plain: nobody else holds the node */
    }
}

/* Own every inner node on the way to the page. Out of memory: false, and the value is as before. */
static bool path_own(struct data_body *body, uint64_t page, struct path *path)
{
    const uint32_t depth = body->depth;
    path->at[depth] = &body->root;
    for (uint32_t level = depth; level > 0; level--) {
        if (!inner_own(path->at[level], level)) {
            path_tidy(path, level + 1, depth);
            return false;
        }
        path->at[level - 1] = &(*path->at[level])->kids[page >> (level - 1) & 1];
    }
    return true;
}

enum javm_status javm_data_write_page(struct javm_cap *data, uint64_t page, const uint8_t *bytes)
{
    struct data_body *body = &data->data;
    const uint32_t depth = body->depth;
    struct path path;
    if (page >= body->pages)
        return JAVM_E_RANGE;
    const bool zero = is_zero_page(bytes);
    if (zero && javm_data_page(data, page) == NULL)
        return JAVM_OK;
    if (!path_own(body, page, &path))
        return JAVM_E_NOMEM;
    struct data_node *old = *path.at[0];
    if (!zero && old != NULL && node_is_own(old)) {
        memmove(old->page, bytes, JAVM_PAGE_SIZE); /* `bytes` may be this very page */
        old->memo.state = HASH_NONE;
    } else {
        struct data_node *fresh = zero ? NULL : leaf_new(bytes);
        if (fresh == NULL && !zero) {
            path_tidy(&path, 1, depth);
            return JAVM_E_NOMEM;
        }
        node_release(old, 0);
        *path.at[0] = fresh;
    }
    path_tidy(&path, 1, depth);
    cap_forget_hash(data);
    return JAVM_OK;
}

/* ---- hashing ---------------------------------------------------------------------------- */

static struct javm_hash node_hash(struct data_node *node, uint32_t depth)
{
    struct hasher hasher;
    struct javm_hash hash = {{0}};
    if (node == NULL || hash_memo_get(&node->memo, &hash))
        return hash;
    if (depth == 0) {
        hasher_start(&hasher, "javm.page.v1");
        hasher_bytes(&hasher, node->page, JAVM_PAGE_SIZE);
    } else {
        const struct javm_hash left = node_hash(node->kids[0], depth - 1);
        const struct javm_hash right = node_hash(node->kids[1], depth - 1);
        hasher_start(&hasher, "javm.node.v1");
        hasher_hash(&hasher, &left);
        hasher_hash(&hasher, &right);
    }
    hash = hasher_end(&hasher);
    hash_memo_offer(&node->memo, &hash);
    return hash;
}

struct javm_hash javm_data_root(const struct javm_cap *data)
{
    return node_hash(data->data.root, data->data.depth);
}

/* ---- the body --------------------------------------------------------------------------- */

void data_body_release(struct data_body *data)
{
    node_release(data->root, data->depth);
}

void data_body_share(struct data_body *to, const struct data_body *from)
{
    *to = *from;
    node_retain(to->root); /* `from` holds it meanwhile */
}

/* Pages, leaves, and one inner node for each page: exact for a full tree. */
uint64_t data_body_bytes(const struct data_body *data)
{
    const uint64_t pages = data->root != NULL ? data->root->pages : 0;
    return pages * (JAVM_PAGE_SIZE + 2 * sizeof(struct data_node));
}
