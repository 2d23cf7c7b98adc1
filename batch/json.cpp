/* The C face of simdjson's document parser.
 *
 * simdjson keeps two things after a parse: the tape (values in document order) and the list of
 * structural positions (where each of { } [ ] : , and each scalar or string begins). Walking both
 * side by side gives every value its byte offset for free; separators are the only structurals
 * without a tape entry. What is wrong with a rejected document is found by a second look
 * (json_fault.c), because simdjson reports a kind of error but no position. */
#include "batch/json.h"
#include "batch/json_fault.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include <simdjson.h>

using simdjson::internal::tape_type;

/* Everything below relies on documented internals that may move in another major version. */
static_assert(simdjson::SIMDJSON_VERSION_MAJOR == 3,
              "check the tape format and structural_indexes");

struct json_parser {
    simdjson::dom::parser dom{};
    size_t capacity = 0; /* longest document that fits without growing */
    json_node *nodes = nullptr;
    uint32_t count = 0, limit = 0;
    uint32_t *order = nullptr; /* scratch for the duplicate check of large objects */
    uint32_t order_limit = 0;
};

namespace
{

constexpr size_t FIRST_CAPACITY = 4096;
constexpr uint32_t SMALL_OBJECT = 16; /* up to here all pairs of keys are compared */

bool problem_at(json_problem *problem, uint32_t offset, const char *text)
{
    problem->offset = offset;
    std::snprintf(problem->text, sizeof problem->text, "%s", text);
    return false;
}

/* Room for one document of `len` bytes; grows by doubling so that rising lengths stay cheap. */
bool reserve(json_parser *parser, size_t len)
{
    if (len <= parser->capacity)
        return true;
    size_t capacity = std::max(parser->capacity, FIRST_CAPACITY);
    while (capacity < len)
        capacity *= 2;
    capacity = std::min(capacity, simdjson::SIMDJSON_MAXSIZE_BYTES);
    parser->capacity = 0; /* a failure half-way leaves buffers of different sizes */
    if (parser->dom.doc.allocate(capacity) != simdjson::SUCCESS ||
        parser->dom.allocate(capacity, JSON_MAX_DEPTH + 1) != simdjson::SUCCESS)
        return false;
    parser->capacity = capacity;
    return true;
}

json_node *append(json_parser *parser)
{
    if (parser->count == parser->limit) {
        const uint32_t limit = parser->limit == 0 ? 64 : parser->limit * 2;
        void *grown = limit < parser->limit
                          ? nullptr
                          : std::realloc(parser->nodes, size_t{limit} * sizeof(json_node));
        if (grown == nullptr)
            return nullptr;
        parser->nodes = static_cast<json_node *>(grown);
        parser->limit = limit;
    }
    json_node *node = &parser->nodes[parser->count++];
    *node = json_node{};
    return node;
}

int key_order(const json_node &a, const json_node &b)
{
    if (a.key_len != b.key_len)
        return a.key_len < b.key_len ? -1 : 1;
    return std::memcmp(a.key, b.key, a.key_len);
}

/* The offset of a key that stands twice in `object`; *status 0: none, 1: found, -1: out of memory.
 */
uint32_t find_duplicate(json_parser *parser, const json_node &object, int *status)
{
    const json_node *nodes = parser->nodes;
    *status = 0;
    if (object.count <= SMALL_OBJECT) {
        for (uint32_t i = object.first; i != 0; i = nodes[i].next)
            for (uint32_t j = object.first; j != i; j = nodes[j].next)
                if (key_order(nodes[i], nodes[j]) == 0) {
                    *status = 1;
                    return nodes[i].key_offset;
                }
        return 0;
    }
    if (parser->order_limit < object.count) {
        void *grown = std::realloc(parser->order, size_t{object.count} * sizeof *parser->order);
        if (grown == nullptr) {
            *status = -1;
            return 0;
        }
        parser->order = static_cast<uint32_t *>(grown);
        parser->order_limit = object.count;
    }
    uint32_t n = 0;
    for (uint32_t i = object.first; i != 0; i = nodes[i].next)
        parser->order[n++] = i;
    std::sort(parser->order, parser->order + n, [nodes](uint32_t a, uint32_t b) {
        const int order = key_order(nodes[a], nodes[b]);
        return order != 0 ? order < 0 : a < b;
    });
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 1; i < n; i++)
        if (key_order(nodes[parser->order[i - 1]], nodes[parser->order[i]]) == 0)
            found = std::min(found, nodes[parser->order[i]].key_offset);
    *status = found != UINT32_MAX;
    return found;
}

/* simdjson accepts an escaped low surrogate without its high half and encodes it; such text is not
 * UTF-8. Plain bytes were validated, so that only text with an escape can hold one. */
bool has_surrogate(const char *text, size_t len)
{
    const char *end = text + len;
    for (const char *at = text; at < end; at++) {
        at = static_cast<const char *>(std::memchr(at, 0xED, static_cast<size_t>(end - at)));
        if (at == nullptr)
            return false;
        if (at + 1 < end && static_cast<unsigned char>(at[1]) >= 0xA0)
            return true;
    }
    return false;
}

enum class walk { ok, no_memory, duplicate, refused };

struct walker {
    json_parser *parser;
    const char *text;
    const uint64_t *tape;
    const uint32_t *structural;
    const char *strings;
    bool escapes; /* the document has a backslash somewhere */
    uint32_t offset;

