/* javm-nubd: an executor of guests, served on a Unix socket (docs/nub.md). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "batch/args.h"
#include "rpc/command.h"
#include "rpc/server.h"

static const char HELP[] =
    "javm-nubd: run metered, sandboxed programs for whoever asks on a Unix socket.\n"
    "\n"
    "Usage:\n"
    "  javm-nubd [OPTIONS]\n"
    "\n"
    "Guests:\n"
    "  --isolation I        thread, process (default) or kvm: where they run\n"
    "  --workers N          executors (default: one for each core this process may use)\n"
    "  --lanes N            invocations that an executor has at once (default 16)\n"
    "  --engine E           interp or jit (default: jit where this build has it)\n"
    "  --gas-model M        exec (default) or full\n"
    "  --memory BYTES       private memory of an executor (default 8G)\n"
    "  --heap BYTES         the largest archived cap (default 64M)\n"
    "  --max-caps BYTES     archived caps that are kept, each once (default 1G)\n"
    "  --watchdog SECONDS   an executor that ends nothing for so long is replaced\n"
    "                       (default 60; 0: never; not for threads)\n"
    "\n"
    "Socket:\n"
    "  --socket PATH        default $XDG_RUNTIME_DIR/javm-nub.sock\n"
    "  --allow-uid N        who may connect (default: only the user that started this);\n"
    "                       repeatable\n"
    "  --max-connections N  default 64\n"
    "  --max-in-flight N    requests of a connection that are not answered (default 64)\n"
    "  --max-request BYTES  of one request (default: that of --heap)\n"
    "  --max-held BYTES     of requests that are not answered, all together (default 256M)\n"
    "  --stall SECONDS      to send a request that was begun, to take a response (default 30)\n"
    "  --idle SECONDS       without requests (default 600; 0: for ever)\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "SIGTERM or SIGINT: what was taken is answered, then it ends; a second one ends it at once.\n"
    "Exit codes: 0 done, 2 bad usage, 3 it could not start or go on, 130 ended at once.\n";

enum option_id {
    OPT_ISOLATION = 256,
    OPT_WORKERS,
    OPT_LANES,
    OPT_ENGINE,
    OPT_GAS_MODEL,
    OPT_MEMORY,
    OPT_HEAP,
    OPT_MAX_CAPS,
    OPT_WATCHDOG,
    OPT_SOCKET,
    OPT_ALLOW_UID,
    OPT_MAX_CONNECTIONS,
    OPT_MAX_IN_FLIGHT,
    OPT_MAX_REQUEST,
    OPT_MAX_HELD,
    OPT_STALL,
    OPT_IDLE
};

static const struct option OPTIONS[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"isolation", required_argument, NULL, OPT_ISOLATION},
    {"workers", required_argument, NULL, OPT_WORKERS},
    {"lanes", required_argument, NULL, OPT_LANES},
    {"engine", required_argument, NULL, OPT_ENGINE},
    {"gas-model", required_argument, NULL, OPT_GAS_MODEL},
    {"memory", required_argument, NULL, OPT_MEMORY},
    {"heap", required_argument, NULL, OPT_HEAP},
    {"max-caps", required_argument, NULL, OPT_MAX_CAPS},
    {"watchdog", required_argument, NULL, OPT_WATCHDOG},
    {"socket", required_argument, NULL, OPT_SOCKET},
    {"allow-uid", required_argument, NULL, OPT_ALLOW_UID},
    {"max-connections", required_argument, NULL, OPT_MAX_CONNECTIONS},
    {"max-in-flight", required_argument, NULL, OPT_MAX_IN_FLIGHT},
    {"max-request", required_argument, NULL, OPT_MAX_REQUEST},
    {"max-held", required_argument, NULL, OPT_MAX_HELD},
    {"stall", required_argument, NULL, OPT_STALL},
    {"idle", required_argument, NULL, OPT_IDLE},
    {NULL, 0, NULL, 0}};

struct settings {
    struct hub_options hub;
    struct server_options server;
    const char *socket;
    uint64_t max_request; /* 0: that of the heap */
};

