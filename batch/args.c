#include "batch/args.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/diag.h"

/* strtoull would take blanks and signs. *end is behind the digits. */
static bool digits(const char *text, uint64_t *value, char **end)
{
    const bool hex = text[0] == '0' && (text[1] | 32) == 'x';
    errno = 0;
    *value = strtoull(text, end, hex ? 16 : 10);
    return text[0] >= '0' && text[0] <= '9' && errno == 0;
}

static bool outside(const char *name, const char *what, const char *text, uint64_t min,
                    uint64_t max)
{
    complain("%s: expected %s %" PRIu64 "..%" PRIu64 ", found '%s'", name, what, min, max, text);
    return false;
}

bool args_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    char *end;
    return (digits(text, value, &end) && *end == '\0' && *value >= min && *value <= max) ||
           outside(name, "an integer", text, min, max);
}

bool args_bytes(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    char *end;
    if (!digits(text, value, &end))
        return outside(name, "bytes", text, min, max);
    const unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (end[shift != 0] != '\0' || *value > UINT64_MAX >> shift)
        return outside(name, "bytes", text, min, max);
    *value <<= shift;
    return (*value >= min && *value <= max) || outside(name, "bytes", text, min, max);
}

int args_choice(const char *name, const char *text, const char *const *list)
{
    char known[128] = "";
    for (int i = 0; list[i] != NULL; i++) {
        const size_t used = strlen(known);
        if (strcmp(text, list[i]) == 0)
            return i;
        snprintf(known + used, sizeof known - used, "%s%s",
                 i == 0                ? ""
                 : list[i + 1] == NULL ? " or "
                                       : ", ",
                 list[i]);
    }
    complain("%s: expected %s, found '%s'", name, known, text);
    return -1;
}

bool args_engine(const char *text, enum javm_engine *engine)
{
    static const char *const NAMES[] = {"interp", "jit", NULL};
    const int index = args_choice("--engine", text, NAMES);
    if (index < 0)
        return false;
    *engine = index == 1 ? JAVM_ENGINE_JIT : JAVM_ENGINE_INTERP;
    if (javm_engine_available(*engine))
        return true;
    complain("--engine %s: not in this build", text);
    return false;
}

bool args_gas_model(const char *text, enum javm_gas_model *model)
{
    static const char *const NAMES[] = {"exec", "full", NULL};
    const int index = args_choice("--gas-model", text, NAMES);
    *model = index == 1 ? JAVM_GAS_FULL : JAVM_GAS_EXEC;
    return index >= 0;
}

bool args_isolation(const char *text, int *kind)
{
    static const char *const NAMES[] = {"thread", "process", "kvm", NULL};
    *kind = args_choice("--isolation", text, NAMES);
    return *kind >= 0;
}

void args_unknown(int id, char **argv)
{
    if (id == '?' && optopt > 0 && optopt < 256) /* a short one, maybe inside a cluster */
        complain("unknown option '-%c'", optopt);
    else
        complain(id == ':' ? "%s: expected a value" : "unknown option '%s'", argv[optind - 1]);
}
