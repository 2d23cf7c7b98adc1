/* Execution vectors of PVM: the bitmask and the jump table are members, bytes in memory are runs.
 */
#include <string.h>

#include "batch/text.h"
#include "batch/vectors_parse.h"

#define SPACE      (UINT64_C(1) << 32)
#define STORED_MAX (1u << 26) /* bytes of memory, from the begin of each range to its last run */

static bool parse_jumps(struct vector *v, const struct fields *json, const struct json_node *node,
                        struct problem *problem)
{
    const struct json_node *list = vector_array(json, node, "jump_table", problem);
    if (list == NULL)
        return false;
    v->jumps = vector_room(v->jumps, &v->jumps_room, (size_t)list->count + 1, sizeof *v->jumps);
    if (v->jumps == NULL)
        return problem_at(problem, list->offset, "out of memory");
    v->key.jump_table = v->jumps;
    v->key.jump_count = 0;
    for (uint32_t i = list->first; i != 0; i = json->nodes[i].next) {
        uint64_t target;
        if (!field_u64(&json->nodes[i], "jump_table", UINT32_MAX, &target, problem))
            return false;
        v->jumps[v->key.jump_count++] = (uint32_t)target;
    }
    return true;
}

static bool parse_profile(struct vector *v, const struct fields *json, const struct json_node *node,
                          struct problem *problem)
{
    const struct json_node *profile = json_member(json->nodes, node, "profile");
    v->key.pvm = JAVM_PVM_JAR1;
    if (profile == NULL)
        return true;
    if (!field_string(profile, "profile", problem))
        return false;
    if (profile->text_len == 2 && memcmp(profile->text, "gp", 2) == 0) {
        v->key.pvm = JAVM_PVM_GP;
        return true;
    }
    char text[QUOTE_SIZE];
    return (profile->text_len == 4 && memcmp(profile->text, "jar1", 4) == 0) ||
           problem_at(problem, profile->offset, "profile: there is no %s, expected jar1 or gp",
                      quote(text, profile->text, profile->text_len));
}

/* What sbrk may grow; without it, nothing. */
static bool parse_heap(struct vector *v, const struct fields *json, const struct json_node *node,
                       struct problem *problem)
{
    const struct json_node *heap = json_member(json->nodes, node, "heap");
    v->heap = (struct javm_heap){.top = 0};
    return heap == NULL || (vector_u64(json, heap, "top", SPACE, &v->heap.top, problem) &&
                            vector_u64(json, heap, "limit", SPACE, &v->heap.limit, problem));
}

static struct javm_region *region_at(struct vector *v, uint64_t addr)
{
    const uint32_t page = (uint32_t)(addr >> JAVM_PAGE_SHIFT);
    for (size_t i = 0; i < v->region_count; i++)
        if (page - v->regions[i].first_page < v->regions[i].pages)
            return &v->regions[i];
    return NULL;
}

/* How much of each region has to be stored: up to its last byte that is given. */
static bool measure(struct vector *v, const struct fields *json, const struct json_node *list,
                    struct problem *problem)
{
    for (uint32_t i = list->first; i != 0; i = json->nodes[i].next) {
        const struct json_node *node = &json->nodes[i];
        const struct json_node *bytes = vector_member(json, node, "bytes", problem);
        uint64_t addr;
        if (bytes == NULL || !vector_u64(json, node, "addr", SPACE - 1, &addr, problem) ||
            !field_string(bytes, "bytes", problem))
            return false;
        struct javm_region *region = region_at(v, addr);
        const uint64_t len = bytes->text_len / 2;
        const uint64_t at =
            region != NULL ? addr - ((uint64_t)region->first_page << JAVM_PAGE_SHIFT) : 0;
        if (region == NULL || at + len > (uint64_t)region->pages << JAVM_PAGE_SHIFT)
            return problem_at(problem, node->offset, "init: 0x%llx is not in one range of memory",
                              (unsigned long long)addr);
        if (at + len > region->len)
            region->len = at + len;
    }
    return true;
}

static bool fill(struct vector *v, const struct fields *json, const struct json_node *list,
                 size_t *used, struct problem *problem)
{
    for (size_t i = 0; i < v->region_count; i++) {
        struct javm_region *region = &v->regions[i];
        if (region->len == 0)
            continue;
        region->kind = JAVM_REGION_BYTES;
        region->bytes = v->bytes + *used;
        memset(v->bytes + *used, 0, (size_t)region->len);
        *used += (size_t)region->len;
    }
    for (uint32_t i = list->first; i != 0; i = json->nodes[i].next) {
        const struct json_node *node = &json->nodes[i];
        uint64_t addr;
        size_t len;
        const struct json_node *bytes = vector_member(json, node, "bytes", problem);
        if (bytes == NULL || !vector_u64(json, node, "addr", SPACE - 1, &addr, problem))
            return false;
        if (bytes->text_len == 0)
            continue;
        const struct javm_region *region = region_at(v, addr);
        const uint64_t first = (uint64_t)region->first_page << JAVM_PAGE_SHIFT;
        uint8_t *const to = v->bytes + (region->bytes - v->bytes) + (addr - first);
        if (!vector_hex(bytes, "bytes", to, &len, problem))
            return false;
    }
    return true;
}