#define SECOND      INT64_C(1000000000)
#define SECONDS_MAX 1000000000

static void set_defaults(struct settings *settings)
{
    cpu_set_t cpus;
    *settings = (struct settings){
        .hub = {.backend = JAVM_NUB_PROCESS,
                .nub = {.engine = javm_engine_available(JAVM_ENGINE_JIT) ? JAVM_ENGINE_JIT
                                                                         : JAVM_ENGINE_INTERP,
                        .workers = 1,
                        .lanes = 16,
                        .memory_bytes = UINT64_C(8) << 30,
                        .heap_bytes = UINT64_C(64) << 20,
                        .watchdog_ns = 60 * (uint64_t)SECOND},
                .max_caps = UINT64_C(1) << 30},
        .server = {.max_connections = 64,
                   .max_held = UINT64_C(256) << 20,
                   .peer = {.max_in_flight = 64, .stall_ns = 30 * SECOND, .idle_ns = 600 * SECOND}},
        .socket = command_default_socket()};
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 0)
        settings->hub.nub.workers = (unsigned)CPU_COUNT(&cpus);
}

static bool add_uid(struct server_options *server, const char *text)
{
    uint64_t uid;
    if (!args_number("--allow-uid", text, 0, UINT32_MAX - 1, &uid))
        return false;
    if (server->uid_count == MAX_UIDS) {
        complain("--allow-uid: expected it at most %d times", MAX_UIDS);
        return false;
    }
    server->uids[server->uid_count++] = (uid_t)uid;
    return true;
}

static bool set_guests(int id, struct settings *settings)
{
    struct javm_nub_options *nub = &settings->hub.nub;
    uint64_t value = 0;
    bool good;
    switch (id) {
    case OPT_ISOLATION:
        return command_backend(optarg, &settings->hub.backend);
    case OPT_ENGINE:
        return args_engine(optarg, &nub->engine);
    case OPT_GAS_MODEL:
        return args_gas_model(optarg, &nub->gas_model);
    case OPT_WORKERS:
        good = args_number("--workers", optarg, 1, 1024, &value);
        nub->workers = (unsigned)value;
        return good;
    case OPT_LANES:
        good = args_number("--lanes", optarg, 1, 1024, &value);
        nub->lanes = (unsigned)value;
        return good;
    case OPT_MEMORY:
        return args_bytes("--memory", optarg, 1 << 20, UINT64_C(1) << 46, &nub->memory_bytes);
    case OPT_HEAP:
        return args_bytes("--heap", optarg, 4096, JAVM_NUB_WIRE_MAX, &nub->heap_bytes);
    case OPT_MAX_CAPS:
        return args_bytes("--max-caps", optarg, 0, UINT64_C(1) << 46, &settings->hub.max_caps);
    default:
        good = args_number("--watchdog", optarg, 0, SECONDS_MAX, &value);
        nub->watchdog_ns = value * (uint64_t)SECOND;
        return good;
    }
}

static bool set_socket(int id, struct settings *settings)
{
    struct server_options *server = &settings->server;
    uint64_t value = 0;
    bool good;
    switch (id) {
    case OPT_SOCKET:
        settings->socket = optarg;
        return true;
    case OPT_ALLOW_UID:
        return add_uid(server, optarg);
    case OPT_MAX_CONNECTIONS:
        good = args_number("--max-connections", optarg, 1, 65536, &value);
        server->max_connections = (unsigned)value;
        return good;
    case OPT_MAX_IN_FLIGHT:
        good = args_number("--max-in-flight", optarg, 1, 65536, &value);
        server->peer.max_in_flight = (unsigned)value;
        return good;
    case OPT_MAX_REQUEST:
        return args_bytes("--max-request", optarg, sizeof(struct javm_nub_invoke),
                          JAVM_NUB_WIRE_MAX, &settings->max_request);
    case OPT_MAX_HELD:
        return args_bytes("--max-held", optarg, sizeof(struct javm_nub_invoke), UINT64_C(1) << 46,
                          &server->max_held);
    case OPT_STALL:
        good = args_number("--stall", optarg, 1, SECONDS_MAX, &value);
        server->peer.stall_ns = (int64_t)value * SECOND;
        return good;
    default:
        good = args_number("--idle", optarg, 0, SECONDS_MAX, &value);
        server->peer.idle_ns = (int64_t)value * SECOND;
        return good;
    }
}

