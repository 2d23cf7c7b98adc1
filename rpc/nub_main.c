/* javm-nub: calls to an executor, for scripts (docs/nub.md). */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "javm/version.h"
#include "rpc/args.h"
#include "rpc/show.h"

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

enum { EXIT_GOOD = 0, EXIT_REFUSED = 1, EXIT_BAD_INPUT = 2, EXIT_LOST = 3 };

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

struct command;
struct settings {
    const struct command *command;
    const char *socket;
    bool own; /* no server */
    enum javm_nub_backend backend;
    struct javm_nub_options nub;
    bool json;
    char **puts; /* owned; the words are argv's */
    unsigned put_count;
    struct javm_nub_invoke packet;
    unsigned arg_count;
    const char *root;
    bool about_invoke; /* an option was given that only invoke has */
    char **words;      /* behind the command */
    int word_count;
};

/* ---- answers ---------------------------------------------------------------------------- */

static int lost(const struct javm_error *err)
{
    complain("%s", err->text);
    return EXIT_LOST;
}

static int refused(const struct answer *answer)
{
    if (answer->err.where == JAVM_NOWHERE)
        complain("error %u: %s", answer->number, answer->err.text);
    else
        complain("error %u: byte %llu: %s", answer->number, (unsigned long long)answer->err.where,
                 answer->err.text);
    return EXIT_REFUSED;
}

/* A call with an answer of `want` bytes, or an exit code. */
static int ask(struct remote *remote, uint32_t fn, const void *payload, size_t len, void *to,
               size_t want)
{
    struct answer answer;
    struct javm_error err;
    if (remote_call(remote, fn, payload, len, &answer, &err) != JAVM_OK)
        return lost(&err);
    if (answer.number != JAVM_NUB_E_NONE)
        return refused(&answer);
    if (answer.len != want) {
        complain("an answer of %zu bytes, expected %zu", answer.len, want);
        return EXIT_LOST;
    }
    if (want > 0)
        memcpy(to, answer.bytes, want);
    return EXIT_GOOD;
}

static int put_one(struct remote *remote, const char *path, struct put *put)
{
    struct javm_error err;
    const enum put_end end = put_file(remote, path, put, &err);
    if (end == PUT_DONE)
        return EXIT_GOOD;
    if (end == PUT_FAILED)
        complain("error %u: %s", put->refused, err.text);
    else
        complain("%s", err.text);
    return end == PUT_FAILED ? EXIT_REFUSED : end == PUT_LOST ? EXIT_LOST : EXIT_BAD_INPUT;
}

/* ---- commands --------------------------------------------------------------------------- */

static int do_smoke(struct remote *remote, const struct settings *settings)
{
    uint64_t value;
    const int code = ask(remote, JAVM_NUB_SMOKE, NULL, 0, &value, sizeof value);
    if (code != EXIT_GOOD)
        return code;
    show_smoke(value, settings->json);
    return value == JAVM_NUB_SMOKE_ANSWER ? EXIT_GOOD : EXIT_LOST;
}

static int do_put_cap(struct remote *remote, const struct settings *settings)
{
    int code = EXIT_GOOD;
    for (int i = 0; i < settings->word_count && code == EXIT_GOOD; i++) {
        struct put put;
        code = put_one(remote, settings->words[i], &put);
        if (code == EXIT_GOOD)
            show_put(&put, settings->json);
        put_clear(&put);
    }
    return code;
}

/* The Instance of the root that is meant. */
static bool choose(const struct put *put, const struct settings *settings, struct javm_hash *hash)
{
    unsigned found = 0;
    for (uint32_t i = 0; i < put->count; i++)
        if (put->roots[i].runs &&
            (settings->root == NULL || strcmp(settings->root, put->roots[i].name) == 0)) {
            *hash = put->roots[i].instance;
            found++;
        }
    if (found == 1)
        return true;
    complain("%s: expected one root %s%s that can be invoked, found %u%s", settings->words[0],
             settings->root == NULL ? "" : "called ", settings->root == NULL ? "" : settings->root,
             found, found > 1 ? "; --root names one" : "");
    return false;
}

static int find_instance(struct remote *remote, const struct settings *settings,
                         struct javm_hash *hash)
{
    const char *word = settings->words[0];
    struct put put;
    if (javm_hash_parse(word, strlen(word), hash))
        return EXIT_GOOD;
    const int code = put_one(remote, word, &put);
    if (code != EXIT_GOOD)
        return code;
    const bool chosen = choose(&put, settings, hash);
    put_clear(&put);
    return chosen ? EXIT_GOOD : EXIT_BAD_INPUT;
}

static int do_invoke(struct remote *remote, const struct settings *settings)
{
    struct javm_nub_invoke packet = settings->packet;
    struct javm_nub_result result;
    struct javm_error err;
    struct javm_hash hash;
    uint8_t bytes[sizeof result];
    int code = find_instance(remote, settings, &hash);
    if (code != EXIT_GOOD)
        return code;
    memcpy(packet.instance_hash, hash.bytes, sizeof packet.instance_hash);
    code = ask(remote, JAVM_NUB_INVOKE_CACHED, &packet, sizeof packet, bytes, sizeof bytes);
    if (code != EXIT_GOOD)
        return code;
    if (javm_nub_decode_result(bytes, sizeof bytes, &result, &err) != JAVM_OK)
        return lost(&err);
    show_result(&result, settings->json);
    return result.exit_reason == JAVM_NUB_EXIT_HALT ? EXIT_GOOD : EXIT_REFUSED;
}

