#include <stdio.h>

#include <sodium.h>

#include "batch/check.h"
#include "batch/diag.h"
#include "batch/info.h"
#include "batch/options.h"
#include "batch/run.h"

int main(int argc, char **argv)
{
    struct options options;
    int code = 2;
    if (sodium_init() < 0) {
        complain("libsodium cannot be initialised");
        return 3;
    }
    switch (options_parse(argc, argv, &options)) {
    case OPTIONS_DONE:
        code = fflush(stdout) == 0 ? 0 : 3;
        break;
    case OPTIONS_BAD:
        break;
    case OPTIONS_GO:
        code = options.command == COMMAND_RUN     ? run_batch(&options)
               : options.command == COMMAND_CHECK ? check_jobs(&options)
                                                  : info_file(&options);
        break;
    }
    options_free(&options);
    return code;
}
