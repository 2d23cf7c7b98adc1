#include "javm/status.h"

#include <stdarg.h>
#include <stdio.h>

enum javm_status(javm_fail)(struct javm_error *err, enum javm_status status, uint64_t where,
                            const char *fmt, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        err->status = status;
        err->where = where;
        vsnprintf(err->text, sizeof err->text, fmt, args);
        for (char *c = err->text; *c != 0; c++) /* names in it may come from anywhere */
            if ((unsigned char)*c < ' ' || *c == 0x7F)
                *c = '?';
        va_end(args);
    }
    return status;
}

const char *javm_status_name(enum javm_status status)
{
    static const char *const names[] = {"ok",    "no memory", "io",          "format", "range",
                                        "kind",  "missing",   "foreign",     "live",   "exists",
                                        "limit", "state",     "unsupported", "crashed"};
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown";
}
