/* Random sequences of directory operations against a naive model, one thread.
 *
 * The model is two arrays: which numbers are published, and for every entry that was ever made its
 * value, how many counts the test holds and whether it is live. What a sweep removes, what settling
 * gives and every statistic is worked out from those alone, the hashes with caps that no directory
 * has seen. Sequences end half-way, at a random state, so that every state is also destroyed.
 *
 * Would catch: any operation whose result depends on what came before it in a way that the contract
 * does not know: counts that are wrong after some order of clone, replace, settle and sweep; a view
 * that changes or dies; an entry's place used twice; statistics that drift; leaks (address
 * sanitizer). */
#include <criterion/criterion.h>

#include "tests/cache/support.h"

#ifdef __SANITIZE_THREAD__
#define SEQUENCES 600
#else
#define SEQUENCES 4000
#endif
#define STEPS   120
#define NUMBERS 12  /* published Types are 0..11 */
#define HASHES  512 /* that can be published in a sequence */
#define ENTRIES 128 /* at most so many are made in a sequence */
#define VIEWS   8
#define SLOTS   3 /* of a CNode value: empty, a number's hash, or a CapRef to an earlier entry */

enum slot_kind { SLOT_EMPTY, SLOT_NUMBER, SLOT_ENTRY };

struct value {
    uint64_t made; /* tells the values of a sequence apart */
    bool cnode;
    uint64_t pages; /* of a Data */
    struct {
        enum slot_kind kind;
        size_t what;
    } slot[SLOTS];
};

struct model_entry {
    struct javm_ref_cell *cell;
    struct value value;
    unsigned counts; /* that the test holds */
    bool live;
};

struct model_view {
    struct javm_cap *cap;
    struct value value; /* as it was when the view was taken */
};

struct model {
    struct javm_directory *dir;
    struct javm_dir_thread *self;
    struct random random;
    bool published[NUMBERS];
    struct model_entry entry[ENTRIES];
    size_t entries;
    struct model_view view[VIEWS];
    struct javm_hash hash[HASHES]; /* all that must be in the directory */
    size_t hashes;
    uint64_t values, gets, get_misses, swept;
};

static uint64_t pick(struct model *model, uint64_t limit)
{
    return random_below(&model->random, limit);
}

/* An entry of which the test holds a count, before `end`; ENTRIES when there is none. */
static size_t pick_held(struct model *model, size_t end)
{
    for (int attempt = 0; attempt < 8 && end > 0; attempt++) {
        size_t i = pick(model, end);
        if (model->entry[i].counts > 0)
            return i;
    }
    return ENTRIES;
}

/* ---- values ----------------------------------------------------------------------------- */

/* Names entries before `end` only, so that no cycle comes about. */
static struct value random_value(struct model *model, size_t end)
{
    struct value value = {
        .made = ++model->values, .cnode = pick(model, 2) == 0, .pages = pick(model, 50)};
    for (size_t i = 0; i < SLOTS && value.cnode; i++) {
        size_t number = pick(model, NUMBERS), held = pick_held(model, end);
        if (pick(model, 2) == 0 && held != ENTRIES) {
            value.slot[i].kind = SLOT_ENTRY;
            value.slot[i].what = held;
        } else if (model->published[number]) {
            value.slot[i].kind = SLOT_NUMBER;
            value.slot[i].what = number;
        }
    }
    return value;
}

static struct javm_cap *build_value(const struct model *model, const struct value *value)
{
    if (!value->cnode)
        return value_cap(value->pages);
    struct javm_cap *cnode = cnode_cap();
    for (size_t i = 0; i < SLOTS; i++) {
        if (value->slot[i].kind == SLOT_ENTRY) {
            struct javm_ref_cell *cell = model->entry[value->slot[i].what].cell;
            javm_ref_clone(cell);
            cnode_put(cnode, i, (struct javm_target){JAVM_TARGET_REF, {.ref = cell}});
        } else if (value->slot[i].kind == SLOT_NUMBER) {
            struct javm_hash hash = type_hash(value->slot[i].what);
            cnode_put(cnode, i, javm_target_hash(&hash));
        }
    }
    return cnode;
}

