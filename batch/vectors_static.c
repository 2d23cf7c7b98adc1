#include "batch/vectors_static.h"

#include <stdlib.h>
#include <string.h>

#include "batch/text.h"
#include "batch/vectors_parse.h"
#include "javm/engine.h"
#include "vm/pvm2.h"

/* ---- blocks and costs ------------------------------------------------------------------- */

/* One array of numbers of the vector, read front to back. */
struct column {
    const struct json_node *nodes;
    const char *name;
    uint32_t at, count;
};

static bool column_open(struct column *column, const struct fields *json,
                        const struct json_node *object, const char *name, struct problem *problem)
{
    const struct json_node *list = vector_member(json, object, name, problem);
    if (list == NULL)
        return false;
    if (list->type != JSON_ARRAY)
        return problem_at(problem, list->offset, "%s: expected an array", name);
    *column = (struct column){json->nodes, name, list->first, list->count};
    return true;
}

static bool column_next(struct column *column, uint64_t *value, struct problem *problem)
{
    const struct json_node *node = &column->nodes[column->at];
    column->at = node->next;
    return field_u64(node, column->name, UINT64_MAX, value, problem);
}

static bool compare_walk(const uint8_t *code, size_t len, struct column *instructions,
                         const struct javm_program *program, struct report *report,
                         struct problem *problem)
{
    struct pvm2_insn insn;
    uint64_t offset = 0;
    report_compare(report, "instructions", javm_program_instructions(program), instructions->count);
    for (uint32_t i = 0; i < instructions->count; i++, offset += insn.len) {
        uint64_t want;
        if (!column_next(instructions, &want, problem))
            return false;
        if (want == offset && pvm2_decode(code, len, offset, &insn))
            continue;
        report_mismatch(report, "instruction %u: got %llu, want %llu", i,
                        (unsigned long long)offset, (unsigned long long)want);
        return true;
    }
    if (pvm2_decode(code, len, offset, &insn))
        report_mismatch(report, "instruction %u: got one at %llu, want none", instructions->count,
                        (unsigned long long)offset);
    return true;
}

static bool compare_blocks(const struct javm_program *program, struct column *starts,
                           struct column *costs, struct column *stores, struct report *report,
                           struct problem *problem)
{
    const uint64_t blocks = javm_program_blocks(program);
    report_compare(report, "blocks", blocks, starts->count);
    for (uint32_t i = 0; i < starts->count; i++) {
        struct javm_block_info info = {.start = UINT64_MAX};
        uint64_t start, cost, store;
        if (!column_next(starts, &start, problem) || !column_next(costs, &cost, problem) ||
            !column_next(stores, &store, problem))
            return false;
        if (i < blocks)
            javm_program_block(program, i, &info);
        if (info.start != start) {
            report_mismatch(report, "starts[%u]: got %llu, want %llu", i,
                            (unsigned long long)info.start, (unsigned long long)start);
            return true;
        }
        if (info.cost != cost || info.stores != store || info.ecall != (cost == 0))
            report_mismatch(
                report,
                "block at %llu: got cost %llu, %llu stores%s, want cost %llu, %llu stores%s",
                (unsigned long long)start, (unsigned long long)info.cost,
                (unsigned long long)info.stores, info.ecall ? ", ecall" : "",
                (unsigned long long)cost, (unsigned long long)store, cost == 0 ? ", ecall" : "");
    }
    return true;
}

/* The landing table has to say the same as the list, for every offset there is. */
static void compare_landings(const struct javm_program *program, size_t len, struct report *report)
{
    const uint64_t blocks = javm_program_blocks(program);
    struct javm_block_info info = {0};
    uint64_t next = 0;
    for (uint64_t offset = 0; offset < len + 8; offset++) {
        bool want = false;
        if (next < blocks) {
            javm_program_block(program, next, &info);
            want = info.start == offset;
            next += want;
        }
        if (javm_program_is_start(program, offset) != want) {
            report_mismatch(report, "is_start(%llu): got %s, want %s", (unsigned long long)offset,
                            want ? "false" : "true", want ? "true" : "false");
            return;
        }
    }
}

static bool compare_program(const struct fields *json, const struct json_node *node,
                            const uint8_t *code, size_t len, const struct javm_program *program,
                            struct report *report, struct problem *problem)
{
    struct column instructions = {0}, starts = {0}, costs = {0}, stores = {0};
    uint64_t end;
    const struct json_node *end_node = vector_member(json, node, "end", problem);
    if (end_node == NULL || !field_u64(end_node, "end", UINT64_MAX, &end, problem) ||
        !column_open(&instructions, json, node, "instructions", problem) ||
        !column_open(&starts, json, node, "starts", problem) ||
        !column_open(&costs, json, node, "costs", problem) ||
        !column_open(&stores, json, node, "stores", problem))
        return false;
    if (starts.count != costs.count || starts.count != stores.count)
        return problem_at(problem, node->offset,
                          "starts, costs and stores have to be of the same length");
    report_compare(report, "end", javm_program_end(program), end);
    compare_landings(program, len, report);
    return compare_walk(code, len, &instructions, program, report, problem) &&
           compare_blocks(program, &starts, &costs, &stores, report, problem);
}

