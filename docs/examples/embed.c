/* One invocation through the library: embed IMAGE A0. After `cmake --install`:
 *     cc embed.c $(pkg-config --cflags --libs javm) -o embed
 *     ./embed fib.jimg 20
 * (ldconfig first after an install to /usr/local; elsewhere add -Wl,-rpath,DIR of the library.) */
#include <inttypes.h>
#include <javm/load.h>
#include <javm/vm.h>
#include <stdio.h>
#include <stdlib.h>

/* Bytes of a file to the hash of an Instance that can be invoked. */
static enum javm_status load(const char *path, struct javm_dir_thread *thread,
                             struct javm_hash *instance, struct javm_error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct javm_bundle bundle = {0};
    struct javm_hash *roots = NULL;
    enum javm_status status = javm_file_read(path, 0, &bytes, &len, err);
    if (status == JAVM_OK)
        status = javm_load(bytes, len, &bundle, err);
    if (status == JAVM_OK && bundle.root_count == 0)
        status = javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE, "%s has no root", path);
    if (status == JAVM_OK)
        status = javm_bundle_publish(&bundle, thread, &roots, err);
    if (status == JAVM_OK)
        status = javm_vm_instantiate(thread, &roots[0], instance, err);
    free(roots);
    javm_bundle_clear(&bundle);
    free(bytes);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: embed IMAGE A0\n", stderr);
        return 2;
    }
    struct javm_error err = {.text = "out of memory"};
    struct javm_directory *directory = NULL;
    struct javm_dir_thread *thread = NULL;
    struct javm_vm *vm = NULL;
    struct javm_hash instance;
    struct javm_call_result result = {0};
    const uint64_t args[4] = {strtoull(argv[2], NULL, 0)};

    enum javm_status status = javm_directory_create(1, 0, &directory, &err);
    if (status == JAVM_OK && (thread = javm_directory_join(directory)) == NULL)
        status = JAVM_E_NOMEM;
    if (status == JAVM_OK)
        status = javm_vm_create(NULL, &vm, &err);
    if (status == JAVM_OK)
        status = load(argv[1], thread, &instance, &err);
    if (status == JAVM_OK)
        status = javm_vm_invoke_cached(vm, thread, &instance, 0, args, 1000000000, &result, &err);
    if (status != JAVM_OK)
        fprintf(stderr, "embed: %s\n", err.text);
    else if (result.end == JAVM_END_HALT)
        printf("value %" PRIu64 ", gas %" PRIu64 "\n", result.value, result.gas_used);
    else if (result.end == JAVM_END_HOST_CALL)
        printf("host call %" PRId64 ", gas %" PRIu64 "\n", result.selector, result.gas_used);
    else
        printf("%s, gas %" PRIu64 "\n", javm_fault_name(result.fault), result.gas_used);

    javm_call_result_clear(&result);
    javm_vm_destroy(vm);
    if (thread != NULL)
        javm_directory_leave(thread);
    if (directory != NULL)
        javm_directory_destroy(directory);
    return status == JAVM_OK ? 0 : 1;
}