static void check_value(const struct model *model, const struct value *value,
                        const struct javm_cap *cap)
{
    if (!value->cnode) {
        REQUIRE(javm_cap_kind(cap) == JAVM_DATA && javm_data_pages(cap) == value->pages);
        return;
    }
    REQUIRE(javm_cap_kind(cap) == JAVM_CNODE);
    for (size_t i = 0; i < SLOTS; i++) {
        struct javm_key key = javm_key_from_u64(i);
        const struct javm_target *target = javm_cnode_get(cap, &key);
        if (value->slot[i].kind == SLOT_EMPTY) {
            REQUIRE(target == NULL);
        } else if (value->slot[i].kind == SLOT_ENTRY) {
            REQUIRE(target->kind == JAVM_TARGET_REF);
            REQUIRE(target->ref == model->entry[value->slot[i].what].cell);
        } else {
            struct javm_hash hash = type_hash(value->slot[i].what);
            REQUIRE(target->kind == JAVM_TARGET_HASH && javm_hash_equal(&target->hash, &hash));
        }
    }
}

/* ---- what the model says ---------------------------------------------------------------- */

static unsigned names_in(const struct value *value, size_t entry)
{
    unsigned count = 0;
    for (size_t i = 0; i < SLOTS && value->cnode; i++)
        count += value->slot[i].kind == SLOT_ENTRY && value->slot[i].what == entry;
    return count;
}

/* A view shares the cap with its entry, as long as that has the value, and with views like it. */
static bool view_holds_alone(const struct model *model, size_t view)
{
    uint64_t made = model->view[view].value.made;
    for (size_t i = 0; i < model->entries; i++)
        if (model->entry[i].live && model->entry[i].value.made == made)
            return false;
    for (size_t i = 0; i < view; i++)
        if (model->view[i].cap != NULL && model->view[i].value.made == made)
            return false;
    return true;
}

static uint64_t holders(const struct model *model, size_t entry)
{
    uint64_t count = model->entry[entry].counts;
    for (size_t i = 0; i < model->entries; i++)
        count += model->entry[i].live ? names_in(&model->entry[i].value, entry) : 0;
    for (size_t i = 0; i < VIEWS; i++)
        if (model->view[i].cap != NULL && view_holds_alone(model, i))
            count += names_in(&model->view[i].value, entry);
    return count;
}

/* Values name earlier entries only: from the last to the first, one pass is the fixpoint. */
static uint64_t model_sweep(struct model *model)
{
    uint64_t removed = 0;
    for (size_t i = model->entries; i-- > 0;)
        if (model->entry[i].live && holders(model, i) == 0) {
            model->entry[i].live = false;
            removed++;
        }
    return removed;
}

static void model_publish(struct model *model, const struct javm_hash *hash)
{
    for (size_t i = 0; i < model->hashes; i++)
        if (javm_hash_equal(&model->hash[i], hash))
            return;
    REQUIRE(model->hashes < HASHES);
    model->hash[model->hashes++] = *hash;
}

static struct javm_hash model_settle(struct model *model, size_t entry)
{
    const struct value *value = &model->entry[entry].value;
    struct javm_hash hash;
    struct javm_cap *cap = value->cnode ? cnode_cap() : value_cap(value->pages);
    for (size_t i = 0; i < SLOTS && value->cnode; i++) {
        if (value->slot[i].kind == SLOT_EMPTY)
            continue;
        struct javm_hash below = value->slot[i].kind == SLOT_ENTRY
                                     ? model_settle(model, value->slot[i].what)
                                     : type_hash(value->slot[i].what);
        cnode_put(cap, i, javm_target_hash(&below));
    }
    REQUIRE(javm_cap_hash(cap, &hash) == JAVM_OK);
    javm_cap_release(cap);
    model_publish(model, &hash);
    return hash;
}

/* ---- steps ------------------------------------------------------------------------------ */

static void step_put(struct model *model)
{
    size_t number = pick(model, NUMBERS);
    struct javm_cap *cap = type_cap(number);
    struct javm_hash hash, expected = type_hash(number);
    REQUIRE(javm_directory_put(model->self, cap, &hash, NULL) == JAVM_OK);
    REQUIRE(javm_hash_equal(&hash, &expected));
    javm_cap_release(cap);
    model->published[number] = true;
    model_publish(model, &hash);
}

