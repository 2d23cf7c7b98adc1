#include "rpc/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "batch/args.h"
#include "javm/version.h"

void command_streams(void)
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

int command_parse(const struct command_line *line, int argc, char **argv, void *settings)
{
    char version[512];
    bool good = true;
    opterr = 0;
    while (good) {
        const int id = getopt_long(argc, argv, ":hV", line->options, NULL);
        if (id == -1)
            break;
        if (id == 'h')
            return command_print(line->help);
        if (id == 'V') {
            snprintf(version, sizeof version, "%s %s\n%s", line->program, JAVM_VERSION,
                     javm_build_facts());
            return command_print(version);
        }
        good = id != '?' && id != ':';
        if (!good)
            args_unknown(id, argv);
        else
            good = line->take(id, settings);
    }
    if (good && line->finish(argc, argv, settings))
        return -1;
    fprintf(stderr, "Try '%s --help'.\n", line->program);
    return 2;
}

bool command_backend(const char *text, enum javm_nub_backend *backend)
{
    static const enum javm_nub_backend BACKENDS[] = {JAVM_NUB_THREAD, JAVM_NUB_PROCESS,
                                                     JAVM_NUB_KVM};
    int kind;
    if (!args_isolation(text, &kind))
        return false;
    *backend = BACKENDS[kind];
    return true;
}

int command_print(const char *text)
{
    if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
        return 0;
    complain("standard output: %s", strerror(errno));
    return 3;
}

const char *command_default_socket(void)
{
    static char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 256];
    const char *folder = getenv("XDG_RUNTIME_DIR");
    if (folder == NULL || folder[0] != '/')
        return NULL;
    snprintf(path, sizeof path, "%s/javm-nub.sock",
             folder); /* too long: refused where it is used */
    return path;
}
