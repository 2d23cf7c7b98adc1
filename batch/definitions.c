#include "batch/definitions.h"

#include <stdlib.h>
#include <string.h>

#include "batch/foreign.h"
#include "batch/load_root.h"
#include "batch/names.h"
#include "batch/outputs.h"
#include "batch/slot_handle.h"
#include "batch/text.h"
#include "javm/handle.h"
#include "javm/load.h"
#include "javm/vm.h"

struct definition {
    struct named named; /* first */
    bool is_instance;
    struct javm_hash image_hash;
    struct target target;
};

struct definitions {
    struct javm_dir_thread *dir;
    char *base;
    const struct foreign_stubs *stubs;
    bool keep;
    struct names names;
};

struct definitions *definitions_new(struct javm_dir_thread *dir, const char *base,
                                    const struct foreign_stubs *stubs, bool keep)
{
    struct definitions *defs = calloc(1, sizeof *defs);
    if (defs == NULL)
        return NULL;
    defs->dir = dir;
    defs->stubs = stubs;
    defs->keep = keep;
    defs->base = strdup(base);
    if (!names_open(&defs->names) || defs->base == NULL) {
        definitions_free(defs);
        return NULL;
    }
    return defs;
}

void definitions_close(struct definitions *defs)
{
    for (size_t i = 0; i < defs->names.capacity; i++) {
        struct definition *definition = (struct definition *)defs->names.places[i];
        if (definition != NULL)
            foreign_close(definition->target.foreign);
    }
}

void definitions_free(struct definitions *defs)
{
    if (defs == NULL)
        return;
    for (size_t i = 0; i < defs->names.capacity; i++) {
        struct definition *definition = (struct definition *)defs->names.places[i];
        if (definition == NULL)
            continue;
        javm_cap_release(definition->target.image);
        foreign_free(definition->target.foreign);
        free(definition->named.name);
        free(definition);
    }
    names_close(&defs->names);
    free(defs->base);
    free(defs);
}

uint64_t definitions_count(const struct definitions *defs)
{
    return defs->names.count;
}

static struct definition *find(const struct definitions *defs, const char *name, size_t len)
{
    return (struct definition *)names_find(&defs->names, name, len);
}

/* Takes over target->image and target->foreign on success. */
static const struct target *insert(struct definitions *defs, const char *name, size_t len,
                                   bool is_instance, const struct javm_hash *image_hash,
                                   const struct target *target)
{
    struct definition *definition = calloc(1, sizeof *definition);
    if (definition == NULL || !names_add(&defs->names, &definition->named, name, len)) {
        free(definition);
        return NULL;
    }
    definition->is_instance = is_instance;
    definition->image_hash = *image_hash;
    definition->target = *target;
    return &definition->target;
}

char *definitions_path(const struct definitions *defs, const struct json_node *node,
                       const char *text, size_t len, struct problem *problem)
{
    if (len == 0 || memchr(text, 0, len) != NULL) {
        problem_at(problem, node->offset,
                   len == 0 ? "expected a file name, found an empty string"
                            : "a file name cannot contain a NUL character");
        return NULL;
    }
    const size_t base = text[0] == '/' ? 0 : strlen(defs->base);
    char *path = malloc(base + len + 1);
    if (path == NULL) {
        problem_at(problem, node->offset, "out of memory");
        return NULL;
    }
    memcpy(path, defs->base, base);
    memcpy(path + base, text, len);
    path[base + len] = '\0';
    return path;
}

/* ---- image definitions ------------------------------------------------------------------ */

/* The bytes of the file that a member names. False: *problem. */
static bool read_file(struct definitions *defs, const struct json_node *node, const char *what,
                      char **path, uint8_t **bytes, size_t *len, struct problem *problem)
{
    struct javm_error err;
    if (!field_string(node, what, problem) ||
        (*path = definitions_path(defs, node, node->text, node->text_len, problem)) == NULL)
        return false;
    if (outputs_read(*path, bytes, len, &err) == JAVM_OK)
        return true; /* errors name the path */
    free(*path);
    problem_at(problem, node->offset, "%s: %s", what, err.text);
    return false;
}

