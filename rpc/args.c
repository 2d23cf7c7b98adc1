#include "rpc/args.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

void args_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(3);
}

void complain(const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++) /* names of files may have anything */
        if ((unsigned char)*c < ' ' || *c == 0x7F)
            *c = '?';
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
}

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

/* The index of `text` in the list, or -1 with a message. */
static int choice(const char *name, const char *text, const char *const *list)
{
    char known[64] = "";
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

bool args_backend(const char *text, enum javm_nub_backend *backend)
{
    static const char *const NAMES[] = {"thread", "process", "kvm", NULL};
    static const enum javm_nub_backend BACKENDS[] = {JAVM_NUB_THREAD, JAVM_NUB_PROCESS,
                                                     JAVM_NUB_KVM};
    const int index = choice("--isolation", text, NAMES);
    if (index >= 0)
        *backend = BACKENDS[index];
    return index >= 0;
}

bool args_engine(const char *text, enum javm_engine *engine)
{
    static const char *const NAMES[] = {"interp", "jit", NULL};
    const int index = choice("--engine", text, NAMES);
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
    const int index = choice("--gas-model", text, NAMES);
    *model = index == 1 ? JAVM_GAS_FULL : JAVM_GAS_EXEC;
    return index >= 0;
}

void args_unknown(int id, char **argv)
{
    if (id == '?' && optopt > 0 && optopt < 256) /* a short one, maybe inside a cluster */
        complain("unknown option '-%c'", optopt);
    else
        complain(id == ':' ? "%s: expected a value" : "unknown option '%s'", argv[optind - 1]);
}

int args_print(const char *text)
{
    if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
        return 0;
    complain("standard output: %s", strerror(errno));
    return 3;
}

const char *args_default_socket(void)
{
    static char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 256];
    const char *folder = getenv("XDG_RUNTIME_DIR");
    if (folder == NULL || folder[0] != '/')
        return NULL;
    snprintf(path, sizeof path, "%s/javm-nub.sock",
             folder); /* too long: refused where it is used */
    return path;
}