/* A CNode that names one number: goes in when that number is published. */
static void step_put_closure(struct model *model)
{
    size_t number = pick(model, NUMBERS);
    struct javm_hash child = type_hash(number);
    struct javm_cap *cnode = cnode_cap();
    cnode_put(cnode, 9, javm_target_hash(&child));
    enum javm_status expected = model->published[number] ? JAVM_OK : JAVM_E_MISSING;
    struct javm_hash hash;
    REQUIRE(javm_directory_put(model->self, cnode, &hash, NULL) == expected);
    if (expected == JAVM_OK)
        model_publish(model, &hash);
    javm_cap_release(cnode);
}

static void step_get(struct model *model)
{
    size_t number = pick(model, NUMBERS);
    struct javm_hash hash = type_hash(number);
    struct javm_cap *cap = javm_directory_get(model->self, &hash);
    REQUIRE((cap != NULL) == model->published[number]);
    REQUIRE(cap == NULL || type_number(cap) == number);
    javm_cap_release(cap);
    model->gets++;
    model->get_misses += cap == NULL;
}

static void add_entry(struct model *model, const struct javm_target *ref, struct value value)
{
    for (size_t i = 0; i < model->entries; i++)
        REQUIRE(!model->entry[i].live || model->entry[i].cell != ref->ref);
    model->entry[model->entries++] = (struct model_entry){ref->ref, value, 1, true};
}

static void step_make(struct model *model)
{
    if (model->entries == ENTRIES)
        return;
    struct value value = random_value(model, model->entries);
    struct javm_target ref = make_entry(model->self, build_value(model, &value));
    add_entry(model, &ref, value);
}

/* From a settled entry or, refused, from a Type. */
static void step_get_mut(struct model *model)
{
    size_t number = pick(model, NUMBERS), i = pick_held(model, model->entries);
    struct javm_hash hash = type_hash(number);
    struct javm_target ref;
    enum javm_status expected = model->published[number] ? JAVM_E_KIND : JAVM_E_MISSING;
    REQUIRE(javm_directory_get_mut(model->self, &hash, &ref, NULL) == expected);
    if (i == ENTRIES || model->entries == ENTRIES || model->entry[i].value.cnode)
        return;
    struct javm_target target = {JAVM_TARGET_REF, {.ref = model->entry[i].cell}};
    REQUIRE(javm_directory_settle(model->self, &target, &hash, NULL) == JAVM_OK);
    model_publish(model, &hash);
    REQUIRE(javm_directory_get_mut(model->self, &hash, &ref, NULL) == JAVM_OK);
    struct value value = model->entry[i].value;
    value.made = ++model->values;
    add_entry(model, &ref, value);
}

static void step_view(struct model *model)
{
    struct model_view *view = &model->view[pick(model, VIEWS)];
    size_t i = pick_held(model, model->entries);
    if (view->cap != NULL) {
        check_value(model, &view->value, view->cap);
        javm_cap_release(view->cap);
        view->cap = NULL;
    }
    if (i == ENTRIES || pick(model, 3) == 0)
        return;
    REQUIRE(javm_directory_get_ref(model->self, model->entry[i].cell, &view->cap, NULL) == JAVM_OK);
    view->value = model->entry[i].value;
    check_value(model, &view->value, view->cap);
}

static void step_replace(struct model *model)
{
    size_t i = pick_held(model, model->entries);
    if (i == ENTRIES)
        return;
    struct value value = random_value(model, i);
    struct javm_cap *cap = build_value(model, &value);
    REQUIRE(javm_directory_replace(model->self, model->entry[i].cell, cap, NULL) == JAVM_OK);
    model->entry[i].value = value;
}

static void step_clone(struct model *model)
{
    size_t i = pick_held(model, model->entries);
    if (i == ENTRIES)
        return;
    javm_ref_clone(model->entry[i].cell);
    model->entry[i].counts++;
}

static void step_drop(struct model *model)
{
    size_t i = pick_held(model, model->entries);
    if (i == ENTRIES)
        return;
    model->entry[i].counts--;
    javm_ref_drop(model->entry[i].cell);
}