/* The root of a file that is called `name`, or, unless it has to be that one, the only root. */
static bool load(struct definitions *defs, const struct json_node *node, const char *name,
                 bool strict, struct javm_hash *hash, struct problem *problem)
{
    struct javm_error err;
    uint8_t *bytes;
    size_t len;
    char *path;
    if (!read_file(defs, node, "load", &path, &bytes, &len, problem))
        return false;
    const enum javm_status status =
        load_root(defs->dir, path, bytes, len, name, strict, hash, &err);
    free(path);
    free(bytes);
    return status == JAVM_OK || problem_at(problem, node->offset, "load: %s", err.text);
}

/* The fresh Instance of a published image. On success target->image has a reference. */
static bool target_of_image(struct definitions *defs, const struct javm_hash *hash, size_t offset,
                            struct target *target, struct problem *problem)
{
    struct javm_error err;
    struct javm_cap *cap = javm_directory_get(defs->dir, hash);
    if (cap == NULL || javm_cap_kind(cap) != JAVM_IMAGE) {
        problem_at(problem, offset, "expected an Image, found %s",
                   cap == NULL ? "nothing" : javm_kind_name(javm_cap_kind(cap)));
        javm_cap_release(cap);
        return false;
    }
    if (javm_vm_instantiate(defs->dir, hash, &target->instance, &err) != JAVM_OK) {
        javm_cap_release(cap);
        return problem_at(problem, offset, "%s", err.text);
    }
    target->image = cap;
    target->foreign = NULL;
    target->paused = false;
    return true;
}

/* A published Instance as it is. On success target->image has a reference. */
static bool target_of_instance(struct definitions *defs, const struct javm_hash *hash,
                               const struct javm_cap *cap, const struct json_node *node,
                               const char *what, struct target *target, struct problem *problem)
{
    if (javm_cap_kind(cap) != JAVM_INSTANCE || javm_handle_kind(cap) != JAVM_HANDLE_NONE)
        return problem_at(problem, node->offset, "%s: expected an Instance%s, found a%s %s", what,
                          strcmp(what, "invoke") == 0 ? " or an Image" : "",
                          javm_cap_kind(cap) == JAVM_IMAGE ? "n" : "",
                          javm_cap_kind(cap) == JAVM_INSTANCE ? "kernel handle"
                                                              : javm_kind_name(javm_cap_kind(cap)));
    const struct javm_instance *instance = javm_instance_of(cap);
    *target = (struct target){.instance = *hash, .paused = instance->status == JAVM_PAUSED};
    target->image = javm_directory_get(defs->dir, &instance->image_hash);
    if (target->image != NULL && javm_cap_kind(target->image) == JAVM_IMAGE)
        return true;
    javm_cap_release(target->image);
    return problem_at(problem, node->offset, "%s: the image of this instance is not loaded", what);
}

static bool check_name(struct definitions *defs, const struct json_node *node, const char *what,
                       struct problem *problem)
{
    char quoted[QUOTE_SIZE];
    if (!field_string(node, what, problem))
        return false;
    if (node->text_len == 0)
        return problem_at(problem, node->offset, "%s: expected a name, found an empty string",
                          what);
    if (field_is_hex(node))
        return problem_at(problem, node->offset,
                          "%s: a name cannot start with 0x, that would read as a hash", what);
    if (find(defs, node->text, node->text_len) != NULL)
        return problem_at(problem, node->offset, "%s: the name %s is already defined", what,
                          quote(quoted, node->text, node->text_len));
    return true;
}

static bool unknown_field(const struct json_node *node, const char *known, struct problem *problem)
{
    char quoted[QUOTE_SIZE];
    return problem_at(problem, node->key_offset, "unknown field %s; known here: %s, x-...",
                      quote(quoted, node->key, node->key_len), known);
}

static bool no_memory(const struct json_node *node, struct problem *problem)
{
    return problem_at(problem, node->offset, "out of memory");
}

/* An image, or a PVM program: what is no bundle and no ELF file. */
static bool load_target(struct definitions *defs, const struct json_node *file, const char *what,
                        struct javm_hash *hash, struct target *target, struct problem *problem)
{
    struct javm_error err;
    uint8_t *bytes;
    size_t len;
    char *path;
    if (!read_file(defs, file, what, &path, &bytes, &len, problem))
        return false;
    const bool image = javm_file_sniff(bytes, len) != JAVM_FILE_UNKNOWN;
    const enum javm_status status =
        image ? load_root(defs->dir, path, bytes, len, "image", false, hash, &err)
              : foreign_load(bytes, len, defs->stubs, defs->keep, &target->foreign, &err);
    bool good = status == JAVM_OK;
    if (!good)
        problem_at(problem, file->offset, image ? "%s: %s%s" : "%s: %s: %s", what,
                   image ? "" : path, err.text);
    else if (image)
        good = target_of_image(defs, hash, file->offset, target, problem);
    else
        *hash = target->instance = target->foreign->hash;
    free(path);
    free(bytes);
    return good;
}