static bool parse_regions(struct vector *v, const struct fields *json, const struct json_node *list,
                          struct problem *problem)
{
    v->regions =
        vector_room(v->regions, &v->regions_room, (size_t)list->count + 1, sizeof *v->regions);
    if (v->regions == NULL)
        return problem_at(problem, list->offset, "out of memory");
    v->region_count = 0;
    for (uint32_t i = list->first; i != 0; i = json->nodes[i].next) {
        struct javm_region *region = &v->regions[v->region_count];
        if (!vector_extent(json, &json->nodes[i], region, problem))
            return false;
        if (region->pages != 0)
            v->region_count++;
    }
    return vector_sort_regions(v, list, problem);
}

static bool parse_expected(struct vector *v, const struct fields *json,
                           const struct json_node *node, size_t *used, struct problem *problem)
{
    const struct json_node *exit = vector_member(json, node, "exit", problem);
    const struct json_node *runs = vector_array(json, node, "changed", problem);
    uint64_t arg;
    if (exit == NULL || runs == NULL)
        return false;
    if (exit->type == JSON_STRING && exit->text_len == 5 && memcmp(exit->text, "ecall", 5) == 0)
        v->expected.exit = JAVM_EXIT_ECALL_JAR;
    else if (!vector_exit(exit, &v->expected.exit, problem))
        return false;
    if (!vector_u64(json, node, "exit_arg", UINT32_MAX, &arg, problem) ||
        !vector_u64(json, node, "pc", UINT64_MAX, &v->expected.pc, problem) ||
        !vector_u64(json, node, "gas_left", UINT64_MAX, &v->expected.gas, problem) ||
        !vector_regs(json, node, JAVM_NUM_REGS, v->expected.regs, problem))
        return false;
    v->expected.exit_arg = (int64_t)arg;
    v->expected.fault_known = false;
    return vector_runs(v, json, runs, "bytes", used, problem);
}

/* Code and bitmask, behind each other in v->bytes. */
static bool parse_code(struct vector *v, const struct fields *json, const struct json_node *node,
                       size_t *used, struct problem *problem)
{
    size_t mask_len;
    const struct json_node *code = vector_member(json, node, "code", problem);
    const struct json_node *mask = vector_member(json, node, "bitmask", problem);
    if (code == NULL || mask == NULL ||
        !vector_hex(code, "code", v->bytes, &v->code_len, problem) ||
        !vector_hex(mask, "bitmask", v->bytes + v->code_len, &mask_len, problem))
        return false;
    v->code = v->bytes;
    v->key.bitmask = v->bytes + v->code_len;
    *used = v->code_len + mask_len;
    return mask_len == (v->code_len + 7) / 8 ||
           problem_at(problem, mask->offset,
                      "bitmask: %zu bytes, expected %zu for %zu bytes of code", mask_len,
                      (v->code_len + 7) / 8, v->code_len);
}

bool vector_parse_pvm(struct vector *v, const struct fields *json, const struct json_node *node,
                      struct problem *problem)
{
    const struct json_node *memory = vector_array(json, node, "memory", problem);
    const struct json_node *init = vector_array(json, node, "init", problem);
    const struct json_node *expected = vector_member(json, node, "expected", problem);
    const struct json_node *pages = json_member(json->nodes, node, "memory_pages");
    if (memory == NULL || init == NULL || expected == NULL)
        return false;
    v->key = (struct javm_program_key){.pvm = JAVM_PVM_JAR1};
    memset(v->regs, 0, sizeof v->regs);
    memset(v->expected.regs, 0, sizeof v->expected.regs);
    if (!parse_regions(v, json, memory, problem) || !measure(v, json, init, problem))
        return false;
    uint64_t stored = 0;
    for (size_t i = 0; i < v->region_count; i++)
        stored += v->regions[i].len;
    if (stored > STORED_MAX)
        return problem_at(problem, init->offset,
                          "init: what it fills reaches over %llu bytes, at most %u",
                          (unsigned long long)stored, STORED_MAX);
    const size_t need = vector_hex_digits(json, node) / 2 + 1 + (size_t)stored;
    size_t used = 0;
    v->bytes = vector_room(v->bytes, &v->bytes_room, need, 1);
    if (v->bytes == NULL)
        return problem_at(problem, node->offset, "out of memory");
    return vector_u64(json, node, "pc", UINT64_MAX, &v->entry_pc, problem) &&
           vector_u64(json, node, "gas", UINT64_MAX, &v->gas, problem) &&
           (pages == NULL ||
            field_u64(pages, "memory_pages", UINT64_MAX, &v->key.footprint_pages, problem)) &&
           vector_regs(json, node, JAVM_NUM_REGS, v->regs, problem) &&
           parse_profile(v, json, node, problem) && parse_heap(v, json, node, problem) &&
           parse_code(v, json, node, &used, problem) && parse_jumps(v, json, node, problem) &&
           fill(v, json, init, &used, problem) && parse_expected(v, json, expected, &used, problem);
}