static bool take(int id, void *settings)
{
    return id < OPT_SOCKET ? set_guests(id, settings) : set_socket(id, settings);
}

static bool finish(int argc, char **argv, void *to)
{
    struct settings *settings = to;
    struct server_options *server = &settings->server;
    if (optind < argc) {
        complain("expected options only, found '%s'", argv[optind]);
        return false;
    }
    if (settings->socket == NULL) {
        complain("expected --socket PATH: XDG_RUNTIME_DIR is not set");
        return false;
    }
    if (settings->max_request == 0)
        settings->max_request = settings->hub.nub.heap_bytes;
    if (settings->max_request > settings->hub.nub.heap_bytes) {
        complain("--max-request: expected at most the bytes of --heap, %" PRIu64 ", found %" PRIu64,
                 settings->hub.nub.heap_bytes, settings->max_request);
        return false;
    }
    server->peer.max_request = (uint32_t)settings->max_request;
    if (server->uid_count == 0)
        server->uids[server->uid_count++] = geteuid();
    return true;
}

/* ---- running ---------------------------------------------------------------------------- */

static void end_at_once(int signal)
{
    (void)signal;
    _exit(130);
}

/* Blocked, for all threads: they are read. -1: no descriptor. */
static int take_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* A guest in a thread may never end. */
static void give_signals_back(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    (void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = end_at_once}, NULL);
    (void)sigaction(SIGINT, &(struct sigaction){.sa_handler = end_at_once}, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static bool only_own(const struct server_options *server)
{
    for (unsigned i = 0; i < server->uid_count; i++)
        if (server->uids[i] != geteuid() && server->uids[i] != 0)
            return false;
    return true;
}

static int serve(const struct settings *settings, struct hub *hub, int signals)
{
    struct server_socket listening;
    struct server_figures figures = {0};
    struct javm_error err;
    if (socket_listen(settings->socket, !only_own(&settings->server), &listening, &err) !=
        JAVM_OK) {
        complain("%s", err.text);
        return 3;
    }
    printf("javm-nubd: listening at %s\n", settings->socket);
    (void)fflush(stdout); /* who waits for the line sees it; else nobody needs it */
    const enum server_end end =
        server_run(&settings->server, &listening, hub, signals, &figures, &err);
    socket_close(&listening);
    if (end == SERVER_INTERRUPTED)
        _exit(130);
    if (end == SERVER_TROUBLE)
        complain("%s", err.text);
    fprintf(stderr,
            "javm-nubd: %" PRIu64 " requests on %" PRIu64 " connections, %" PRIu64
            " connections refused, %" PRIu64 " executors replaced\n",
            figures.requests, figures.connections - figures.refused, figures.refused,
            hub_replaced(hub));
    return end == SERVER_FINE ? 0 : 3;
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct javm_error err;
    struct hub *hub;
    command_streams();
    set_defaults(&settings);
    int code = command_parse(&(struct command_line){"javm-nubd", HELP, OPTIONS, take, finish}, argc,
                             argv, &settings);
    if (code >= 0)
        return code;
    if (sodium_init() < 0) {
        complain("libsodium cannot be initialised");
        return 3;
    }
    const int signals = take_signals();
    if (signals < 0) {
        complain("no signalfd: %s", strerror(errno));
        return 3;
    }
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN); /* nobody has to listen to what it says */
    if (hub_open(&settings.hub, &hub, &err) != JAVM_OK) {
        complain("--isolation: %s", err.text);
        close(signals);
        return 3;
    }
    code = serve(&settings, hub, signals);
    give_signals_back();
    hub_close(hub);
    close(signals);
    return code;
}