/* Takes what the target has in any case. */
static const struct target *keep_image(struct definitions *defs, const char *name, size_t len,
                                       const struct javm_hash *hash, const struct target *target,
                                       const struct json_node *node, struct problem *problem)
{
    const struct target *kept = insert(defs, name, len, false, hash, target);
    if (kept != NULL)
        return kept;
    javm_cap_release(target->image);
    foreign_free(target->foreign);
    no_memory(node, problem);
    return NULL;
}

static bool add_image(struct definitions *defs, const struct fields *fields,
                      struct problem *problem)
{
    const struct json_node *nodes = fields->nodes, *name = nodes, *file = NULL;
    for (uint32_t i = nodes[0].first; i != 0; i = nodes[i].next) {
        if (field_key_is(&nodes[i], "image"))
            name = &nodes[i];
        else if (field_key_is(&nodes[i], "load"))
            file = &nodes[i];
        else if (!field_is_extension(&nodes[i]))
            return unknown_field(&nodes[i], "image, load", problem);
    }
    if (!check_name(defs, name, "image", problem))
        return false;
    if (file == NULL)
        return problem_at(problem, nodes[0].offset,
                          "image: expected a field load with the file's name");
    struct target target = {.paused = false};
    struct javm_hash hash;
    return load_target(defs, file, "load", &hash, &target, problem) &&
           keep_image(defs, name->text, name->text_len, &hash, &target, name, problem) != NULL;
}

const struct target *definitions_program(struct definitions *defs, const struct json_node *node,
                                         struct problem *problem)
{
    struct target target = {.paused = false};
    struct javm_hash hash;
    if (!field_string(node, "program", problem))
        return NULL;
    /* Its place among the names is one that no definition can have. */
    static const char MARK[] = "0xfile:";
    const size_t mark = sizeof MARK - 1;
    char *name = malloc(mark + node->text_len);
    const struct target *found = NULL;
    if (name == NULL) {
        no_memory(node, problem);
        return NULL;
    }
    memcpy(name, MARK, mark);
    memcpy(name + mark, node->text, node->text_len);
    const struct definition *known = find(defs, name, mark + node->text_len);
    if (known != NULL)
        found = &known->target;
    else if (load_target(defs, node, "program", &hash, &target, problem))
        found = keep_image(defs, name, mark + node->text_len, &hash, &target, node, problem);
    free(name);
    return found;
}

/* ---- instance definitions --------------------------------------------------------------- */

/* "5" or "0x5ce": a number in a member's name. */
static bool slot_key(const struct json_node *node, struct javm_key *key, struct problem *problem)
{
    uint64_t number = 0;
    const bool hex = node->key_len > 2 && node->key[0] == '0' && (node->key[1] | 32) == 'x';
    bool good = node->key_len > 0 && node->key_len <= (hex ? 18 : 20);
    for (uint32_t i = hex ? 2 : 0; good && i < node->key_len; i++) {
        const int digit = hex_digit(node->key[i]);
        const uint64_t base = hex ? 16 : 10;
        good =
            digit >= 0 && (uint64_t)digit < base && number <= (UINT64_MAX - (uint64_t)digit) / base;
        if (good)
            number = number * base + (uint64_t)digit;
    }
    char quoted[QUOTE_SIZE];
    if (!good)
        return problem_at(problem, node->key_offset,
                          "slots: expected a slot number (decimal or 0x...), found %s",
                          quote(quoted, node->key, node->key_len));
    *key = javm_key_from_u64(number);
    return true;
}

