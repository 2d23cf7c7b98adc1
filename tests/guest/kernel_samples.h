/* The guests of guest/kernel, ready to be invoked: instances with what they need in their slots,
 * and a table of one run of each for tests that do the same with all of them.
 *
 * Included in one .c file of each test, for the world `w` of kernel_support.h. */
#ifndef TESTS_GUEST_KERNEL_SAMPLES_H
#define TESTS_GUEST_KERNEL_SAMPLES_H

#include "tests/vm/kernel_support.h"
#include "tests/vm/prebuilt.h"

static const struct javm_key sample_key = {4, {'s', 'a', 'm', 'p'}}; /* no kernel's */

static inline struct javm_hash guest_image(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "kernel/%s", name);
    return prebuilt_image(w.dir, path);
}

static inline struct javm_hash guest_with(const char *name, const struct slot *slots, size_t count)
{
    const struct javm_hash image = guest_image(name);
    return publish_instance(w.dir, &image, slots, count);
}
#define GUEST(name, ...)                                 \
    guest_with(name, (const struct slot[]){__VA_ARGS__}, \
               sizeof((const struct slot[]){__VA_ARGS__}) / sizeof(struct slot))

static inline struct slot sender(uint64_t slot, const struct javm_key *key)
{
    return (struct slot){slot, handle(javm_yield_sender(key))};
}
static inline struct slot receiver(uint64_t slot, const struct javm_key *key)
{
    return (struct slot){slot, handle(javm_yield_receiver(key, 1))};
}

/* ---- instances -------------------------------------------------------------------------- */

static inline struct javm_hash new_store(void)
{
    return prebuilt(w.dir, "kernel/store");
}

static inline struct javm_hash new_worker(void)
{
    return prebuilt(w.dir, "kernel/worker");
}

static inline struct javm_hash new_orchestrator(void)
{
    return GUEST("orchestrator", receiver(2, &JAVM_YK_OOG), sender(3, &JAVM_YK_SET_GAS_METER),
                 sender(4, &JAVM_YK_MINT_GAS), {5, guest_image("worker")});
}

static inline struct javm_hash new_client(void)
{
    return GUEST("client", sender(3, &sample_key), {5, guest_image("worker")});
}

static inline struct javm_hash new_authority(void)
{
    return GUEST("authority", receiver(2, &sample_key), sender(3, &JAVM_YK_SET_GAS_METER),
                 sender(4, &JAVM_YK_MINT_GAS), sender(5, &JAVM_YK_SET_STORAGE_QUOTA),
                 sender(6, &JAVM_YK_MINT_QUOTA), sender(7, &JAVM_YK_MINT_YIELD), {8, new_client()});
}

#define SET_PAGES 40u
#define SET_WORDS (JAVM_PAGE_SIZE / sizeof(uint64_t))
/* Word i of a page of the data set; word 0 says which page is next. */
static inline uint64_t set_word(uint64_t page, uint64_t i)
{
    struct random random = {page * SET_WORDS + i};
    return i == 0 ? (page * 7 + 3) % SET_PAGES : random_u64(&random);
}

static inline struct javm_hash new_pager(void)
{
    uint64_t *words = malloc(SET_PAGES * JAVM_PAGE_SIZE);
    REQUIRE(words != NULL);
    for (uint64_t i = 0; i < SET_PAGES * SET_WORDS; i++)
        words[i] = set_word(i / SET_WORDS, i % SET_WORDS);
    const struct javm_hash set = publish(w.dir, javm_data_new(words, SET_PAGES * JAVM_PAGE_SIZE));
    free(words);
    return GUEST("pager", receiver(2, &sample_key), {5, set},
                 {8, GUEST("walker", sender(3, &sample_key))});
}

static inline struct javm_hash new_spawner(void)
{
    return GUEST("spawner", {3, guest_image("spawner")});
}

static inline struct javm_hash new_petitioner(void)
{
    return GUEST("petitioner", sender(3, &JAVM_YK_SET_GAS_METER));
}

static inline struct javm_hash new_interposer(void)
{
    return GUEST("interposer", receiver(2, &JAVM_YK_SET_GAS_METER),
                 sender(3, &JAVM_YK_SET_GAS_METER), {8, new_petitioner()});
}

