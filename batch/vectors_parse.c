#include "batch/vectors_parse.h"

#include <stdlib.h>
#include <string.h>

#include "batch/text.h"

#define PAGE_MASK (JAVM_PAGE_SIZE - 1)
#define SPACE     (UINT64_C(1) << 32)

bool vector_hex(const struct json_node *node, const char *what, uint8_t *to, size_t *len,
                struct problem *problem)
{
    *len = 0;
    if (!field_string(node, what, problem))
        return false;
    if (node->text_len % 2 != 0)
        return problem_at(problem, node->offset, "%s: odd number of hex digits", what);
    for (uint32_t i = 0; i < node->text_len; i += 2) {
        const int high = hex_digit(node->text[i]), low = hex_digit(node->text[i + 1]);
        if (high < 0 || low < 0)
            return problem_at(problem, node->offset, "%s: expected hex digits only", what);
        to[(*len)++] = (uint8_t)(high << 4 | low);
    }
    return true;
}

const struct json_node *vector_member(const struct fields *json, const struct json_node *object,
                                      const char *key, struct problem *problem)
{
    const struct json_node *node = NULL;
    if (object->type == JSON_OBJECT)
        node = json_member(json->nodes, object, key);
    if (node == NULL)
        problem_at(problem, object->offset, "expected an object with the member \"%s\"", key);
    return node;
}

bool vector_u64(const struct fields *json, const struct json_node *object, const char *key,
                uint64_t max, uint64_t *value, struct problem *problem)
{
    const struct json_node *node = vector_member(json, object, key, problem);
    return node != NULL && field_u64(node, key, max, value, problem);
}

bool vector_bool(const struct fields *json, const struct json_node *object, const char *key,
                 bool *value, struct problem *problem)
{
    const struct json_node *node = vector_member(json, object, key, problem);
    if (node == NULL)
        return false;
    *value = node->boolean;
    return node->type == JSON_BOOL ||
           problem_at(problem, node->offset, "%s: expected true or false", key);
}

const struct json_node *vector_array(const struct fields *json, const struct json_node *object,
                                     const char *key, struct problem *problem)
{
    const struct json_node *node = vector_member(json, object, key, problem);
    if (node != NULL && node->type != JSON_ARRAY) {
        problem_at(problem, node->offset, "%s: expected an array", key);
        return NULL;
    }
    return node;
}

bool vector_regs(const struct fields *json, const struct json_node *object, unsigned count,
                 uint64_t *regs, struct problem *problem)
{
    const struct json_node *list = vector_array(json, object, "regs", problem);
    if (list == NULL)
        return false;
    if (list->count != count)
        return problem_at(problem, list->offset, "regs: %u values, expected %u", list->count,
                          count);
    const struct json_node *node = &json->nodes[list->first];
    for (unsigned i = 0; i < count; i++, node = &json->nodes[node->next])
        if (!field_u64(node, "regs", UINT64_MAX, &regs[i], problem))
            return false;
    return true;
}

void *vector_room(void *array, size_t *room, size_t count, size_t size)
{
    if (count <= *room)
        return array;
    free(array);
    array = calloc(count, size);
    *room = array != NULL ? count : 0;
    return array;
}

size_t vector_hex_digits(const struct fields *json, const struct json_node *list)
{
    size_t total = 0;
    if (list == NULL || (list->type != JSON_ARRAY && list->type != JSON_OBJECT))
        return 0;
    for (uint32_t i = list->first; i != 0; i = json->nodes[i].next) {
        const struct json_node *node = &json->nodes[i];
        if (node->type == JSON_STRING)
            total += node->text_len;
        else
            total += vector_hex_digits(json, node); /* at most JSON_MAX_DEPTH deep */
    }
    return total;
}

static int by_page(const void *a, const void *b)
{
    const struct javm_region *x = a, *y = b;
    return x->first_page < y->first_page ? -1 : x->first_page > y->first_page;
}

static int by_addr(const void *a, const void *b)
{
    const struct vector_run *x = a, *y = b;
    return x->addr < y->addr ? -1 : x->addr > y->addr;
}

bool vector_sort_regions(struct vector *v, const struct json_node *list, struct problem *problem)
{
    qsort(v->regions, v->region_count, sizeof *v->regions, by_page);
    for (size_t i = 1; i < v->region_count; i++)
        if (v->regions[i].first_page - v->regions[i - 1].first_page < v->regions[i - 1].pages)
            return problem_at(problem, list->offset, "memory: ranges overlap at 0x%llx",
                              (unsigned long long)v->regions[i].first_page << JAVM_PAGE_SHIFT);
    return true;
}