/* {"data": file or "0x.."}: a published Data. *bytes: its length before padding. */
static bool slot_data(struct definitions *defs, const struct fields *fields,
                      const struct json_node *node, struct javm_hash *hash, uint64_t *pages,
                      struct problem *problem)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct javm_error err;
    if (!field_string(node, "data", problem))
        return false;
    if (field_is_hex(node)) {
        bytes = malloc(node->text_len);
        if (bytes == NULL)
            return no_memory(node, problem);
        if (!field_bytes(fields, node, "data", bytes, &len, problem)) {
            free(bytes);
            return false;
        }
    } else {
        char *path = definitions_path(defs, node, node->text, node->text_len, problem);
        if (path == NULL)
            return false;
        const enum javm_status status = outputs_read(path, &bytes, &len, &err);
        free(path);
        if (status != JAVM_OK)
            return problem_at(problem, node->offset, "data: %s", err.text);
    }
    struct javm_cap *data = javm_data_new(bytes, len);
    free(bytes);
    if (data == NULL)
        return no_memory(node, problem);
    *pages = javm_data_pages(data);
    const enum javm_status status = javm_directory_put(defs->dir, data, hash, &err);
    javm_cap_release(data);
    return status == JAVM_OK || problem_at(problem, node->offset, "data: %s", err.text);
}

static const struct definition *named(const struct definitions *defs, const struct json_node *node,
                                      bool instance, struct problem *problem)
{
    const char *what = instance ? "instance" : "image";
    char quoted[QUOTE_SIZE];
    if (!field_string(node, what, problem))
        return NULL;
    const struct definition *found = find(defs, node->text, node->text_len);
    if (found == NULL)
        problem_at(problem, node->offset, "%s: the name %s is not defined before this line", what,
                   quote(quoted, node->text, node->text_len));
    else if (found->is_instance != instance)
        problem_at(problem, node->offset, "%s: %s names an %s", what,
                   quote(quoted, node->text, node->text_len), instance ? "image" : "instance");
    else if (found->target.foreign != NULL)
        problem_at(problem, node->offset, "%s: %s names a PVM program, which has no instances",
                   what, quote(quoted, node->text, node->text_len));
    else
        return found;
    return NULL;
}

/* What a slot is to hold: its hash, and its pages when it is a Data. */
static bool slot_content(struct definitions *defs, const struct fields *fields,
                         const struct json_node *slot, struct javm_hash *hash, bool *is_data,
                         uint64_t *pages, struct problem *problem)
{
    static const char EXPECTED[] =
        "slots: expected {\"data\": file or \"0x..\"}, {\"instance\": name}, {\"image\": name} or "
        "a handle";
    if (slot->type != JSON_OBJECT || slot->count != 1)
        return problem_at(problem, slot->offset, "%s", EXPECTED);
    const struct json_node *content = &fields->nodes[slot->first];
    *is_data = field_key_is(content, "data");
    if (*is_data)
        return slot_data(defs, fields, content, hash, pages, problem);
    if (slot_is_handle(content)) {
        struct javm_error err;
        struct javm_cap *handle = slot_handle(fields, content, problem);
        if (handle == NULL)
            return false;
        const enum javm_status status = javm_directory_put(defs->dir, handle, hash, &err);
        javm_cap_release(handle);
        return status == JAVM_OK || problem_at(problem, content->offset, "slots: %s", err.text);
    }
    const bool instance = field_key_is(content, "instance");
    if (!instance && !field_key_is(content, "image"))
        return problem_at(problem, content->key_offset, "%s", EXPECTED);
    const struct definition *found = named(defs, content, instance, problem);
    if (found == NULL)
        return false;
    *hash = instance ? found->target.instance : found->image_hash;
    return true;
}

/* Refuse now what every CALL would refuse: a pinned slot, or content that does not fit its mapping.
 */
static bool check_slot(const struct javm_image *image, const struct json_node *slot,
                       const struct javm_key *key, bool is_data, uint64_t pages,
                       struct problem *problem)
{
    if (javm_image_pinned(image, key) != NULL)
        return problem_at(problem, slot->key_offset,
                          "slots: the image pins this slot; it cannot be filled here");
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct javm_mapping *mapping = &image->mappings[i];
        if (mapping->depth != 1 || javm_key_compare(&mapping->path[0], key) != 0)
            continue;
        if (!is_data)
            return problem_at(problem, slot->offset,
                              "slots: the image maps this slot as memory; expected data");
        if (pages > mapping->size / JAVM_PAGE_SIZE)
            return problem_at(problem, slot->offset,
                              "slots: %llu pages of data; the image maps %llu for this slot",
                              (unsigned long long)pages,
                              (unsigned long long)(mapping->size / JAVM_PAGE_SIZE));
    }
    return true;
}

