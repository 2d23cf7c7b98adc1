#include "rpc/nub_options.h"

#include <stdio.h>
#include <string.h>

#include "batch/args.h"
#include "rpc/command.h"

static const char HELP[] =
    "javm-nub: ask an executor of metered, sandboxed programs.\n"
    "\n"
    "Usage:\n"
    "  javm-nub [OPTIONS] smoke              42, if all is well\n"
    "  javm-nub [OPTIONS] put-cap FILE...    publish what an image, bundle or ELF file has, or "
    "one\n"
    "                                        archived cap; prints what it is called\n"
    "  javm-nub [OPTIONS] invoke HASH|FILE   run an Instance; FILE: put-cap first\n"
    "  javm-nub [OPTIONS] heap-stats         of all executors of the server\n"
    "  javm-nub [OPTIONS] boot-info\n"
    "  javm-nub [OPTIONS] evict              drop all compiled code\n"
    "\n"
    "  --socket PATH   of javm-nubd (default $XDG_RUNTIME_DIR/javm-nub.sock)\n"
    "  --isolation I   thread, process or kvm: no server, but an executor for this command\n"
    "  --engine E      of that: interp or jit\n"
    "  --put FILE      put-cap first; repeatable\n"
    "  --json          one line of JSON\n"
    "  --help, --version\n"
    "\n"
    "invoke:\n"
    "  --endpoint N    default 0\n"
    "  --gas N         default 1000000000\n"
    "  --arg N         up to four, in their order\n"
    "  --root NAME     of the FILE (default: the only one that can be invoked)\n"
    "\n"
    "Exit codes: 0 done, and the guest halted; 1 it ended otherwise, or the executor refused;\n"
    "2 bad usage or file; 3 no server, or it is gone.\n";

enum option_id {
    OPT_SOCKET = 256,
    OPT_ISOLATION,
    OPT_ENGINE,
    OPT_PUT,
    OPT_JSON,
    OPT_ENDPOINT,
    OPT_GAS,
    OPT_ARG,
    OPT_ROOT
};

static const struct option OPTIONS[] = {{"help", no_argument, NULL, 'h'},
                                        {"version", no_argument, NULL, 'V'},
                                        {"socket", required_argument, NULL, OPT_SOCKET},
                                        {"isolation", required_argument, NULL, OPT_ISOLATION},
                                        {"engine", required_argument, NULL, OPT_ENGINE},
                                        {"put", required_argument, NULL, OPT_PUT},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"endpoint", required_argument, NULL, OPT_ENDPOINT},
                                        {"gas", required_argument, NULL, OPT_GAS},
                                        {"arg", required_argument, NULL, OPT_ARG},
                                        {"root", required_argument, NULL, OPT_ROOT},
                                        {NULL, 0, NULL, 0}};

static const struct command_words {
    const char *name;
    int least, most; /* words behind it */
    const char *wants;
} NAMES[COMMANDS] = {
    [COMMAND_SMOKE] = {"smoke", 0, 0, "nothing"},
    [COMMAND_PUT_CAP] = {"put-cap", 1, INT32_MAX, "a FILE"},
    [COMMAND_INVOKE] = {"invoke", 1, 1, "one HASH or FILE"},
    [COMMAND_HEAP_STATS] = {"heap-stats", 0, 0, "nothing"},
    [COMMAND_BOOT_INFO] = {"boot-info", 0, 0, "nothing"},
    [COMMAND_EVICT] = {"evict", 0, 0, "nothing"},
};

static bool take(int id, void *to)
{
    struct settings *settings = to;
    uint64_t value = 0;
    bool good;
    settings->about_invoke = settings->about_invoke || id >= OPT_ENDPOINT;
    switch (id) {
    case OPT_SOCKET:
        settings->socket = optarg;
        return true;
    case OPT_ISOLATION:
        settings->own = true;
        return command_backend(optarg, &settings->backend);
    case OPT_ENGINE:
        return args_engine(optarg, &settings->nub.engine);
    case OPT_PUT:
        settings->puts[settings->put_count++] = optarg;
        return true;
    case OPT_JSON:
        settings->json = true;
        return true;
    case OPT_ENDPOINT:
        good = args_number("--endpoint", optarg, 0, UINT32_MAX, &value);
        settings->packet.endpoint_idx = (uint32_t)value;
        return good;
    case OPT_GAS:
        return args_number("--gas", optarg, 0, UINT64_MAX, &settings->packet.initial_gas);
    case OPT_ARG:
        if (settings->arg_count == 4) {
            complain("--arg: expected at most four");
            return false;
        }
        return args_number("--arg", optarg, 0, UINT64_MAX,
                           &settings->packet.args[settings->arg_count++]);
    default:
        settings->root = optarg;
        return true;
    }
}

static bool set_command(struct settings *settings, int argc, char **argv)
{
    if (optind == argc) {
        complain("expected a command");
        return false;
    }
    const char *name = argv[optind];
    settings->words = argv + optind + 1;
    settings->word_count = argc - optind - 1;
    while (settings->command < COMMANDS && strcmp(name, NAMES[settings->command].name) != 0)
        settings->command++;
    if (settings->command == COMMANDS) {
        complain("there is no command '%s'", name);
        return false;
    }
    const struct command_words *command = &NAMES[settings->command];
    if (settings->word_count < command->least || settings->word_count > command->most) {
        complain("%s: expected %s behind it, found %d words", name, command->wants,
                 settings->word_count);
        return false;
    }
    if (settings->about_invoke && settings->command != COMMAND_INVOKE) {
        complain("%s: --endpoint, --gas, --arg and --root are of invoke", name);
        return false;
    }
    return true;
}

static bool set_place(struct settings *settings)
{
    if (settings->own && settings->socket != NULL) {
        complain("--isolation is for an executor without a server: expected no --socket");
        return false;
    }
    if (!settings->own && settings->socket == NULL)
        settings->socket = command_default_socket();
    if (settings->own || settings->socket != NULL)
        return true;
    complain("expected --socket PATH or --isolation: XDG_RUNTIME_DIR is not set");
    return false;
}

static bool finish(int argc, char **argv, void *settings)
{
    return set_command(settings, argc, argv) && set_place(settings);
}

int settings_parse(int argc, char **argv, struct settings *settings)
{
    return command_parse(&(struct command_line){"javm-nub", HELP, OPTIONS, take, finish}, argc,
                         argv, settings);
}