static void step_settle(struct model *model)
{
    size_t i = pick_held(model, model->entries);
    if (i == ENTRIES)
        return;
    struct javm_target target = {JAVM_TARGET_REF, {.ref = model->entry[i].cell}};
    struct javm_hash hash, expected = model_settle(model, i);
    REQUIRE(javm_directory_settle(model->self, &target, &hash, NULL) == JAVM_OK);
    REQUIRE(javm_hash_equal(&hash, &expected));
    struct javm_cap *cap = javm_directory_get(model->self, &hash);
    REQUIRE(cap != NULL && !javm_cap_has_ref(cap));
    javm_cap_release(cap);
    model->gets++;
}

static void step_sweep(struct model *model)
{
    uint64_t expected = model_sweep(model);
    REQUIRE(javm_directory_sweep(model->self) == expected);
    REQUIRE(javm_directory_sweep(model->self) == 0);
    model->swept += expected;
}

static void step_rejoin(struct model *model)
{
    javm_directory_leave(model->self);
    model->self = javm_directory_join(model->dir);
    REQUIRE(model->self != NULL);
}

static void (*const steps[])(struct model *model) = {
    step_put,  step_put_closure, step_get,     step_make,    step_make,  step_get_mut,
    step_view, step_view,        step_replace, step_replace, step_clone, step_drop,
    step_drop, step_settle,      step_sweep,   step_rejoin};

static void check_all(struct model *model)
{
    struct javm_directory_stats stats;
    uint64_t live = 0, bytes = 0;
    for (size_t i = 0; i < model->entries; i++) {
        struct model_entry *entry = &model->entry[i];
        if (!entry->live)
            continue;
        struct javm_cap *cap = build_value(model, &entry->value);
        live++;
        bytes += javm_cap_bytes(cap);
        javm_cap_release(cap);
        if (entry->counts == 0)
            continue;
        /* the directory's own count, too */
        REQUIRE(__atomic_load_n(&entry->cell->count, __ATOMIC_RELAXED) == holders(model, i) + 1);
        REQUIRE(javm_directory_get_ref(model->self, entry->cell, &cap, NULL) == JAVM_OK);
        check_value(model, &entry->value, cap);
        javm_cap_release(cap);
    }
    javm_directory_stats(model->self, &stats);
    REQUIRE(stats.instances == live && stats.instance_bytes == bytes);
    REQUIRE(stats.gets == model->gets && stats.get_misses == model->get_misses);
    REQUIRE(stats.swept == model->swept);
    REQUIRE(stats.blobs == model->hashes && stats.puts >= stats.blobs + stats.put_hits);
    for (size_t i = 0; i < model->hashes; i++) {
        struct javm_cap *cap = javm_directory_get(model->self, &model->hash[i]);
        REQUIRE(cap != NULL);
        javm_cap_release(cap);
    }
}

static void let_go(struct model *model)
{
    for (size_t i = 0; i < VIEWS; i++)
        javm_cap_release(model->view[i].cap);
    for (size_t i = 0; i < model->entries; i++)
        for (; model->entry[i].counts > 0; model->entry[i].counts--)
            javm_ref_drop(model->entry[i].cell);
    memset(model->view, 0, sizeof model->view);
}

Test(random, sequences_behave_as_the_model)
{
    static struct model model;
    for (uint64_t seed = 1; seed <= SEQUENCES * (uint64_t)stress_factor(); seed++) {
        memset(&model, 0, sizeof model);
        model.random.state = seed;
        model.dir = make_directory(1, 4);
        model.self = javm_directory_join(model.dir);
        for (uint64_t n = pick(&model, STEPS); n > 0; n--)
            steps[pick(&model, sizeof steps / sizeof *steps)](&model);
        check_all(&model);
        let_go(&model);
        if (seed % 2 == 0) { /* else destruction frees them */
            uint64_t expected = model_sweep(&model);
            REQUIRE(javm_directory_sweep(model.self) == expected);
            REQUIRE(live_entries(model.self) == 0);
        }
        javm_directory_leave(model.self);
        javm_directory_destroy(model.dir);
    }
    REQUIRE_NO_LEAKS();
}