/* A published CNode from a "slots" object. */
static bool build_cnode(struct definitions *defs, const struct fields *fields,
                        const struct json_node *slots, const struct javm_image *image,
                        struct javm_hash *hash, struct problem *problem)
{
    struct javm_error err;
    struct javm_cap *cnode = javm_cnode_new();
    if (cnode == NULL)
        return no_memory(slots, problem);
    bool good = true;
    for (uint32_t i = slots->first; good && i != 0; i = fields->nodes[i].next) {
        const struct json_node *slot = &fields->nodes[i];
        struct javm_key key;
        struct javm_hash content;
        bool is_data = false;
        uint64_t pages = 0;
        good = slot_key(slot, &key, problem);
        if (good && javm_cnode_get(cnode, &key) != NULL)
            good = problem_at(problem, slot->key_offset, "slots: this slot is filled twice");
        good = good && slot_content(defs, fields, slot, &content, &is_data, &pages, problem) &&
               check_slot(image, slot, &key, is_data, pages, problem);
        struct javm_target target = {.kind = JAVM_TARGET_EMPTY};
        if (good)
            target = javm_target_hash(&content);
        if (good && javm_cnode_set(cnode, &key, &target) != JAVM_OK)
            good = no_memory(slot, problem);
    }
    if (good && javm_directory_put(defs->dir, cnode, hash, &err) != JAVM_OK)
        good = problem_at(problem, slots->offset, "slots: %s", err.text);
    javm_cap_release(cnode);
    return good;
}

/* The genesis Instance with another root cnode, published. */
static bool with_cnode(struct definitions *defs, const struct javm_hash *cnode,
                       const struct json_node *at, struct javm_hash *instance,
                       struct problem *problem)
{
    struct javm_error err;
    struct javm_cap *genesis = javm_directory_get(defs->dir, instance);
    struct javm_cap *filled = genesis == NULL ? NULL : javm_cap_clone(genesis);
    javm_cap_release(genesis);
    if (filled == NULL)
        return no_memory(at, problem);
    struct javm_instance *fields = javm_instance_mut(filled);
    javm_target_drop(&fields->root_cnode);
    fields->root_cnode = javm_target_hash(cnode);
    const enum javm_status status = javm_directory_put(defs->dir, filled, instance, &err);
    javm_cap_release(filled);
    return status == JAVM_OK || problem_at(problem, at->offset, "instance: %s", err.text);
}

/* Keep the target under the name. Takes its reference in any case. */
static bool define_instance(struct definitions *defs, const struct json_node *name,
                            const struct javm_hash *image_hash, const struct target *target,
                            struct problem *problem)
{
    if (insert(defs, name->text, name->text_len, true, image_hash, target) != NULL)
        return true;
    javm_cap_release(target->image);
    return no_memory(name, problem);
}

/* One that an earlier batch or another program left in a file. */
static bool add_loaded(struct definitions *defs, const struct json_node *name,
                       const struct json_node *file, const struct json_node *root,
                       struct problem *problem)
{
    struct javm_hash hash;
    struct target target = {.paused = false};
    if (root != NULL && !field_string(root, "root", problem))
        return false;
    char *wanted = root == NULL ? strdup("instance") : strndup(root->text, root->text_len);
    if (wanted == NULL)
        return no_memory(name, problem);
    bool good = load(defs, file, wanted, root != NULL, &hash, problem);
    free(wanted);
    if (!good)
        return false;
    struct javm_cap *cap = javm_directory_get(defs->dir, &hash);
    good = cap != NULL ? target_of_instance(defs, &hash, cap, file, "load", &target, problem)
                       : no_memory(name, problem);
    const struct javm_hash image_hash =
        good ? javm_instance_of(cap)->image_hash : (struct javm_hash){{0}};
    javm_cap_release(cap);
    return good && define_instance(defs, name, &image_hash, &target, problem);
}

