#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "batch/check.h"
#include "batch/compare.h"
#include "batch/diag.h"
#include "batch/info.h"
#include "batch/options.h"
#include "batch/run.h"

/* A stream that was closed by whoever started us stays unusable, but its number is taken: else the
 * next file opened would get it, and messages would end up in results. */
static void take_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(3);
}

int main(int argc, char **argv)
{
    struct options options;
    int code = 2;
    take_standard_streams();
    /* hwloc complains of a system without /sys on standard error, where others look for ours. */
    setenv("HWLOC_HIDE_ERRORS", "2", 0);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file size is a failed write, not a death */
    if (sodium_init() < 0) {
        complain("libsodium cannot be initialised");
        return 3;
    }
    switch (options_parse(argc, argv, &options)) {
    case OPTIONS_DONE:
        code = 0;
        if (fflush(stdout) != 0) {
            complain("standard output: %s", strerror(errno));
            code = 3;
        }
        break;
    case OPTIONS_BAD:
        break;
    case OPTIONS_GO:
        code = options.command == COMMAND_INFO      ? info_file(&options)
               : options.command == COMMAND_CHECK   ? check_jobs(&options)
               : options.command == COMMAND_COMPARE ? compare_stats(&options)
                                                    : run_batch(&options);
        break;
    }
    options_free(&options);
    return code;
}
