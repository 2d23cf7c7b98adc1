#include "guest/native/guest_vm.h"

#include <stdio.h>
#include <stdlib.h>

#include "javm/load.h"

struct guest_vm {
    struct javm_directory *directory;
    struct javm_dir_thread *thread;
    struct javm_vm *vm;
    struct javm_hash *instances; /* by place in guest_natives */
};

static enum javm_status load_guest(struct guest_vm *vm, const char *folder, size_t i,
                                   struct javm_error *err)
{
    char path[1024];
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct javm_bundle bundle = {0};
    struct javm_hash *roots = NULL;
    snprintf(path, sizeof path, "%s/%s.jimg", folder, guest_natives[i].name);
    enum javm_status status = javm_file_read(path, 0, &bytes, &len, err);
    if (status != JAVM_OK)
        return status;
    status = javm_bundle_decode(bytes, len, &bundle, err);
    free(bytes);
    if (status != JAVM_OK)
        return status;
    status = javm_bundle_publish(&bundle, vm->thread, &roots, err);
    if (status == JAVM_OK)
        status = javm_vm_instantiate(vm->thread, &roots[0], &vm->instances[i], err);
    free(roots);
    javm_bundle_clear(&bundle);
    return status;
}

struct guest_vm *guest_vm_open(const char *folder, const struct javm_vm_options *options)
{
    struct javm_error err = {.text = "out of memory"};
    struct guest_vm *vm = calloc(1, sizeof *vm);
    enum javm_status status = vm == NULL ? JAVM_E_NOMEM : JAVM_OK;
    if (status == JAVM_OK)
        status = javm_directory_create(1, 0, &vm->directory, &err);
    if (status == JAVM_OK && (vm->thread = javm_directory_join(vm->directory)) == NULL)
        status = JAVM_E_NOMEM;
    if (status == JAVM_OK)
        status = javm_vm_create(options, &vm->vm, &err);
    if (status == JAVM_OK &&
        (vm->instances = calloc(guest_native_count, sizeof *vm->instances)) == NULL)
        status = JAVM_E_NOMEM;
    for (size_t i = 0; i < guest_native_count && status == JAVM_OK; i++)
        status = load_guest(vm, folder, i, &err);
    if (status == JAVM_OK)
        return vm;
    fprintf(stderr, "guests: %s\n", err.text);
    guest_vm_close(vm);
    return NULL;
}

void guest_vm_close(struct guest_vm *vm)
{
    if (vm == NULL)
        return;
    javm_vm_destroy(vm->vm);
    if (vm->thread != NULL)
        javm_directory_leave(vm->thread);
    if (vm->directory != NULL)
        javm_directory_destroy(vm->directory);
    free(vm->instances);
    free(vm);
}

enum javm_status guest_vm_invoke(struct guest_vm *vm, size_t i, const uint64_t args[4],
                                 uint64_t gas, const struct javm_cap *scratchpad,
                                 struct javm_call_result *result, struct javm_error *err)
{
    const struct javm_call call = {.instance = vm->instances[i],
                                   .args = {args[0], args[1], args[2], args[3]},
                                   .gas = gas,
                                   .scratchpad = scratchpad,
                                   .want_slot0 = scratchpad != NULL};
    return javm_vm_invoke(vm->vm, vm->thread, &call, result, err);
}
