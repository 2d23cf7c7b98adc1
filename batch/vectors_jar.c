#include "batch/vectors_jar.h"

#include <stdlib.h>
#include <string.h>

#include "batch/text.h"
#include "batch/vectors_parse.h"

#define GAS_SERVICE 1u

/* What the vector expects, as far as the services are concerned, and how far the guest came. */
struct script {
    const struct fields *json;
    uint32_t next; /* node of the next expected call, 0: none */
    uint32_t index;
    struct report *report;
    struct problem *problem;
    bool unusable;
};

static void compare_regs(const uint64_t *got, const uint64_t *want, const char *where,
                         struct report *report)
{
    for (unsigned i = 0; i < JAVM_NUM_REGS; i++)
        if (got[i] != want[i])
            report_mismatch(report, "%sregs[%u]: got 0x%llx, want 0x%llx", where, i,
                            (unsigned long long)got[i], (unsigned long long)want[i]);
}

static bool compare_call(struct script *s, const struct javm_v2_call *call)
{
    const struct json_node *node = &s->json->nodes[s->next];
    uint64_t slot, gas, regs[JAVM_NUM_REGS];
    char where[40];
    if (node->type != JSON_OBJECT)
        return problem_at(s->problem, node->offset, "host_calls: expected objects");
    if (!vector_u64(s->json, node, "slot", UINT32_MAX, &slot, s->problem) ||
        !vector_u64(s->json, node, "gas", UINT64_MAX, &gas, s->problem) ||
        !vector_regs(s->json, node, JAVM_NUM_REGS, regs, s->problem))
        return false;
    snprintf(where, sizeof where, "host call %u: ", s->index);
    if (slot != call->id)
        report_mismatch(s->report, "%sslot: got %u, want %llu", where, call->id,
                        (unsigned long long)slot);
    if (gas != call->gas)
        report_mismatch(s->report, "%sgas: got %llu, want %llu", where,
                        (unsigned long long)call->gas, (unsigned long long)gas);
    compare_regs(call->regs, regs, where, s->report);
    s->next = node->next;
    return true;
}

static enum javm_v2_answer serve(void *context, struct javm_v2 *v2, struct javm_v2_call *call)
{
    struct script *s = context;
    (void)v2;
    if (call->id == GAS_SERVICE) {
        call->r7 = call->gas;
        return JAVM_V2_CONTINUE;
    }
    if (s->next == 0)
        report_mismatch(s->report, "host call %u: got one of %u, want none", s->index, call->id);
    else if (!s->unusable && !compare_call(s, call))
        s->unusable = true;
    s->index++;
    call->r7 = call->r8 = 0;
    return JAVM_V2_CONTINUE;
}

static const char *result_name(const struct javm_v2_result *result)
{
    static const char *const names[] = {"halt", "panic", "out_of_gas", "page_fault"};
    if (result->end != JAVM_V2_END_REJECTED)
        return names[result->end];
    return result->reject == JAVM_V2_REJECT_OUT_OF_GAS ? "reject_gas" : "reject";
}

static bool compare_result(struct script *s, const struct json_node *expected,
                           const struct javm_v2_result *result)
{
    uint64_t value, gas, regs[JAVM_NUM_REGS];
    const struct json_node *name = vector_member(s->json, expected, "result", s->problem);
    if (name == NULL || !field_string(name, "result", s->problem) ||
        !vector_u64(s->json, expected, "value", UINT64_MAX, &value, s->problem) ||
        !vector_u64(s->json, expected, "gas_left", UINT64_MAX, &gas, s->problem) ||
        !vector_regs(s->json, expected, JAVM_NUM_REGS, regs, s->problem))
        return false;
    const char *got = result_name(result);
    if (name->text_len != strlen(got) || memcmp(name->text, got, name->text_len) != 0) {
        char buffer[QUOTE_SIZE];
        report_mismatch(s->report, "result: got %s, want %s", got,
                        quote(buffer, name->text, name->text_len));
    }
    report_compare(s->report, "value", result->value, value);
    report_compare(s->report, "gas_left", result->gas_left, gas);
    compare_regs(result->regs, regs, "", s->report);
    if (s->next != 0)
        report_mismatch(s->report, "host calls: got %u, want more", s->index);
    return !s->unusable;
}

static bool invoke(struct javm_v2 *v2, const struct json_node *blob_node, const uint8_t *bytes,
                   size_t len, const struct javm_v2_invocation *invocation,
                   struct javm_v2_result *result, struct problem *problem)
{
    struct javm_v2_blob *blob;
    struct javm_error err;
    enum javm_status status = javm_v2_blob_load(bytes, len, &blob, &err);
    *result = (struct javm_v2_result){.end = JAVM_V2_END_REJECTED};
    if (status == JAVM_OK) {
        status = javm_v2_invoke(v2, blob, invocation, result, &err);
        javm_v2_blob_release(blob);
    }
    return (status != JAVM_E_NOMEM && status != JAVM_E_UNSUPPORTED) ||
           problem_at(problem, blob_node->offset, "%s", err.text);
}

bool vector_jar(struct javm_v2 *v2, const struct fields *json, const struct json_node *node,
                struct report *report, struct problem *problem)
{
    const struct json_node *blob = vector_member(json, node, "blob", problem);
    const struct json_node *args = vector_member(json, node, "args", problem);
    const struct json_node *expected = vector_member(json, node, "expected", problem);
    struct script script = {.json = json, .report = report, .problem = problem};
    const struct javm_v2_host host = {.context = &script, .serve = serve};
    struct javm_v2_invocation invocation = {.host = &host};
    struct javm_v2_result result;
    size_t blob_len, args_len;
    if (blob == NULL || args == NULL || expected == NULL ||
        !vector_u64(json, node, "gas", UINT64_MAX, &invocation.gas, problem) ||
        !vector_u64(json, node, "op", UINT64_MAX, &invocation.op, problem))
        return false;
    if (expected->type != JSON_OBJECT)
        return problem_at(problem, expected->offset, "expected: expected an object");
    const struct json_node *calls = vector_array(json, expected, "host_calls", problem);
    if (calls == NULL)
        return false;
    script.next = calls->first;
    uint8_t *bytes = malloc((size_t)blob->text_len / 2 + (size_t)args->text_len / 2 + 1);
    if (bytes == NULL)
        return problem_at(problem, node->offset, "out of memory");
    bool ok = vector_hex(blob, "blob", bytes, &blob_len, problem) &&
              vector_hex(args, "args", bytes + blob_len, &args_len, problem);
    if (ok) {
        invocation.args = bytes + blob_len;
        invocation.args_len = args_len;
        ok = invoke(v2, blob, bytes, blob_len, &invocation, &result, problem) &&
             compare_result(&script, expected, &result);
    }
    free(bytes);
    return ok;
}