bool vector_extent(const struct fields *json, const struct json_node *node,
                   struct javm_region *region, struct problem *problem)
{
    uint64_t addr, len;
    memset(region, 0, sizeof *region);
    if (!vector_u64(json, node, "addr", SPACE - 1, &addr, problem) ||
        !vector_u64(json, node, "len", SPACE, &len, problem) ||
        !vector_bool(json, node, "writable", &region->writable, problem))
        return false;
    if (addr % JAVM_PAGE_SIZE != 0 || len % JAVM_PAGE_SIZE != 0 || len > SPACE - addr)
        return problem_at(problem, node->offset,
                          "memory: addr and len have to be multiples of %u below 4 GiB",
                          JAVM_PAGE_SIZE);
    region->first_page = (uint32_t)(addr >> JAVM_PAGE_SHIFT);
    region->pages = (uint32_t)(len >> JAVM_PAGE_SHIFT);
    region->kind = JAVM_REGION_ZERO;
    return true;
}

static bool parse_region(const struct fields *json, const struct json_node *node,
                         struct javm_region *region, uint8_t *to, size_t *used,
                         struct problem *problem)
{
    size_t filled;
    const struct json_node *hex;
    if (!vector_extent(json, node, region, problem))
        return false;
    const uint64_t len = (uint64_t)region->pages << JAVM_PAGE_SHIFT;
    if (region->first_page == 0 && len != 0)
        return problem_at(problem, node->offset, "memory: page 0 is never mapped");
    hex = json_member(json->nodes, node, "hex");
    if (hex == NULL || len == 0)
        return true;
    if (!vector_hex(hex, "hex", to + *used, &filled, problem))
        return false;
    if (filled > len)
        return problem_at(problem, hex->offset, "hex: %zu bytes for a range of %llu", filled,
                          (unsigned long long)len);
    region->kind = JAVM_REGION_BYTES;
    region->bytes = to + *used;
    region->len = filled;
    *used += filled;
    return true;
}

static bool parse_memory(struct vector *v, const struct fields *json, const struct json_node *list,
                         size_t *used, struct problem *problem)
{
    v->region_count = 0;
    if (v->code_len != 0)
        v->regions[v->region_count++] =
            (struct javm_region){.first_page = JAVM_CODE_BASE >> JAVM_PAGE_SHIFT,
                                 .pages = (uint32_t)((v->code_len + PAGE_MASK) >> JAVM_PAGE_SHIFT),
                                 .kind = JAVM_REGION_BYTES,
                                 .bytes = v->code,
                                 .len = v->code_len};
    for (uint32_t i = list->first; i != 0; i = json->nodes[i].next) {
        struct javm_region *region = &v->regions[v->region_count];
        if (!parse_region(json, &json->nodes[i], region, v->bytes, used, problem))
            return false;
        if (region->pages != 0)
            v->region_count++;
    }
    return vector_sort_regions(v, list, problem);
}

/* Does every byte of the run lie in writable memory? */
static bool is_writable(const struct vector *v, const struct vector_run *run)
{
    uint64_t at = run->addr;
    const uint64_t end = at + run->len;
    for (size_t i = 0; i < v->region_count && at < end; i++) {
        const uint64_t first = (uint64_t)v->regions[i].first_page << JAVM_PAGE_SHIFT;
        const uint64_t stop = first + ((uint64_t)v->regions[i].pages << JAVM_PAGE_SHIFT);
        if (v->regions[i].writable && at >= first && at < stop)
            at = stop;
    }
    return at >= end;
}

bool vector_runs(struct vector *v, const struct fields *json, const struct json_node *list,
                 const char *bytes, size_t *used, struct problem *problem)
{
    v->expected.runs = vector_room(v->expected.runs, &v->runs_room, (size_t)list->count + 1,
                                   sizeof *v->expected.runs);
    if (v->expected.runs == NULL)
        return problem_at(problem, list->offset, "out of memory");
    v->expected.run_count = 0;
    for (uint32_t i = list->first; i != 0; i = json->nodes[i].next) {
        struct vector_run *run = &v->expected.runs[v->expected.run_count++];
        const struct json_node *node = &json->nodes[i];
        uint64_t addr;
        size_t len;
        const struct json_node *hex = vector_member(json, node, bytes, problem);
        if (hex == NULL || !vector_u64(json, node, "addr", SPACE - 1, &addr, problem) ||
            !vector_hex(hex, bytes, v->bytes + *used, &len, problem))
            return false;
        *run = (struct vector_run){(uint32_t)addr, (uint32_t)len, v->bytes + *used};
        *used += len;
        if (!is_writable(v, run))
            return problem_at(problem, node->offset,
                              "expected.memory: 0x%llx is not in writable memory",
                              (unsigned long long)addr);
    }
    struct vector_run *runs = v->expected.runs;
    qsort(runs, v->expected.run_count, sizeof *runs, by_addr);
    for (size_t i = 1; i < v->expected.run_count; i++)
        if (runs[i].addr - runs[i - 1].addr < runs[i - 1].len)
            return problem_at(problem, list->offset, "expected.memory: runs overlap at 0x%x",
                              runs[i].addr);
    return true;
}

