#include "batch/slot_handle.h"

#include <stdlib.h>
#include <string.h>

#include "javm/handle.h"

static const struct {
    const char *name;
    struct javm_cap *(*make)(const struct javm_key *key); /* NULL: from a list of keys */
} handles[] = {{"sender", javm_yield_sender},
               {"gas", javm_gas_handle},
               {"quota", javm_quota_handle},
               {"receiver", NULL}};
#define HANDLES (sizeof handles / sizeof *handles)

static size_t find(const struct json_node *content)
{
    size_t i = 0;
    while (i < HANDLES && !field_key_is(content, handles[i].name))
        i++;
    return i;
}

bool slot_is_handle(const struct json_node *content)
{
    return find(content) < HANDLES;
}

static bool read_key(const struct fields *fields, const struct json_node *node, const char *what,
                     struct javm_key *key, struct problem *problem)
{
    size_t len = 0;
    *key = (struct javm_key){.len = 0};
    if (!field_string(node, what, problem))
        return false;
    /* Two more digits than the longest key are found out without reading them. */
    if (!field_is_hex(node) || node->text_len < 4 || node->text_len > 2 + 2 * JAVM_MAX_KEY_LEN)
        return problem_at(problem, node->offset,
                          "%s: expected a key, \"0x\" and 1 to 8 bytes in hex", what);
    if (!field_bytes(fields, node, what, key->bytes, &len, problem))
        return false;
    key->len = (uint8_t)len;
    return true;
}

static struct javm_cap *receiver(const struct fields *fields, const struct json_node *list,
                                 struct problem *problem)
{
    if (list->type != JSON_ARRAY) {
        problem_at(problem, list->offset, "receiver: expected a list of keys");
        return NULL;
    }
    struct javm_key *keys = calloc(list->count + (size_t)1, sizeof *keys);
    struct javm_cap *cap = NULL;
    size_t count = 0;
    bool good = keys != NULL;
    for (uint32_t i = list->first; good && i != 0; i = fields->nodes[i].next)
        good = read_key(fields, &fields->nodes[i], "receiver", &keys[count++], problem);
    if (good)
        cap = javm_yield_receiver(keys, count);
    if (keys == NULL || (good && cap == NULL))
        problem_at(problem, list->offset, "receiver: out of memory, or too many keys");
    free(keys);
    return cap;
}

struct javm_cap *slot_handle(const struct fields *fields, const struct json_node *content,
                             struct problem *problem)
{
    const size_t i = find(content);
    struct javm_key key;
    if (handles[i].make == NULL)
        return receiver(fields, content, problem);
    if (!read_key(fields, content, handles[i].name, &key, problem))
        return NULL;
    struct javm_cap *cap = handles[i].make(&key);
    if (cap == NULL)
        problem_at(problem, content->offset, "%s: out of memory", handles[i].name);
    return cap;
}