    void advance()
    {
        while (text[*structural] == ',' || text[*structural] == ':')
            structural++;
        offset = *structural++;
    }
    /* The string that a tape word refers to. */
    const char *string(uint64_t word, uint32_t *len) const
    {
        const char *at = strings + (word & simdjson::internal::JSON_VALUE_MASK);
        std::memcpy(len, at, sizeof *len);
        return at + sizeof *len;
    }
    bool bad_string(const char *at, uint32_t len) const
    {
        return escapes && has_surrogate(at, len);
    }
    walk run();
    bool scalar(json_node *node, uint64_t word, size_t *i) const;
};

/* Fill in a value that is no container; false: a string that is not UTF-8. */
bool walker::scalar(json_node *node, uint64_t word, size_t *i) const
{
    switch (static_cast<tape_type>(word >> 56)) {
    case tape_type::STRING:
        node->type = JSON_STRING;
        node->text = string(word, &node->text_len);
        return !bad_string(node->text, node->text_len);
    case tape_type::INT64:
        std::memcpy(&node->i, &tape[++*i], sizeof node->i);
        node->type = node->i < 0 ? JSON_INT : JSON_UINT;
        return true;
    case tape_type::UINT64:
        node->u = tape[++*i];
        node->type = JSON_UINT;
        return true;
    case tape_type::DOUBLE:
        std::memcpy(&node->d, &tape[++*i], sizeof node->d);
        node->type = JSON_DOUBLE;
        return true;
    case tape_type::TRUE_VALUE:
        node->type = JSON_BOOL;
        node->boolean = true;
        return true;
    case tape_type::FALSE_VALUE:
        node->type = JSON_BOOL;
        return true;
    default:
        node->type = JSON_NULL;
        return true;
    }
}

walk walker::run()
{
    uint32_t parents[JSON_MAX_DEPTH], last[JSON_MAX_DEPTH], depth = 0;
    const size_t end =
        (tape[0] & simdjson::internal::JSON_VALUE_MASK) - 1; /* the closing root word */
    for (size_t i = 1; i < end; i++) {
        tape_type type = static_cast<tape_type>(tape[i] >> 56);
        advance();
        if (type == tape_type::END_ARRAY || type == tape_type::END_OBJECT) {
            const uint32_t parent = parents[--depth];
            if (type == tape_type::END_OBJECT) {
                int status;
                const uint32_t where = find_duplicate(parser, parser->nodes[parent], &status);
                if (status != 0) {
                    offset = where;
                    return status < 0 ? walk::no_memory : walk::duplicate;
                }
            }
            continue;
        }
        const uint32_t index = parser->count;
        json_node *node = append(parser);
        if (node == nullptr)
            return walk::no_memory;
        if (depth > 0) {
            json_node *parent = &parser->nodes[parents[depth - 1]];
            if (parent->count++ == 0)
                parent->first = index;
            else
                parser->nodes[last[depth - 1]].next = index;
            last[depth - 1] = index;
            if (parent->type == JSON_OBJECT) {
                node->key_offset = offset;
                node->key = string(tape[i], &node->key_len);
                if (bad_string(node->key, node->key_len))
                    return walk::refused;
                type = static_cast<tape_type>(tape[++i] >> 56);
                advance();
            }
        }
        node->offset = offset;
        if (type == tape_type::START_ARRAY || type == tape_type::START_OBJECT) {
            if (depth == JSON_MAX_DEPTH) /* simdjson does not count empty containers */
                return walk::refused;
            node->type = type == tape_type::START_ARRAY ? JSON_ARRAY : JSON_OBJECT;
            parents[depth++] = index;
        } else if (!scalar(node, tape[i], &i)) {
            return walk::refused;
        }
    }
    return walk::ok;
}

} // namespace

json_parser *json_parser_new(void)
{
    return new (std::nothrow) json_parser;
}

void json_parser_free(json_parser *parser)
{
    if (parser == nullptr)
        return;
    std::free(parser->nodes);
    std::free(parser->order);
    delete parser;
}

size_t json_padding(void)
{
    return simdjson::SIMDJSON_PADDING;
}

bool json_parse(json_parser *parser, const char *text, size_t len, const json_node **nodes,
                json_problem *problem)
{
    if (len > simdjson::SIMDJSON_MAXSIZE_BYTES)
        return problem_at(problem, 0, "document longer than 4 GiB");
    if (!reserve(parser, len))
        return problem_at(problem, 0, "out of memory");
    simdjson::dom::element root;
    const simdjson::error_code error = parser->dom.parse(text, len, false).get(root);
    if (error != simdjson::SUCCESS) {
        if (error == simdjson::MEMALLOC)
            return problem_at(problem, 0, "out of memory");
        if (!json_find_fault(text, len, problem))
            return problem_at(problem, 0, simdjson::error_message(error));
        return false;
    }
    parser->count = 0;
    walker walker{parser,
                  text,
                  parser->dom.doc.tape.get(),
                  parser->dom.implementation->structural_indexes.get(),
                  reinterpret_cast<const char *>(parser->dom.doc.string_buf.get()),
                  std::memchr(text, '\\', len) != nullptr,
                  0};
    switch (walker.run()) {
    case walk::ok:
        *nodes = parser->nodes;
        return true;
    case walk::duplicate:
        return problem_at(problem, walker.offset, "this key stands twice in the same object");
    case walk::refused:
        if (!json_find_fault(text, len, problem))
            return problem_at(problem, walker.offset, "not a JSON document");
        return false;
    case walk::no_memory:
        break;
    }
    return problem_at(problem, 0, "out of memory");
}

const json_node *json_member_of(const json_node *nodes, const json_node *object, const char *key,
                                size_t len)
{
    if (object->type != JSON_OBJECT)
        return nullptr;
    for (uint32_t i = object->first; i != 0; i = nodes[i].next)
        if (json_key_is(&nodes[i], key, len))
            return &nodes[i];
    return nullptr;
}