bool vector_exit(const struct json_node *node, enum javm_exit *exit, struct problem *problem)
{
    if (!field_string(node, "exit", problem))
        return false;
    for (int e = JAVM_EXIT_HOST_CALL; e <= JAVM_EXIT_HALT; e++) {
        const char *name = javm_exit_name((enum javm_exit)e);
        if (strlen(name) == node->text_len && memcmp(name, node->text, node->text_len) == 0) {
            *exit = (enum javm_exit)e;
            return true;
        }
    }
    char text[QUOTE_SIZE];
    return problem_at(problem, node->offset, "exit: there is no exit %s",
                      quote(text, node->text, node->text_len));
}

static bool parse_expected(struct vector *v, const struct fields *json,
                           const struct json_node *node, size_t *used, struct problem *problem)
{
    const struct json_node *exit = vector_member(json, node, "exit", problem);
    if (exit == NULL || !vector_exit(exit, &v->expected.exit, problem))
        return false;
    const struct json_node *arg = vector_member(json, node, "exit_arg", problem);
    if (arg == NULL || !field_i64(arg, "exit_arg", &v->expected.exit_arg, problem) ||
        !vector_u64(json, node, "pc", UINT64_MAX, &v->expected.pc, problem) ||
        !vector_u64(json, node, "gas", UINT64_MAX, &v->expected.gas, problem) ||
        !vector_regs(json, node, JAVM_NUM_SLOTS, v->expected.regs, problem))
        return false;
    const struct json_node *runs = vector_array(json, node, "memory", problem);
    if (runs == NULL)
        return false;
    if (!vector_runs(v, json, runs, "hex", used, problem))
        return false;
    v->expected.fault_known = true;
    if (v->expected.exit != JAVM_EXIT_PAGE_FAULT)
        return true;
    return vector_u64(json, node, "fault_addr", UINT64_MAX, &v->expected.fault_addr, problem) &&
           vector_bool(json, node, "fault_write", &v->expected.fault_write, problem);
}

bool vector_parse(struct vector *v, const struct fields *json, const struct json_node *node,
                  struct problem *problem)
{
    const struct json_node *code = vector_member(json, node, "code", problem);
    const struct json_node *memory = vector_array(json, node, "memory", problem);
    const struct json_node *expected = vector_member(json, node, "expected", problem);
    const struct json_node *cow = json_member(json->nodes, node, "cow_cost");
    if (code == NULL || memory == NULL || expected == NULL)
        return false;
    v->bytes = vector_room(v->bytes, &v->bytes_room, vector_hex_digits(json, node) / 2 + 1, 1);
    v->regions =
        vector_room(v->regions, &v->regions_room, (size_t)memory->count + 1, sizeof *v->regions);
    if (v->bytes == NULL || v->regions == NULL)
        return problem_at(problem, node->offset, "out of memory");
    v->key = (struct javm_program_key){.pvm = JAVM_PVM_NONE};
    v->heap = (struct javm_heap){.top = 0};
    if (!vector_u64(json, node, "entry_pc", UINT64_MAX, &v->entry_pc, problem) ||
        !vector_u64(json, node, "gas", UINT64_MAX, &v->gas, problem) ||
        !vector_u64(json, node, "footprint_pages", UINT64_MAX, &v->key.footprint_pages, problem) ||
        (cow != NULL && !field_u64(cow, "cow_cost", UINT64_MAX, &v->key.cow_cost, problem)) ||
        !vector_regs(json, node, JAVM_NUM_SLOTS, v->regs, problem) ||
        !vector_hex(code, "code", v->bytes, &v->code_len, problem))
        return false;
    if (v->code_len > JAVM_CODE_MAX)
        return problem_at(problem, code->offset, "code: %zu bytes, at most %u", v->code_len,
                          JAVM_CODE_MAX);
    v->code = v->bytes;
    size_t used = v->code_len;
    return parse_memory(v, json, memory, &used, problem) &&
           parse_expected(v, json, expected, &used, problem);
}

void vector_clear(struct vector *vector)
{
    free(vector->bytes);
    free(vector->regions);
    free(vector->expected.runs);
    free(vector->jumps);
    memset(vector, 0, sizeof *vector);
}
