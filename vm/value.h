/* Values as a running kernel holds them: what stands in the slots of live instances.
 *
 * A slot's content is a plain cap (published or not), the hash of a published one that nobody has
 * looked at yet, or an object: a CNode or an Instance that can be changed without hashing or
 * publishing anything. Objects are counted and copied on write: copying a value of any size costs
 * a count, and a change is made by the only holder, or to a copy of one level. So two slots never
 * see each other's changes, and a guest that copies pays for what it changes.
 *
 * Objects belong to one Vm: counts are plain. They are trees as deep as a guest builds them, so
 * nothing here recurses. Settling turns an object into a cap: it is hashed, and published if asked,
 * with everything below it; an object that has not changed since remembers its cap. */
#ifndef JAVM_VM_VALUE_H
#define JAVM_VM_VALUE_H

#include "javm/directory.h"

struct node;
struct instance;
struct cached_program;
struct layout;

enum value_kind {
    VALUE_EMPTY = 0,
    VALUE_HASH,     /* of a published cap */
    VALUE_CAP,      /* one reference */
    VALUE_NODE,     /* one count */
    VALUE_INSTANCE, /* one count */
    VALUE_RESERVED  /* the Instance that was here runs; any access traps */
};

struct value {
    enum value_kind kind;
    union {
        struct javm_hash hash;
        struct javm_cap *cap;
        struct node *node;
        struct instance *instance;
    };
};

/* A key as numbers that order as keys do: first byte highest. Zeros stand before all keys. */
struct node_key {
    uint64_t bytes, len;
};

/* What nodes and instances begin with. */
struct object {
    uint32_t count;
    bool is_instance;
    bool published;       /* `cap` and what it names is in the directory */
    struct javm_cap *cap; /* one reference: the value, as long as it has not changed; or NULL */
    struct object *next;  /* of the work list that is in hand: nobody's between calls */
    struct node_key cursor;
};

struct node_slot {
    struct node_key key;
    struct value value; /* never EMPTY */
};

/* A CNode: a tree of parts (node.c), which nodes share until one of them changes. So a change takes
 * a time that hardly depends on how many slots there are, and a copy of a node none at all. */
struct node {
    struct object object;
    uint32_t reserved;     /* slots that are RESERVED, here and below */
    uint64_t used;         /* slots */
    struct node_part *top; /* one count; NULL: no slots */
};

/* A live Instance. Kernel handles are plain caps. */
struct instance {
    struct object object;
    struct javm_hash chain, image_hash;
    struct javm_cap *image;         /* one reference; NULL: published, nobody needed it so far */
    struct cached_program *program; /* of the image, one count; NULL: not entered so far */
    struct layout *layout;          /* what its mappings show, one count; NULL: not known */
    struct node *root;              /* one count */
    struct javm_cap *mem;           /* a Data, one reference */
    uint64_t regs[JAVM_NUM_SLOTS];
    uint64_t pc, gas_remaining;
    enum javm_instance_status status;
    struct javm_key yield_key;
};

/* ---- values ----------------------------------------------------------------------------- */

/* *to, which holds nothing, gets what is in *from: with a count or reference of its own / taken
 * out, *from is EMPTY then. Nothing but the kind is touched of what is empty: most slots are. */
static inline void value_copy(struct value *to, const struct value *from);
static inline void value_move(struct value *to, struct value *from);
static inline void value_drop(struct value *value);           /* becomes EMPTY */
static inline struct value value_of_cap(struct javm_cap *cap) /* takes the reference; NULL: EMPTY */
{
    struct value value = {.kind = VALUE_EMPTY};
    if (cap != NULL) {
        value.kind = VALUE_CAP;
        value.cap = cap;
    }
    return value;
}
static inline struct value value_of_node(struct node *node) /* takes the count */
{
    struct value value = {.kind = VALUE_NODE, {.node = node}};
    return value;
}
static inline struct value value_of_instance(struct instance *instance) /* takes the count */
{
    struct value value = {.kind = VALUE_INSTANCE, {.instance = instance}};
    return value;
}

