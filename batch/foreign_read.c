#include "batch/foreign_read.h"

#include <stdio.h>
#include <string.h>

#include "batch/definitions.h"
#include "batch/foreign.h"

/* Some names, for a message. */
static void list_exports(const struct javm_pvm_program *program, char *list, size_t size)
{
    size_t used = (size_t)snprintf(list, size, "none");
    for (uint32_t i = 0; program->exports != NULL && i < program->export_count; i++) {
        char quoted[QUOTE_SIZE];
        const struct javm_pvm_symbol *export = &program->exports[i];
        quote(quoted, (const char *)export->name, export->name_len);
        if (i == 0)
            used = 0;
        if (used + strlen(quoted) + 8 > size) {
            snprintf(list + used, size - used, ", ...");
            return;
        }
        used += (size_t)snprintf(list + used, size - used, "%s%s", i == 0 ? "" : ", ", quoted);
    }
}

static const struct javm_pvm_symbol *usual(const struct javm_pvm_program *program)
{
    return program->export_count == 1 ? &program->exports[0]
                                      : javm_pvm_export(program, "main", strlen("main"));
}

bool foreign_read_endpoint(const struct json_node *node, size_t at, struct job *job,
                           struct problem *problem)
{
    const struct javm_pvm_program *program = &job->target->foreign->program;
    const bool named = program->container == JAVM_PVM_POLKAVM;
    uint64_t pc = 0;
    char list[160];
    if (node != NULL && node->type != JSON_STRING) {
        if (!field_u64(node, "endpoint", UINT32_MAX, &pc, problem))
            return false;
        job->endpoint = (uint32_t)pc;
        return javm_pvm_is_start(&program->code, pc) ||
               problem_at(problem, node->offset,
                          "endpoint: no instruction begins at %llu of the program's code",
                          (unsigned long long)pc);
    }
    const struct javm_pvm_symbol *found =
        node == NULL ? usual(program) : javm_pvm_export(program, node->text, node->text_len);
    if (found != NULL || (node == NULL && !named)) {
        job->endpoint = found != NULL ? found->pc : 0;
        return true;
    }
    list_exports(program, list, sizeof list);
    return problem_at(problem, node != NULL ? node->offset : at,
                      node != NULL ? "endpoint: the program has no such export; it has %s"
                                   : "endpoint: expected the name of an export; it has %s",
                      list);
}

bool foreign_check_input(const struct json_node *node, uint64_t len, const struct job *job,
                         struct problem *problem)
{
    const struct javm_pvm_program *program = &job->target->foreign->program;
    const struct javm_pvm_setup setup = {.args_len = len};
    struct javm_pvm_memory memory;
    struct javm_error err;
    if (program->container != JAVM_PVM_SPI)
        return problem_at(problem, node->offset,
                          "input: a %s has no place for it; a standard program (SPI) has",
                          javm_pvm_container_name(program->container));
    return javm_pvm_memory(program, &setup, &memory, &err) == JAVM_OK ||
           problem_at(problem, node->offset, "input: %s", err.text);
}