static inline struct javm_hash new_stepper(void)
{
    return GUEST("stepper", sender(3, &sample_key));
}

static inline struct javm_hash new_keeper(void)
{
    return GUEST("keeper", receiver(2, &sample_key), {8, new_stepper()});
}

/* A keeper that keeps something. */
static inline struct javm_hash new_busy_keeper(void)
{
    const struct javm_hash idle = new_keeper();
    struct javm_call call = usual_call(&idle);
    struct javm_hash busy;
    call.args[0] = 60;
    call.args[1] = 25;
    invoke(&call);
    REQUIRE(result.end == JAVM_END_HALT && result.value == (UINT64_C(1) << 63 | 25));
    REQUIRE(javm_directory_put(w.dir, result.post_instance, &busy, NULL) == JAVM_OK);
    return busy;
}

static const struct javm_key journal_gas = {1, {'g'}}, journal_quota = {1, {'q'}};

static inline struct javm_hash new_journal(void)
{
    return GUEST("journal", sender(3, &sample_key), {4, handle(javm_quota_handle(&journal_quota))},
                 {20, handle(javm_gas_handle(&journal_gas))});
}

/* ---- a host ----------------------------------------------------------------------------- */

/* Meters, files and host call 64 of a host's own; each invocation finds the same. */
#define HOST_METERS 8
#define HOST_FILES  64
struct host {
    struct host_meters {
        struct javm_key keys[HOST_METERS];
        uint64_t values[HOST_METERS];
        uint32_t count;
    } gas, quota;
    struct javm_cap *files[HOST_FILES];
    uint32_t file_count;
    uint64_t notes, last_note;
};
static struct host host;
static uint64_t host_gas = 3000, host_refill = 2000; /* of the journal's meter */

static inline uint64_t *host_meter(struct host_meters *meters, const struct javm_key *key)
{
    uint32_t i = 0;
    while (i < meters->count && javm_key_compare(&meters->keys[i], key) != 0)
        i++;
    REQUIRE(i < HOST_METERS);
    if (i == meters->count) {
        meters->keys[meters->count++] = *key;
        meters->values[i] = 0;
    }
    return &meters->values[i];
}

static inline void host_clear(void)
{
    for (uint32_t i = 0; i < host.file_count; i++)
        javm_cap_release(host.files[i]);
    host = (struct host){.file_count = 0};
}

static inline void host_reset(void *context)
{
    (void)context;
    host_clear();
    *host_meter(&host.gas, &journal_gas) = host_gas;
    *host_meter(&host.quota, &journal_quota) = 100;
}

static inline enum javm_status host_gas_get(void *context, const struct javm_key *key,
                                            uint64_t *value)
{
    (void)context;
    *value = *host_meter(&host.gas, key);
    return JAVM_OK;
}
static inline enum javm_status host_gas_set(void *context, const struct javm_key *key,
                                            uint64_t value)
{
    (void)context;
    *host_meter(&host.gas, key) = value;
    return JAVM_OK;
}
static inline enum javm_status host_quota_get(void *context, const struct javm_key *key,
                                              uint64_t *value)
{
    (void)context;
    *value = *host_meter(&host.quota, key);
    return JAVM_OK;
}
static inline enum javm_status host_quota_set(void *context, const struct javm_key *key,
                                              uint64_t value)
{
    (void)context;
    *host_meter(&host.quota, key) = value;
    return JAVM_OK;
}

static inline enum javm_status host_file_save(void *context, const struct javm_cap *data,
                                              struct javm_key *name)
{
    (void)context;
    REQUIRE(host.file_count < HOST_FILES);
    host.files[host.file_count++] = javm_cap_retain((struct javm_cap *)(uintptr_t)data);
    *name = (struct javm_key){1, {(uint8_t)host.file_count}};
    return JAVM_OK;
}
static inline enum javm_status host_file_open(void *context, const struct javm_key *name,
                                              struct javm_cap **data)
{
    (void)context;
    const uint32_t number = name->bytes[0];
    *data = name->len == 1 && number != 0 && number <= host.file_count
                ? javm_cap_retain(host.files[number - 1])
                : NULL;
    return JAVM_OK;
}