static int do_heap_stats(struct remote *remote, const struct settings *settings)
{
    struct javm_nub_heap_stats stats;
    const int code = ask(remote, JAVM_NUB_HEAP_STATS, NULL, 0, &stats, sizeof stats);
    if (code == EXIT_GOOD)
        show_heap_stats(&stats, settings->json);
    return code;
}

static int do_boot_info(struct remote *remote, const struct settings *settings)
{
    struct javm_nub_boot_info boot;
    const int code = ask(remote, JAVM_NUB_GET_BOOT_INFO, NULL, 0, &boot, sizeof boot);
    if (code == EXIT_GOOD)
        show_boot_info(&boot, settings->json);
    return code;
}

static int do_evict(struct remote *remote, const struct settings *settings)
{
    const int code = ask(remote, JAVM_NUB_EVICT_JIT_ALL, NULL, 0, NULL, 0);
    if (code == EXIT_GOOD && settings->json)
        puts("{}");
    return code;
}

static const struct command {
    const char *name;
    int (*run)(struct remote *remote, const struct settings *settings);
    int least, most; /* words behind it */
    const char *wants;
} COMMANDS[] = {{"smoke", do_smoke, 0, 0, "nothing"},
                {"put-cap", do_put_cap, 1, INT32_MAX, "a FILE"},
                {"invoke", do_invoke, 1, 1, "one HASH or FILE"},
                {"heap-stats", do_heap_stats, 0, 0, "nothing"},
                {"boot-info", do_boot_info, 0, 0, "nothing"},
                {"evict", do_evict, 0, 0, "nothing"}};

/* ---- command line ----------------------------------------------------------------------- */

static bool set_option(int id, struct settings *settings)
{
    uint64_t value = 0;
    bool good;
    settings->about_invoke = settings->about_invoke || id >= OPT_ENDPOINT;
    switch (id) {
    case OPT_SOCKET:
        settings->socket = optarg;
        return true;
    case OPT_ISOLATION:
        settings->own = true;
        return args_backend(optarg, &settings->backend);
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
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++)
        if (strcmp(name, COMMANDS[i].name) == 0)
            settings->command = &COMMANDS[i];
    if (settings->command == NULL) {
        complain("there is no command '%s'", name);
        return false;
    }
    const struct command *command = settings->command;
    if (settings->word_count < command->least || settings->word_count > command->most) {
        complain("%s: expected %s behind it, found %d words", name, command->wants,
                 settings->word_count);
        return false;
    }
    if (settings->about_invoke && command->run != do_invoke) {
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
        settings->socket = args_default_socket();
    if (settings->own || settings->socket != NULL)
        return true;
    complain("expected --socket PATH or --isolation: XDG_RUNTIME_DIR is not set");
    return false;
}

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct settings *settings)
{
    char version[512];
    bool good = true;
    opterr = 0;
    while (good) {
        const int id = getopt_long(argc, argv, ":hV", OPTIONS, NULL);
        if (id == -1)
            break;
        if (id == 'h')
            return args_print(HELP);
        if (id == 'V') {
            snprintf(version, sizeof version, "javm-nub %s\n%s", JAVM_VERSION, javm_build_facts());
            return args_print(version);
        }
        good = id != '?' && id != ':';
        if (!good)
            args_unknown(id, argv);
        else
            good = set_option(id, settings);
    }
    if (good && set_command(settings, argc, argv) && set_place(settings))
        return -1;
    fputs("Try 'javm-nub --help'.\n", stderr);
    return EXIT_BAD_INPUT;
}

static int run(const struct settings *settings)
{
    struct remote *remote;
    struct javm_error err;
    const enum javm_status status =
        settings->own ? remote_open(settings->backend, &settings->nub, &remote, &err)
                      : remote_connect(settings->socket, &remote, &err);
    if (status != JAVM_OK)
        return lost(&err);
    int code = EXIT_GOOD;
    for (unsigned i = 0; i < settings->put_count && code == EXIT_GOOD; i++) {
        struct put put;
        code = put_one(remote, settings->puts[i], &put);
        put_clear(&put);
    }
    if (code == EXIT_GOOD)
        code = settings->command->run(remote, settings);
    remote_close(remote);
    return code;
}

int main(int argc, char **argv)
{
    struct settings settings = {.nub = {.engine = javm_engine_available(JAVM_ENGINE_JIT)
                                                      ? JAVM_ENGINE_JIT
                                                      : JAVM_ENGINE_INTERP},
                                .packet = {.initial_gas = 1000000000},
                                .puts = calloc((size_t)argc + 1, sizeof(char *))};
    if (settings.puts == NULL || sodium_init() < 0) {
        complain("out of memory");
        free(settings.puts);
        return EXIT_LOST;
    }
    signal(SIGXFSZ, SIG_IGN);
    int code = parse(argc, argv, &settings);
    if (code < 0)
        code = run(&settings);
    free(settings.puts);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain("standard output: %s", strerror(errno));
        return EXIT_LOST;
    }
    return code;
}