void value_retain(const struct value *value);
void value_release(struct value *value);
static inline void value_copy(struct value *to, const struct value *from)
{
    to->kind = VALUE_EMPTY;
    if (from->kind == VALUE_EMPTY)
        return;
    value_retain(from);
    *to = *from;
}
static inline void value_move(struct value *to, struct value *from)
{
    to->kind = VALUE_EMPTY;
    if (from->kind == VALUE_EMPTY)
        return;
    *to = *from;
    from->kind = VALUE_EMPTY;
}
static inline void value_drop(struct value *value)
{
    if (value->kind != VALUE_EMPTY)
        value_release(value);
}

/* Look a hash up, once: HASH becomes CAP. Stays HASH when nothing has this hash (zeros). */
void value_resolve(struct javm_dir_thread *dir, struct value *value);
#define KIND_NONE (-1)
/* The kind of a resolved value; KIND_NONE for one that is empty, reserved or has no cap. */
int value_kind(const struct value *value);
/* A resolved value's cap, borrowed; NULL for objects and what is empty. */
static inline struct javm_cap *value_cap(const struct value *value)
{
    return value->kind == VALUE_CAP ? value->cap : NULL;
}

/* ---- nodes ------------------------------------------------------------------------------ */

struct node *node_new(void); /* NULL: out of memory */
void node_release(struct node *node);
/* The value under a key, to look at, valid until the node changes; NULL when there is none. (What
 * changes nothing of its meaning may be done to it: value_resolve, value_to_node.) */
struct value *node_find(const struct node *node, const struct javm_key *key);
/* The same, to change it; the node's only holder calls. NULL: out of memory, when it is there. */
struct value *node_change(struct node *node, const struct javm_key *key);
/* Set, or clear with an EMPTY value; what was there is dropped. The node's only holder calls. On
 * success *value is taken; NOMEM changes nothing. What node_change gave needs no memory. */
enum javm_status node_set(struct node *node, const struct javm_key *key, struct value *value);
/* The first slot behind a key (zeros: of all), or NULL. In the order of keys. */
struct node_slot *node_next(const struct node *node, const struct node_key *behind);
struct javm_key node_javm_key(const struct node_key *key);
/* Make *node one of the caller's own that may be changed: a copy when others hold it too. Forgets
 * its cap. False: out of memory. */
bool node_own(struct node **node);
/* A CNode (resolved, kind CNODE) as an object, in place. KIND when it is none, NOMEM; CapRefs in
 * it are settled, which can fail as javm_directory_settle does. */
enum javm_status value_to_node(struct javm_dir_thread *dir, struct value *value);

/* ---- instances -------------------------------------------------------------------------- */

void instance_free(struct instance *instance);                 /* nobody holds it */
static inline void instance_release(struct instance *instance) /* NULL is allowed */
{
    if (instance != NULL && --instance->object.count == 0)
        instance_free(instance);
}
static inline struct instance *instance_retain(struct instance *instance)
{
    instance->object.count++;
    return instance;
}
/* As node_own, for the fields and the root. */
bool instance_own(struct instance **instance);
/* The instance of a cap. KIND for other caps and for handles, NOMEM; as value_to_node. */
enum javm_status instance_from_cap(struct javm_dir_thread *dir, struct javm_cap *cap,
                                   struct instance **instance);
/* A new Idle one with no image yet: chain and image_hash are zero. Takes the count of root on
 * success. NULL: out of memory. */
struct instance *instance_new(struct node *root);

/* ---- settling --------------------------------------------------------------------------- */

/* The cap of a value with a reference for the caller. `publish`: what it names is published (not
 * it itself: that is javm_directory_put, which then cannot miss anything). EMPTY, RESERVED and
 * hashes of nothing give NULL. NOMEM, and what publishing gives. */
enum javm_status value_settle(struct javm_dir_thread *dir, struct value *value, bool publish,
                              struct javm_cap **cap, struct javm_error *err);

#endif
