/* A host with a world of its own: host IMAGE ENTRIES, where IMAGE is kernel/journal.jimg.
 *
 * The guest's gas is in a meter that this program keeps, its files are in a list here, and it calls
 * one function of the host. When the meter is empty the invocation pauses and the host adds some;
 * when the guest yields, the host takes the whole invocation off the machine, as a value, and goes
 * on with it on another one. Built like embed.c:
 *     cc host.c $(pkg-config --cflags --libs javm) -o host
 *     ./host journal.jimg 10 */
#include <inttypes.h>
#include <javm/assist.h>
#include <javm/handle.h>
#include <javm/load.h>
#include <javm/vm.h>
#include <stdio.h>
#include <stdlib.h>

#define TOP_UP    2000u
#define MAX_FILES 64u

/* ---- the host's world -------------------------------------------------------------------- */

struct ledger {
    uint64_t gas, pages; /* there is one meter and one quota here; a real host finds them by key */
    struct javm_cap *files[MAX_FILES];
    unsigned file_count;
    uint64_t notes;
};

static const struct javm_key gas_key = {4, {'f', 'u', 'e', 'l'}};
static const struct javm_key quota_key = {4, {'d', 'i', 's', 'k'}};
static const struct javm_key pause_key = {5, {'p', 'a', 'u', 's', 'e'}};

static enum javm_status gas_get(void *context, const struct javm_key *key, uint64_t *value)
{
    const struct ledger *ledger = context;
    *value = javm_key_compare(key, &gas_key) == 0 ? ledger->gas : 0;
    return JAVM_OK;
}

static enum javm_status gas_set(void *context, const struct javm_key *key, uint64_t value)
{
    struct ledger *ledger = context;
    if (javm_key_compare(key, &gas_key) == 0)
        ledger->gas = value;
    return JAVM_OK;
}

static enum javm_status quota_get(void *context, const struct javm_key *key, uint64_t *value)
{
    const struct ledger *ledger = context;
    *value = javm_key_compare(key, &quota_key) == 0 ? ledger->pages : 0;
    return JAVM_OK;
}

static enum javm_status quota_set(void *context, const struct javm_key *key, uint64_t value)
{
    struct ledger *ledger = context;
    if (javm_key_compare(key, &quota_key) == 0)
        ledger->pages = value;
    return JAVM_OK;
}

static enum javm_status file_save(void *context, const struct javm_cap *data, struct javm_key *name)
{
    struct ledger *ledger = context;
    if (ledger->file_count == MAX_FILES)
        return JAVM_E_LIMIT; /* ends the invocation */
    struct javm_cap *copy = javm_cap_clone(data);
    if (copy == NULL)
        return JAVM_E_NOMEM;
    ledger->files[ledger->file_count++] = copy;
    *name = (struct javm_key){1, {(uint8_t)ledger->file_count}};
    return JAVM_OK;
}

static enum javm_status file_open(void *context, const struct javm_key *name,
                                  struct javm_cap **data)
{
    const struct ledger *ledger = context;
    const unsigned number = name->bytes[0];
    *data = NULL; /* no such file */
    if (name->len == 1 && number >= 1 && number <= ledger->file_count)
        *data = javm_cap_retain(ledger->files[number - 1]);
    return JAVM_OK;
}

/* Operation 64: the guest says how many entries it has written, and gets the number of its notes.
 */
static enum javm_status host_call(void *context, struct javm_host_call *call)
{
    struct ledger *ledger = context;
    call->trap = call->selector != 64;
    if (!call->trap) {
        printf("%" PRIu64 " entries are in file %u\n", call->regs[7], ledger->file_count);
        call->regs[7] = ++ledger->notes;
    }
    return JAVM_OK;
}

static const struct javm_assist assist = {.gas_get = gas_get,
                                          .gas_set = gas_set,
                                          .quota_get = quota_get,
                                          .quota_set = quota_set,
                                          .file_save = file_save,
                                          .file_open = file_open,
                                          .host_call = host_call};

/* ---- an instance with something in its slots ----------------------------------------------- */

/* The reference to `cap` is taken; NULL: out of memory. */
static enum javm_status publish(struct javm_dir_thread *thread, struct javm_cap *cap,
                                struct javm_hash *hash, struct javm_error *err)
{
    const enum javm_status status =
        cap != NULL ? javm_directory_put(thread, cap, hash, err) : JAVM_E_NOMEM;
    javm_cap_release(cap);
    return status;
}

static enum javm_status fill_slot(struct javm_dir_thread *thread, struct javm_cap *root,
                                  uint8_t slot, struct javm_cap *cap, struct javm_error *err)
{
    const struct javm_key key = {1, {slot}};
    struct javm_hash hash;
    const enum javm_status status = publish(thread, cap, &hash, err);
    if (status != JAVM_OK)
        return status;
    struct javm_target target = javm_target_hash(&hash);
    return javm_cnode_set(root, &key, &target);
}

static enum javm_status load_image(const char *path, struct javm_dir_thread *thread,
                                   struct javm_hash *image, struct javm_error *err)
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
        *image = roots[0];
    free(roots);
    javm_bundle_clear(&bundle);
    free(bytes);
    return status;
}

