/* Any text as a file of test vectors: refused with a place, or parsed to something that can be
 * attached and compared. Beyond memory errors it would catch regions or runs that overlap, that
 * leave their buffer or lie outside writable memory. Nothing is run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/vectors_parse.h"
#include "batch/vectors_static.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good)
        abort();
}

static bool inside(const struct vector *v, const uint8_t *bytes, size_t len)
{
    return bytes >= v->bytes && bytes + len <= v->bytes + v->bytes_room;
}

static void check_vector(const struct vector *v)
{
    uint64_t end = 0;
    require(v->code_len == 0 || inside(v, v->code, v->code_len));
    for (size_t i = 0; i < v->region_count; i++) {
        const struct javm_region *region = &v->regions[i];
        require(region->pages > 0 && region->first_page >= end &&
                (region->first_page > 0 || v->key.pvm != JAVM_PVM_NONE));
        end = (uint64_t)region->first_page + region->pages;
        require(end <= UINT64_C(1) << (32 - JAVM_PAGE_SHIFT));
        if (region->kind == JAVM_REGION_BYTES)
            require(inside(v, region->bytes, region->len) &&
                    region->len <= (uint64_t)region->pages * JAVM_PAGE_SIZE);
    }
    end = 0;
    for (size_t i = 0; i < v->expected.run_count; i++) {
        const struct vector_run *run = &v->expected.runs[i];
        require(run->addr >= end && inside(v, run->bytes, run->len));
        end = (uint64_t)run->addr + run->len;
    }
}

static void check_problem(bool good, const struct problem *problem, size_t size)
{
    require(good || (problem->text[0] != '\0' && problem->offset <= size));
}

/* Every value as every kind of vector. */
static void check_node(struct vector *v, const struct fields *json, const struct json_node *node)
{
    struct report report = {.quiet = true};
    struct problem problem = {0};
    report_begin(&report, "x", 1);
    if (node->type == JSON_OBJECT) {
        const bool parsed = vector_parse(v, json, node, &problem);
        check_problem(parsed, &problem, json->len);
        if (parsed)
            check_vector(v);
        const bool pvm = vector_parse_pvm(v, json, node, &problem);
        check_problem(pvm, &problem, json->len);
        if (pvm) {
            check_vector(v);
            require(inside(v, v->key.bitmask, (v->code_len + 7) / 8));
            require(v->key.jump_count <= v->jumps_room);
        }
        check_problem(vector_blocks(json, node, &report, &problem), &problem, json->len);
    } else if (node->type == JSON_ARRAY && node->count > 0) {
        check_problem(vector_decode32(json, node, &report, &problem), &problem, json->len);
    }
    if (node->key != NULL)
        check_problem(vector_decode16(json, node, &report, &problem), &problem, json->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json_parser *parser;
    struct vector vector = {0};
    struct json_problem fault;
    if (parser == NULL)
        parser = json_parser_new();
    char *text = calloc(1, size + json_padding());
    require(parser != NULL && text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    struct fields json = {text, size, NULL};
    if (json_parse(parser, text, size, &json.nodes, &fault)) {
        const struct json_node *root = &json.nodes[0];
        check_node(&vector, &json, root);
        if (root->type == JSON_ARRAY || root->type == JSON_OBJECT)
            for (uint32_t i = root->first; i != 0; i = json.nodes[i].next)
                check_node(&vector, &json, &json.nodes[i]);
    }
    vector_clear(&vector);
    free(text);
    return 0;
}
