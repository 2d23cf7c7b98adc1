/* javm-nub: calls to an executor, for scripts (docs/nub.md). */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/command.h"
#include "rpc/nub_options.h"
#include "rpc/show.h"

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
    if (code != EXIT_GOOD)
        return code;
    show_boot_info(&boot, settings->json);
    if (boot.magic == JAVM_NUB_MAGIC && boot.directory_type_id == JAVM_NUB_DIRECTORY_TYPE_ID)
        return EXIT_GOOD;
    complain("expected magic 0x%llx and directory_type_id 0x%llx",
             (unsigned long long)JAVM_NUB_MAGIC, (unsigned long long)JAVM_NUB_DIRECTORY_TYPE_ID);
    return EXIT_LOST;
}

static int do_evict(struct remote *remote, const struct settings *settings)
{
    const int code = ask(remote, JAVM_NUB_EVICT_JIT_ALL, NULL, 0, NULL, 0);
    if (code == EXIT_GOOD && settings->json)
        puts("{}");
    return code;
}

static int (*const DO[COMMANDS])(struct remote *remote, const struct settings *settings) = {
    [COMMAND_SMOKE] = do_smoke,         [COMMAND_PUT_CAP] = do_put_cap,
    [COMMAND_INVOKE] = do_invoke,       [COMMAND_HEAP_STATS] = do_heap_stats,
    [COMMAND_BOOT_INFO] = do_boot_info, [COMMAND_EVICT] = do_evict,
};

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
        code = DO[settings->command](remote, settings);
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
    command_streams();
    signal(SIGXFSZ, SIG_IGN);
    int code = settings_parse(argc, argv, &settings);
    if (code < 0)
        code = run(&settings);
    free(settings.puts);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain("standard output: %s", strerror(errno));
        return EXIT_LOST;
    }
    return code;
}