static enum javm_status make_instance(struct javm_dir_thread *thread, const struct javm_hash *image,
                                      struct javm_hash *instance, struct javm_error *err)
{
    struct javm_hash root_hash;
    struct javm_cap *root = javm_cnode_new();
    enum javm_status status = root != NULL ? JAVM_OK : JAVM_E_NOMEM;
    if (status == JAVM_OK)
        status = fill_slot(thread, root, 3, javm_yield_sender(&pause_key), err);
    if (status == JAVM_OK)
        status = fill_slot(thread, root, 4, javm_quota_handle(&quota_key), err);
    if (status == JAVM_OK)
        status = fill_slot(thread, root, 20, javm_gas_handle(&gas_key), err);
    if (status == JAVM_OK)
        status = publish(thread, javm_cap_retain(root), &root_hash, err);
    javm_cap_release(root);
    if (status != JAVM_OK)
        return status;
    const struct javm_instance fields = {.image_hash_chain = *image,
                                         .image_hash = *image,
                                         .root_cnode = javm_target_hash(&root_hash),
                                         .mem = javm_data_new_zero(0)};
    struct javm_cap *cap = fields.mem != NULL ? javm_instance_new(&fields) : NULL;
    if (cap == NULL)
        javm_cap_release(fields.mem);
    return publish(thread, cap, instance, err);
}

/* ---- running it ---------------------------------------------------------------------------- */

/* Off one machine, onto another. The hash names a value: javm_bundle_collect would make a file of
 * it for another process. The ledger is not part of it. */
static enum javm_status move(struct javm_vm *from, struct javm_vm *to,
                             struct javm_dir_thread *thread, struct javm_error *err)
{
    struct javm_hash hash;
    const enum javm_status status = javm_vm_detach_paused(from, thread, &hash, err);
    return status == JAVM_OK ? javm_vm_attach_paused(to, thread, &hash, err) : status;
}

static enum javm_status run(struct javm_vm *vms[2], struct javm_dir_thread *thread,
                            struct javm_call *call, struct ledger *ledger, struct javm_error *err)
{
    struct javm_call_result result;
    unsigned at = 0, top_ups = 0, moves = 0;
    enum javm_status status = javm_vm_invoke(vms[at], thread, call, &result, err);
    while (status == JAVM_OK && result.end == JAVM_END_PAUSED) {
        if (javm_key_compare(&result.yield_key, &JAVM_YK_OOG) == 0) {
            ledger->gas += TOP_UP;
            top_ups++;
        } else {
            status = move(vms[at], vms[1 - at], thread, err);
            at = 1 - at;
            moves++;
        }
        javm_call_result_clear(&result);
        if (status == JAVM_OK)
            status = javm_vm_call_resume(vms[at], thread, call, &result, err);
    }
    if (status != JAVM_OK)
        return status;
    if (result.end == JAVM_END_HALT)
        printf("value %" PRIu64 ", gas %" PRIu64 ", %u top-ups, %u moves, %" PRIu64
               " gas and %" PRIu64 " pages left\n",
               result.value, result.gas_used, top_ups, moves, ledger->gas, ledger->pages);
    else
        printf("%s, gas %" PRIu64 "\n", javm_fault_name(result.fault), result.gas_used);
    javm_call_result_clear(&result);
    return JAVM_OK;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: host IMAGE ENTRIES\n", stderr);
        return 2;
    }
    struct javm_error err = {.text = "out of memory"};
    struct ledger ledger = {.gas = TOP_UP, .pages = 100};
    struct javm_assist mine = assist;
    mine.context = &ledger;
    struct javm_vm_options options = {.engine = JAVM_ENGINE_INTERP, .assist = &mine};
    struct javm_directory *directory = NULL;
    struct javm_dir_thread *thread = NULL;
    struct javm_vm *vms[2] = {NULL, NULL};
    struct javm_hash image;
    struct javm_call call = {.args = {strtoull(argv[2], NULL, 0), 4}, .can_pause = true};

    enum javm_status status = javm_directory_create(1, 0, &directory, &err);
    if (status == JAVM_OK && (thread = javm_directory_join(directory)) == NULL)
        status = JAVM_E_NOMEM;
    if (status == JAVM_OK)
        status = javm_vm_create(&options, &vms[0], &err);
    if (javm_engine_available(JAVM_ENGINE_JIT))
        options.engine = JAVM_ENGINE_JIT;
    if (status == JAVM_OK)
        status = javm_vm_create(&options, &vms[1], &err);
    if (status == JAVM_OK)
        status = load_image(argv[1], thread, &image, &err);
    if (status == JAVM_OK)
        status = make_instance(thread, &image, &call.instance, &err);
    if (status == JAVM_OK)
        status = run(vms, thread, &call, &ledger, &err);
    if (status != JAVM_OK)
        fprintf(stderr, "host: %s\n", err.text);

    javm_vm_destroy(vms[0]);
    javm_vm_destroy(vms[1]);
    for (unsigned i = 0; i < ledger.file_count; i++)
        javm_cap_release(ledger.files[i]);
    if (thread != NULL)
        javm_directory_leave(thread);
    if (directory != NULL)
        javm_directory_destroy(directory);
    return status == JAVM_OK ? 0 : 1;
}
