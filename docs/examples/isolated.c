/* One invocation in a process without privileges: isolated IMAGE A0. What kills the process costs
 * the call and nothing else. Built like embed.c: cc isolated.c $(pkg-config --cflags --libs javm)
 * -o isolated
 *     ./isolated fib.jimg 20 */
#include <inttypes.h>
#include <javm/load.h>
#include <javm/nub_host.h>
#include <javm/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The caps of an image file, children first, and a fresh Instance of the image. */
static enum javm_status load(const char *path, struct javm_bundle *all, struct javm_hash *instance,
                             struct javm_error *err)
{
    const char *const name = "instance";
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct javm_bundle file = {0};
    struct javm_hash *roots = NULL;
    struct javm_directory *directory = NULL;
    struct javm_dir_thread *thread = NULL;
    enum javm_status status = javm_file_read(path, 0, &bytes, &len, err);
    if (status == JAVM_OK)
        status = javm_load(bytes, len, &file, err);
    if (status == JAVM_OK && file.root_count == 0)
        status = javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE, "%s has no root", path);
    if (status == JAVM_OK)
        status = javm_directory_create(1, 0, &directory, err);
    if (status == JAVM_OK && (thread = javm_directory_join(directory)) == NULL)
        status = JAVM_E_NOMEM;
    if (status == JAVM_OK)
        status = javm_bundle_publish(&file, thread, &roots, err);
    if (status == JAVM_OK)
        status = javm_vm_instantiate(thread, &roots[0], instance, err);
    if (status == JAVM_OK)
        status = javm_bundle_collect(thread, instance, &name, 1, all, err);
    if (thread != NULL)
        javm_directory_leave(thread);
    javm_directory_destroy(directory);
    free(roots);
    javm_bundle_clear(&file);
    free(bytes);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: isolated IMAGE A0\n", stderr);
        return 2;
    }
    struct javm_error err = {.text = "out of memory"};
    struct javm_nub *nub = NULL;
    struct javm_bundle caps = {0};
    struct javm_hash instance = {{0}};
    struct javm_nub_result result = {0};
    const struct javm_nub_options options = {.engine = JAVM_ENGINE_JIT,
                                             .watchdog_ns = UINT64_C(10000000000)};

    /* First: the process gets what this one has in memory now. JAVM_NUB_KVM and JAVM_NUB_THREAD
     * give the same results. */
    enum javm_status status = javm_nub_open(JAVM_NUB_PROCESS, &options, &nub, &err);
    if (status == JAVM_OK)
        status = load(argv[1], &caps, &instance, &err);
    for (uint32_t i = 0; i < caps.cap_count && status == JAVM_OK; i++)
        status = javm_nub_put_cap(nub, caps.caps[i], NULL, &err);
    struct javm_nub_invoke packet = {.args = {strtoull(argv[2], NULL, 0)},
                                     .initial_gas = 1000000000};
    memcpy(packet.instance_hash, instance.bytes, sizeof packet.instance_hash);
    if (status == JAVM_OK)
        status = javm_nub_invoke_cached(nub, &packet, &result, &err);
    if (status != JAVM_OK)
        fprintf(stderr, "isolated: %s\n", err.text);
    else if (result.exit_reason == JAVM_NUB_EXIT_HALT)
        printf("value %" PRIu64 ", gas left %" PRIu64 "\n", result.return_value,
               result.gas_remaining);
    else
        printf("exit %" PRIu32 ", argument %" PRIu32 "\n", result.exit_reason, result.exit_arg);
    javm_bundle_clear(&caps);
    javm_nub_close(nub);
    return status == JAVM_OK ? 0 : 1;
}
