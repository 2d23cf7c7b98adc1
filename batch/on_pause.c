#include "batch/on_pause.h"

#include <string.h>

static bool unexpected(size_t offset, struct problem *problem)
{
    return problem_at(problem, offset,
                      "on_pause: expected \"report\", \"resume\" or "
                      "{\"set_gas\": gas, \"times\": how often}");
}

static bool read_set_gas(const struct fields *fields, const struct json_node *node, struct job *job,
                         struct problem *problem)
{
    bool found = false;
    job->on_pause = ON_PAUSE_SET_GAS;
    job->set_gas_times = 1;
    for (uint32_t i = node->first; i != 0; i = fields->nodes[i].next) {
        const struct json_node *member = &fields->nodes[i];
        if (field_key_is(member, "set_gas")) {
            found = true;
            if (!field_u64(member, "on_pause.set_gas", UINT64_MAX, &job->set_gas, problem))
                return false;
        } else if (field_key_is(member, "times")) {
            if (!field_u64(member, "on_pause.times", UINT64_MAX, &job->set_gas_times, problem))
                return false;
        } else if (!field_is_extension(member)) {
            return unexpected(member->key_offset, problem);
        }
    }
    return found || unexpected(node->offset, problem);
}

bool on_pause_read(const struct fields *fields, const struct json_node *node, struct job *job,
                   struct problem *problem)
{
    static const struct {
        const char *name;
        enum on_pause policy;
    } WORDS[] = {{"report", ON_PAUSE_REPORT}, {"resume", ON_PAUSE_RESUME}};
    if (node->type == JSON_OBJECT)
        return read_set_gas(fields, node, job, problem);
    for (size_t i = 0; node->type == JSON_STRING && i < sizeof WORDS / sizeof *WORDS; i++)
        if (strlen(WORDS[i].name) == node->text_len &&
            memcmp(WORDS[i].name, node->text, node->text_len) == 0) {
            job->on_pause = (uint8_t)WORDS[i].policy;
            return true;
        }
    return unexpected(node->offset, problem);
}