static inline enum javm_status host_operation(void *context, struct javm_host_call *call)
{
    (void)context;
    call->trap = call->selector != 64;
    host.last_note = call->regs[7];
    call->regs[7] = ++host.notes;
    return JAVM_OK;
}

static const struct javm_assist hosted_assist = {.reset = host_reset,
                                                 .gas_get = host_gas_get,
                                                 .gas_set = host_gas_set,
                                                 .quota_get = host_quota_get,
                                                 .quota_set = host_quota_set,
                                                 .file_save = host_file_save,
                                                 .file_open = host_file_open,
                                                 .host_call = host_operation};
static const struct javm_vm_options hosted = {.assist = &hosted_assist};

/* How deep chains get. Each frame reserves 4 GiB of addresses, and the thread sanitizer leaves a
 * program less than two terabytes of them. */
#if defined(TEST_THREADS)
enum { DEEP = 60 };
#else
enum { DEEP = 1000 };
#endif

/* ---- one run of each -------------------------------------------------------------------- */

struct sample {
    const char *name;
    struct javm_hash (*make)(void);
    uint32_t endpoint;
    uint64_t args[4];
    const struct javm_vm_options *options;
    bool pauses; /* the host resumes whatever it yields, and tops up the journal's meter */
};
static const struct sample samples[] = {
    {.name = "store", .make = new_store, .args = {7, 8}},
    {.name = "worker", .make = new_worker, .args = {30}},
    {.name = "orchestrator", .make = new_orchestrator, .args = {20, 900, 500, 5000}},
    {.name = "authority", .make = new_authority, .args = {8000, 3, 2, 2500}},
    {.name = "authority, lots that are too small", .make = new_authority, .args = {900, 0, 0, 300}},
    {.name = "pager", .make = new_pager, .args = {5, 12}},
    {.name = "spawner", .make = new_spawner, .args = {6}},
    {.name = "interposer denies", .make = new_interposer, .args = {20, 0, 5, 10}},
    {.name = "interposer drops", .make = new_interposer, .args = {20, 1, 5, 10}},
    {.name = "interposer leaves", .make = new_interposer, .args = {20, 2, 5, 10}},
    {.name = "stepper", .make = new_stepper, .args = {60, 20, 9}, .pauses = true},
    {.name = "keeper", .make = new_keeper, .args = {60, 25, 9}},
    {.name = "busy keeper", .make = new_busy_keeper, .endpoint = 1},
    {.name = "journal", .make = new_journal, .args = {10, 4}, .options = &hosted, .pauses = true},
};

/* Invoke it, and resume it until it ends; `result` says how. The status of the last call. */
static inline enum javm_status run_sample(const struct sample *sample, struct javm_call *call)
{
    memcpy(call->args, sample->args, sizeof call->args);
    call->endpoint = sample->endpoint;
    call->can_pause = sample->pauses;
    struct javm_call resume = *call;
    resume.gas = 0; /* would be added */
    javm_call_result_clear(&result);
    enum javm_status status = javm_vm_invoke(w.vm, w.dir, call, &result, &err);
    while (status == JAVM_OK && result.end == JAVM_END_PAUSED) {
        if (javm_key_compare(&result.yield_key, &JAVM_YK_OOG) == 0) {
            if (sample->options != &hosted || host_refill == 0)
                return javm_vm_drop_paused(w.vm, &err);
            *host_meter(&host.gas, &journal_gas) += host_refill;
        }
        javm_call_result_clear(&result);
        status = javm_vm_call_resume(w.vm, w.dir, &resume, &result, &err);
    }
    return status;
}

/* Do something with every sample, in a world of its own, on each engine. */
#define EACH_SAMPLE(function)                                                \
    for (engine = JAVM_ENGINE_INTERP; engine <= JAVM_ENGINE_JIT; engine++) { \
        if (!javm_engine_available(engine))                                  \
            continue;                                                        \
        for (size_t i_ = 0; i_ < CODE(samples); i_++) {                      \
            kernel_open(samples[i_].options);                                \
            function(&samples[i_]);                                          \
            host_clear();                                                    \
            kernel_close();                                                  \
        }                                                                    \
    }

#endif