bool vector_blocks(const struct fields *json, const struct json_node *node, struct report *report,
                   struct problem *problem)
{
    struct javm_program_key key = {0};
    struct javm_program *program;
    struct javm_error err;
    size_t len;
    const struct json_node *hex = vector_member(json, node, "code", problem);
    const struct json_node *pages = vector_member(json, node, "footprint_pages", problem);
    if (hex == NULL || pages == NULL ||
        !field_u64(pages, "footprint_pages", UINT64_MAX, &key.footprint_pages, problem))
        return false;
    uint8_t *code = malloc(hex->text_len / 2 + 1);
    if (code == NULL)
        return problem_at(problem, node->offset, "out of memory");
    bool ok = vector_hex(hex, "code", code, &len, problem);
    if (ok && javm_program_decode_pvm2(code, len, &key, &program, &err) != JAVM_OK)
        ok = problem_at(problem, node->offset, "%s", err.text);
    if (ok) {
        ok = compare_program(json, node, code, len, program, report, problem);
        javm_program_free(program);
    }
    free(code);
    return ok;
}

/* ---- single encodings ------------------------------------------------------------------- */

/* Exactly `digits` hex digits. */
static bool hex_word(const char *text, size_t len, unsigned digits, uint32_t *word)
{
    *word = 0;
    if (len != digits)
        return false;
    for (size_t i = 0; i < len; i++) {
        const int digit = hex_digit(text[i]);
        if (digit < 0)
            return false;
        *word = *word << 4 | (uint32_t)digit;
    }
    return true;
}

static void compare_insn(const struct pvm2_insn *got, const struct pvm2_insn *want,
                         struct report *report)
{
    if (got->op == want->op && got->rd == want->rd && got->rs1 == want->rs1 &&
        got->rs2 == want->rs2 && got->imm == want->imm && got->len == want->len)
        return;
    report_mismatch(report,
                    "got %s rd=%u rs1=%u rs2=%u imm=%d len=%u, want %s rd=%u rs1=%u rs2=%u "
                    "imm=%d len=%u",
                    pvm2_mnemonic((enum pvm2_op)got->op), got->rd, got->rs1, got->rs2, got->imm,
                    got->len, pvm2_mnemonic((enum pvm2_op)want->op), want->rd, want->rs1, want->rs2,
                    want->imm, want->len);
}

static bool mnemonic_op(const struct json_node *node, uint8_t *op, struct problem *problem)
{
    if (!field_string(node, "mnemonic", problem))
        return false;
    for (int i = 0; i < PVM2_OP_COUNT; i++) {
        const char *name = pvm2_mnemonic((enum pvm2_op)i);
        if (strlen(name) == node->text_len && memcmp(name, node->text, node->text_len) == 0) {
            *op = (uint8_t)i;
            return true;
        }
    }
    char text[QUOTE_SIZE];
    return problem_at(problem, node->offset, "there is no instruction %s",
                      quote(text, node->text, node->text_len));
}

bool vector_decode32(const struct fields *json, const struct json_node *node, struct report *report,
                     struct problem *problem)
{
    const struct json_node *item[6];
    uint64_t number[3];
    uint32_t word;
    int64_t imm;
    struct pvm2_insn want = {.len = 4};
    if (node->count != 6)
        return problem_at(problem, node->offset, "expected [word, mnemonic, rd, rs1, rs2, imm]");
    for (uint32_t i = 0, at = node->first; i < 6; i++, at = json->nodes[at].next)
        item[i] = &json->nodes[at];
    if (item[0]->type != JSON_STRING || !hex_word(item[0]->text, item[0]->text_len, 8, &word) ||
        (word & 3) != 3)
        return problem_at(problem, item[0]->offset,
                          "expected the 8 hex digits of a 32-bit encoding");
    for (unsigned i = 0; i < 3; i++)
        if (!field_u64(item[i + 2], "register", 31, &number[i], problem))
            return false;
    if (!mnemonic_op(item[1], &want.op, problem) || !field_i64(item[5], "imm", &imm, problem))
        return false;
    want.rd = (uint8_t)number[0];
    want.rs1 = (uint8_t)number[1];
    want.rs2 = (uint8_t)number[2];
    want.imm = (int32_t)imm;
    const struct pvm2_insn got = pvm2_decode32(word);
    compare_insn(&got, &want, report);
    if (got.raw != word)
        report_mismatch(report, "raw: got %08x, want %08x", got.raw, word);
    if (got.op == PVM2_RESERVED)
        return true;
    /* Ignored bits of fences are not kept, everything else comes back bit by bit. */
    const uint32_t again = pvm2_encode32(&got);
    if (again != word && got.op != PVM2_FENCE && got.op != PVM2_FENCE_I)
        report_mismatch(report, "encoding it again gives %08x", again);
    return true;
}

bool vector_decode16(const struct fields *json, const struct json_node *node, struct report *report,
                     struct problem *problem)
{
    uint32_t half, word = 0;
    (void)json;
    if (!hex_word(node->key, node->key_len, 4, &half) || (half & 3) == 3)
        return problem_at(problem, node->key_offset,
                          "expected the 4 hex digits of a 16-bit encoding as key");
    if (!field_string(node, "expansion", problem))
        return false;
    struct pvm2_insn want = {.op = PVM2_RESERVED};
    if (node->text_len != 0) {
        if (!hex_word(node->text, node->text_len, 8, &word) || (word & 3) != 3)
            return problem_at(problem, node->offset,
                              "expected the 8 hex digits of a 32-bit encoding, or nothing");
        want = pvm2_decode32(word);
    }
    want.len = 2;
    const struct pvm2_insn got = pvm2_decode16((uint16_t)half);
    compare_insn(&got, &want, report);
    if (node->text_len != 0 && pvm2_encode32(&got) != word)
        report_mismatch(report, "its 32-bit form: got %08x, want %08x", pvm2_encode32(&got), word);
    return true;
}
