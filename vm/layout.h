/* Programs and layouts: what instances of one image share, and what the mappings of one show.
 *
 * Both are counted (plainly: they belong to one Vm), because an instance, the frame that runs it
 * and the cache of prepared instances hold them independently of each other. */
#ifndef JAVM_VM_LAYOUT_H
#define JAVM_VM_LAYOUT_H

#include <sys/queue.h>

#include "javm/engine.h"
#include "vm/value.h"

/* A decoded program and what its image says about memory. */
struct cached_program {
    LIST_ENTRY(cached_program) same_bucket;
    TAILQ_ENTRY(cached_program) by_use;
    uint32_t count;
    bool cached; /* the lists above have it, and one count of it */
    struct javm_hash image_hash;
    struct javm_cap *image;       /* one reference */
    struct javm_program *program; /* INTERP */
    struct javm_native *native;   /* JIT: open */
    uint64_t space; /* of guest memory (vm/memory.h): all its instances have the same regions */
    /* regions[0] is the code (of PVM: no pages), regions[i + 1] belongs to mappings[i] of the
     * image; no contents. */
    struct javm_region *regions;
    uint32_t region_count;
    uint32_t scratch_region;       /* the mapping of slot[0], 0: none */
    bool slot0_pinned, has_meters; /* it declares gas or quota slots */
    uint64_t entry_cost;           /* of a frame, in the gas model full */
    uint64_t first_writes;         /* the most that a first write to a page costs there */
    /* Indices of the mappings that have a source, in order of their paths. */
    uint32_t *persistent;
    uint32_t persistent_count;
};

static inline struct cached_program *program_retain(struct cached_program *program)
{
    if (program != NULL)
        program->count++;
    return program;
}
void program_free(struct cached_program *program);                 /* nobody holds it */
static inline void program_release(struct cached_program *program) /* NULL is allowed */
{
    if (program != NULL && --program->count == 0)
        program_free(program);
}
/* Check and note what the image declares about memory: UNSUPPORTED, NOMEM. */
enum javm_status program_lay_out(struct cached_program *program, struct javm_error *err);

struct layout {
    uint32_t count;
    uint32_t region_count;
    struct cached_program *program; /* one count */
    uint64_t id;                    /* of what the regions show (vm/memory.h) */
    struct javm_region regions[];   /* as the program's; each `data` is a reference */
};

static inline struct layout *layout_retain(struct layout *layout)
{
    if (layout != NULL)
        layout->count++;
    return layout;
}
void layout_free(struct layout *layout);                 /* nobody holds it */
static inline void layout_release(struct layout *layout) /* NULL is allowed */
{
    if (layout != NULL && --layout->count == 0)
        layout_free(layout);
}
/* What the mappings of an instance with these slots show. KIND, RANGE (the source of a mapping does
 * not fit it), NOMEM. Slots that it needs are resolved in place. */
enum javm_status layout_new(struct javm_dir_thread *dir, struct cached_program *program,
                            struct node *root, uint64_t id, struct layout **layout,
                            struct javm_error *err);
/* The same without any Data. NULL: out of memory. */
struct layout *layout_bare(struct cached_program *program, uint64_t id);
/* The holder of the only counts (the instance and the frame that ended) puts a Data that has come
 * into the source slot of mapping `index`; takes the reference. The layout needs a new id then. */
void layout_put(struct layout *layout, uint32_t index, struct javm_cap *data);

/* The value at the end of a mapping's source path, resolved; NULL when a slot on the way is empty.
 * KIND when a step before the last is no CNode: *step says which. */
enum javm_status source_find(struct javm_dir_thread *dir, struct node *root,
                             const struct javm_mapping *mapping, struct value **value,
                             uint8_t *step);

#endif