static bool add_instance(struct definitions *defs, const struct fields *fields,
                         struct problem *problem)
{
    const struct json_node *nodes = fields->nodes, *name = nodes, *image = NULL, *slots = NULL,
                           *file = NULL, *root = NULL;
    const struct {
        const char *name;
        const struct json_node **to;
    } known[] = {{"instance", &name},
                 {"image", &image},
                 {"slots", &slots},
                 {"load", &file},
                 {"root", &root}};
    for (uint32_t i = nodes[0].first; i != 0; i = nodes[i].next) {
        size_t k = 0;
        while (k < sizeof known / sizeof *known && !field_key_is(&nodes[i], known[k].name))
            k++;
        if (k < sizeof known / sizeof *known)
            *known[k].to = &nodes[i];
        else if (!field_is_extension(&nodes[i]))
            return unknown_field(&nodes[i], "instance, image, slots, load, root", problem);
    }
    if (!check_name(defs, name, "instance", problem))
        return false;
    if (file != NULL && (image != NULL || slots != NULL))
        return problem_at(problem, (image != NULL ? image : slots)->key_offset,
                          "instance: what is loaded has its image and slots; expected load alone");
    if (root != NULL && file == NULL)
        return problem_at(problem, root->key_offset, "root: expected with a field load");
    if (file != NULL)
        return add_loaded(defs, name, file, root, problem);
    if (image == NULL)
        return problem_at(problem, nodes[0].offset,
                          "instance: expected a field image with a defined image's name, or load "
                          "with a file's");
    const struct definition *of = named(defs, image, false, problem);
    if (of == NULL)
        return false;
    struct target target = of->target;
    if (slots != NULL && slots->type != JSON_OBJECT)
        return problem_at(problem, slots->offset, "slots: expected an object");
    if (slots != NULL && slots->count > 0) {
        struct javm_hash cnode;
        if (!build_cnode(defs, fields, slots, javm_image_of(target.image), &cnode, problem) ||
            !with_cnode(defs, &cnode, slots, &target.instance, problem))
            return false;
    }
    const struct javm_hash image_hash = of->image_hash;
    javm_cap_retain(target.image);
    return define_instance(defs, name, &image_hash, &target, problem);
}

bool definitions_add(struct definitions *defs, const struct fields *fields, struct problem *problem)
{
    /* An instance has an "image" member, too: its kind. */
    if (json_member(fields->nodes, fields->nodes, "instance") != NULL)
        return add_instance(defs, fields, problem);
    return add_image(defs, fields, problem);
}

/* ---- lookup ----------------------------------------------------------------------------- */

/* A hash given literally: an Instance or an Image that some loaded file brought along. */
static const struct target *find_hash(struct definitions *defs, const struct json_node *node,
                                      struct problem *problem)
{
    struct javm_hash hash;
    char text[JAVM_HASH_TEXT];
    if (!javm_hash_parse(node->text, node->text_len, &hash)) {
        problem_at(problem, node->offset, "invoke: expected 0x and 64 hex digits, or a name");
        return NULL;
    }
    javm_hash_format(&hash, text);
    const size_t len = JAVM_HASH_TEXT - 1;
    const struct definition *known = find(defs, text, len);
    if (known != NULL)
        return &known->target;
    struct target target = {0};
    struct javm_cap *cap = javm_directory_get(defs->dir, &hash);
    struct javm_hash image_hash = hash;
    if (cap == NULL) {
        problem_at(problem, node->offset, "invoke: nothing loaded so far has this hash");
        return NULL;
    }
    bool good;
    if (javm_cap_kind(cap) == JAVM_IMAGE) {
        good = target_of_image(defs, &hash, node->offset, &target, problem);
    } else {
        good = target_of_instance(defs, &hash, cap, node, "invoke", &target, problem);
        if (good)
            image_hash = javm_instance_of(cap)->image_hash;
    }
    javm_cap_release(cap);
    if (!good)
        return NULL;
    const struct target *inserted = insert(defs, text, len, true, &image_hash, &target);
    if (inserted == NULL) {
        javm_cap_release(target.image);
        no_memory(node, problem);
    }
    return inserted;
}

const struct target *definitions_find(struct definitions *defs, const struct json_node *node,
                                      struct problem *problem)
{
    char quoted[QUOTE_SIZE];
    if (!field_string(node, "invoke", problem))
        return NULL;
    if (field_is_hex(node))
        return find_hash(defs, node, problem);
    const struct definition *found = find(defs, node->text, node->text_len);
    if (found != NULL)
        return &found->target;
    problem_at(problem, node->offset, "invoke: the name %s is not defined before this line",
               quote(quoted, node->text, node->text_len));
    return NULL;
}
