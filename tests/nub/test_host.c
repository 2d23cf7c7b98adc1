/* The handle, on all backends: calls, jobs in lanes, and executors that die.
 *
 * Would catch: a result that differs between the backends and a plain Vm; an error response taken
 * for an answer; a job that is lost, answered twice or mixed up with another; caps that are missing
 * after an executor was replaced; a handle that hangs when its executor dies; a leak. */
#include <pthread.h>

#include "tests/nub/world.h"

static struct javm_nub *open_nub(enum javm_nub_backend backend, unsigned workers, unsigned lanes)
{
    const struct javm_nub_options options = {
        .engine = JAVM_ENGINE_JIT, .workers = workers, .lanes = lanes};
    struct javm_nub *nub = NULL;
    struct javm_error err = {.text = ""};
    cr_assert_eq(javm_nub_open(backend, &options, &nub, &err), JAVM_OK, "%s", err.text);
    return nub;
}

static bool has_kvm(void)
{
    return access("/dev/kvm", R_OK | W_OK) == 0;
}

#define FOR_BACKENDS(backend)                             \
    for (enum javm_nub_backend backend = JAVM_NUB_THREAD; \
         backend <= (has_kvm() ? JAVM_NUB_KVM : JAVM_NUB_PROCESS); backend++)

/* Where this one is skipped, all others do without it. */
Test(nub_host, kvm)
{
    if (!has_kvm())
        cr_skip_test("/dev/kvm is missing or not ours to open");
    javm_nub_close(open_nub(JAVM_NUB_KVM, 2, 1));
    REQUIRE_NO_LEAKS();
}

Test(nub_host, small_functions)
{
    FOR_BACKENDS(backend)
    {
        struct javm_nub *nub = open_nub(backend, 1, 1);
        struct javm_error err;
        struct javm_nub_boot_info boot;
        uint8_t *response;
        size_t len;
        uint64_t value;
        cr_assert_eq(javm_nub_call(nub, JAVM_NUB_SMOKE, NULL, 0, &response, &len, &err), JAVM_OK);
        cr_assert_eq(len, 8);
        memcpy(&value, response, 8);
        cr_expect_eq(value, 42);
        free(response);
        cr_assert_eq(javm_nub_call(nub, JAVM_NUB_GET_BOOT_INFO, NULL, 0, &response, &len, &err),
                     JAVM_OK);
        cr_assert_eq(len, sizeof boot);
        memcpy(&boot, response, sizeof boot);
        cr_expect_eq(boot.magic, JAVM_NUB_MAGIC);
        cr_expect_eq(boot.directory_type_id, JAVM_NUB_DIRECTORY_TYPE_ID);
        free(response);
        static const uint32_t NONE[] = {1, 8, 9, UINT32_MAX};
        for (unsigned i = 0; i < 4; i++) {
            cr_expect_eq(javm_nub_call(nub, NONE[i], NULL, 0, &response, &len, &err),
                         JAVM_E_UNSUPPORTED);
            cr_expect_str_eq(err.text, javm_nub_error_text(JAVM_NUB_E_NO_FUNCTION));
        }
        cr_expect_eq(javm_nub_call(nub, JAVM_NUB_INVOKE_CACHED, "x", 1, &response, &len, &err),
                     JAVM_E_UNSUPPORTED);
        cr_expect_str_eq(err.text, javm_nub_error_text(JAVM_NUB_E_BAD_PAYLOAD));
        const uint32_t lane = 0; /* the executor works it itself */
        cr_expect_eq(javm_nub_call(nub, JAVM_NUB_INVOKE_WORKER, &lane, 4, &response, &len, &err),
                     JAVM_E_UNSUPPORTED);
        cr_expect_str_eq(err.text, javm_nub_error_text(JAVM_NUB_E_NO_LANE));
        javm_nub_close(nub);
    }
    REQUIRE_NO_LEAKS();
}

Test(nub_host, bad_caps_change_nothing)
{
    FOR_BACKENDS(backend)
    {
        struct world world;
        struct javm_nub *nub = open_nub(backend, 1, 1);
        struct javm_nub_heap_stats before, after;
        struct javm_error err;
        uint8_t *response, junk[240] = {5};
        size_t len;
        world_open(&world);
        cr_assert_eq(javm_nub_heap_stats(nub, &before, &err), JAVM_OK);
        cr_expect_eq(javm_nub_put_cap(nub, world.image, NULL, &err), JAVM_E_MISSING);
        junk[8] = 9;
        cr_expect_eq(javm_nub_call(nub, JAVM_NUB_PUT_CAP, junk, sizeof junk, &response, &len, &err),
                     JAVM_E_FORMAT);
        cr_expect_eq(err.where, 8);
        cr_assert_eq(javm_nub_heap_stats(nub, &after, &err), JAVM_OK);
        cr_expect_eq(after.allocated_bytes, before.allocated_bytes);
        cr_expect_eq(after.allocations, before.allocations);
        javm_nub_close(nub);
        world_close(&world);
    }
    REQUIRE_NO_LEAKS();
}

/* What a plain Vm says. */
static struct javm_nub_result expected(const struct world *world,
                                       const struct javm_nub_invoke *packet)
{
    const struct javm_vm_options options = {.engine = JAVM_ENGINE_INTERP};
    struct javm_nub_result result = {.exit_reason = JAVM_NUB_EXIT_TRAP};
    struct javm_call_result ended = {0};
    struct javm_vm *vm;
    REQUIRE(javm_vm_create(&options, &vm, NULL) == JAVM_OK);
    REQUIRE(javm_vm_invoke_cached(vm, world->dir, &world->hash, packet->endpoint_idx, packet->args,
                                  packet->initial_gas, &ended, NULL) == JAVM_OK);
    if (ended.end == JAVM_END_HALT) {
        result.exit_reason = JAVM_NUB_EXIT_HALT;
        result.return_value = ended.value;
    } else if (ended.end == JAVM_END_HOST_CALL) {
        result.exit_reason = JAVM_NUB_EXIT_HOST_CALL;
        result.exit_arg = (uint32_t)ended.selector;
    } else if (ended.fault == JAVM_FAULT_PANIC) {
        result.exit_reason = JAVM_NUB_EXIT_PANIC;
    } else if (ended.fault == JAVM_FAULT_OUT_OF_GAS) {
        result.exit_reason = JAVM_NUB_EXIT_OUT_OF_GAS;
    } else if (ended.fault == JAVM_FAULT_PAGE_FAULT) {
        result.exit_reason = JAVM_NUB_EXIT_PAGE_FAULT;
        result.exit_arg = (uint32_t)ended.fault_addr;
    } else {
        result.exit_arg = (uint32_t)ended.fault;
    }
    result.gas_remaining = packet->initial_gas - ended.gas_used;
    if (ended.slot0 != NULL)
        javm_data_read(ended.slot0, 0, result.scratchpad_head, sizeof result.scratchpad_head);
    javm_call_result_clear(&ended);
    javm_vm_destroy(vm);
    return result;
}

Test(nub_host, same_results)
{
    FOR_BACKENDS(backend)
    {
        struct world world;
        struct javm_nub *nub = open_nub(backend, 1, 1);
        struct javm_error err = {.text = ""};
        world_open(&world);
        world_publish(&world, nub);
        for (uint32_t endpoint = 0; endpoint < DEMO_ENDPOINTS; endpoint++) {
            const struct javm_nub_invoke packet = packet_of(&world, endpoint, 20, 22);
            const struct javm_nub_result wanted = expected(&world, &packet);
            struct javm_nub_result got;
            cr_assert_eq(javm_nub_invoke_cached(nub, &packet, &got, &err), JAVM_OK, "%s", err.text);
            cr_expect_arr_eq((const uint8_t *)&got, (const uint8_t *)&wanted, sizeof got,
                             "endpoint %u", endpoint);
            cr_assert_eq(javm_nub_evict_jit(nub, &err), JAVM_OK);
        }
        struct javm_nub_result none;
        struct javm_nub_invoke packet = packet_of(&world, 99, 0, 0);
        cr_expect_eq(javm_nub_invoke_cached(nub, &packet, &none, &err), JAVM_E_RANGE);
        packet.instance_hash[0] ^= 1;
        cr_expect_eq(javm_nub_invoke_cached(nub, &packet, &none, &err), JAVM_E_MISSING);
        javm_nub_close(nub);
        world_close(&world);
    }
    REQUIRE_NO_LEAKS();
}

/* Bytes from the wire become what DEMO_SLOT finds in its mapping. */
Test(nub_host, overlays)
{
    FOR_BACKENDS(backend)
    {
        struct world world;
        struct javm_nub *nub = open_nub(backend, 1, 1);
        struct javm_error err = {.text = ""};
        struct javm_nub_result result;
        uint8_t *bytes, *response;
        size_t len, got;
        world_open(&world);
        world_publish(&world, nub);
        cr_assert_eq(javm_nub_encode_cap(world.instance, &bytes, &len, &err), JAVM_OK);
        const size_t root = 24, all = root + JAVM_NUB_WIRE_ROOT;
        uint8_t *made = calloc(1, all);
        memcpy(made + root, bytes + len - JAVM_NUB_WIRE_ROOT, JAVM_NUB_WIRE_ROOT);
        uint32_t overlay[3] = {0x10010000, (uint32_t)-12, 8}, vec[2] = {(uint32_t)-116, 1};
        memcpy(made, "\x2a\0\0\0\0\0\0\1", 8);
        memcpy(made + 8, overlay, sizeof overlay);
        memcpy(made + root + 100, vec, sizeof vec);
        cr_assert_eq(javm_nub_call(nub, JAVM_NUB_PUT_CAP, made, all, &response, &got, &err),
                     JAVM_OK, "%s", err.text);
        cr_assert_eq(got, 32);
        struct javm_nub_invoke packet = packet_of(&world, DEMO_SLOT, 0, 0);
        memcpy(packet.instance_hash, response, 32);
        free(response);
        cr_assert_eq(javm_nub_invoke_cached(nub, &packet, &result, &err), JAVM_OK, "%s", err.text);
        cr_expect_eq(result.return_value, 0x010000000000002a);
        overlay[0] = 0x10011000; /* no mapping starts there */
        memcpy(made + 8, overlay, sizeof overlay);
        struct javm_nub_heap_stats before, after;
        cr_assert_eq(javm_nub_heap_stats(nub, &before, &err), JAVM_OK);
        cr_expect_eq(javm_nub_call(nub, JAVM_NUB_PUT_CAP, made, all, &response, &got, &err),
                     JAVM_E_FORMAT);
        cr_assert_eq(javm_nub_heap_stats(nub, &after, &err), JAVM_OK);
        cr_expect_eq(after.allocations, before.allocations);
        free(made);
        free(bytes);
        javm_nub_close(nub);
        world_close(&world);
    }
    REQUIRE_NO_LEAKS();
}

/* Many in flight: each answered once, with its own result. */
Test(nub_host, many_in_flight)
{
    FOR_BACKENDS(backend)
    {
        struct world world;
        struct javm_nub *nub = open_nub(backend, 2, 8);
        struct javm_error err = {.text = ""};
        struct javm_nub_done done;
        uint64_t next = 0, ended = 0;
        enum { JOBS = 5000 };
        static uint8_t seen[JOBS];
        memset(seen, 0, sizeof seen);
        world_open(&world);
        world_publish(&world, nub);
        while (ended < JOBS) {
            const struct javm_nub_invoke packet = packet_of(&world, DEMO_ADD, next, 1000);
            if (next < JOBS && javm_nub_submit(nub, next, &packet, &err) == JAVM_OK) {
                next++;
                continue;
            }
            cr_assert(next == JOBS || err.status == JAVM_E_LIMIT, "%s", err.text);
            cr_assert_eq(javm_nub_poll(nub, true, &done, &err), JAVM_OK, "%s", err.text);
            cr_assert(done.job_id < JOBS && !done.crashed && seen[done.job_id]++ == 0);
            cr_assert_eq(done.result.return_value, done.job_id + 1000);
            ended++;
        }
        cr_expect_eq(javm_nub_poll(nub, true, &done, &err), JAVM_E_MISSING);
        javm_nub_close(nub);
        world_close(&world);
    }
    REQUIRE_NO_LEAKS();
}

/* Executors are killed all the time: every job ends once, as crashed or with its result, and of
 * each dead one no more than its lanes are lost. */
Test(nub_host, killed)
{
    enum { JOBS = 3000, LANES = 4, WORKERS = 2 };
    struct world world;
    struct javm_nub *nub = open_nub(JAVM_NUB_PROCESS, WORKERS, LANES);
    struct javm_error err = {.text = ""};
    struct javm_nub_done done;
    uint64_t next = 0, ended = 0, crashed = 0, kills = 0;
    static uint8_t seen[JOBS];
    world_open(&world);
    world_publish(&world, nub);
    while (ended < JOBS) {
        const struct javm_nub_invoke packet = packet_of(&world, DEMO_ADD, next, 7);
        if (next < JOBS && javm_nub_submit(nub, next, &packet, &err) == JAVM_OK) {
            if (next++ % 100 == 50) {
                pid_t pids[WORKERS];
                const unsigned found = grandchildren(pids, WORKERS);
                if (found > 0 && kill(pids[next % found], SIGKILL) == 0)
                    kills++;
            }
            continue;
        }
        cr_assert_eq(javm_nub_poll(nub, true, &done, &err), JAVM_OK, "%s", err.text);
        cr_assert(done.job_id < JOBS && seen[done.job_id]++ == 0);
        if (done.crashed)
            crashed++;
        else
            cr_assert_eq(done.result.return_value, done.job_id + 7);
        ended++;
    }
    cr_expect_gt(kills, 10);
    cr_expect_leq(crashed, kills * LANES);
    cr_expect_leq(javm_nub_replaced(nub), kills);
    struct javm_nub_result result;
    const struct javm_nub_invoke packet = packet_of(&world, DEMO_ADD, 1, 2);
    cr_assert_eq(javm_nub_invoke_cached(nub, &packet, &result, &err), JAVM_OK, "%s", err.text);
    cr_expect_eq(result.return_value, 3);
    javm_nub_close(nub);
    world_close(&world);
    pid_t left;
    cr_expect_eq(grandchildren(&left, 1), 0);
    REQUIRE_NO_LEAKS();
}

static uint8_t *archive(struct javm_cap *cap, size_t *len)
{
    uint8_t *bytes = NULL;
    cr_assert_eq(javm_nub_encode_cap(cap, &bytes, len, NULL), JAVM_OK);
    return bytes;
}

/* Archived caps stay, as caps do, at each worker and when it is replaced. */
Test(nub_host, archived_caps_stay)
{
    struct world world;
    struct javm_nub *nub = open_nub(JAVM_NUB_PROCESS, 2, 1);
    struct javm_error err = {.text = ""};
    struct javm_nub_done done;
    struct javm_hash hash;
    world_open(&world);
    struct javm_cap *const caps[] = {world.pinned, world.image, world.cnode, world.instance};
    uint8_t *bytes[4];
    for (unsigned i = 0; i < 4; i++) {
        size_t len;
        bytes[i] = archive(caps[i], &len);
        cr_expect_eq(javm_nub_put_archived(nub, bytes[i], len - 1, &hash, &err), JAVM_E_FORMAT);
        cr_assert_eq(javm_nub_put_archived(nub, bytes[i], len, &hash, &err), JAVM_OK, "%s",
                     err.text);
    }
    cr_expect(javm_hash_equal(&hash, &world.hash));
    for (unsigned round = 0; round < 2; round++) {
        const struct javm_nub_invoke packet = packet_of(&world, DEMO_ADD, 4, 5);
        for (uint64_t i = 0; i < 2; i++)
            cr_assert_eq(javm_nub_submit(nub, i, &packet, &err), JAVM_OK, "%s", err.text);
        for (uint64_t i = 0; i < 2; i++) {
            cr_assert_eq(javm_nub_poll(nub, true, &done, &err), JAVM_OK, "%s", err.text);
            if (done.crashed) { /* sent before anybody saw that its worker was dying */
                cr_assert_eq(round, 1);
                cr_assert_eq(javm_nub_submit(nub, done.job_id, &packet, &err), JAVM_OK);
                i--;
                continue;
            }
            cr_expect_eq(done.result.return_value, 9, "worker %u", (unsigned)done.job_id);
        }
        pid_t pids[2];
        while (grandchildren(pids, 2) > 0)
            kill(pids[0], SIGKILL);
    }
    cr_expect_eq(javm_nub_replaced(nub), 2);
    javm_nub_close(nub);
    for (unsigned i = 0; i < 4; i++)
        free(bytes[i]);
    world_close(&world);
    REQUIRE_NO_LEAKS();
}

static void *wake(void *nub)
{
    javm_nub_wake(nub);
    return NULL;
}

/* While a job runs that never ends: each wake ends one wait, whether it came before or in it. */
Test(nub_host, woken)
{
    struct world world;
    struct javm_nub *nub = open_nub(JAVM_NUB_PROCESS, 1, 1);
    struct javm_error err = {.text = ""};
    struct javm_nub_done done;
    pthread_t thread;
    world_open(&world);
    world_publish(&world, nub);
    struct javm_nub_invoke packet = packet_of(&world, DEMO_FOREVER, 0, 0);
    packet.initial_gas = UINT64_MAX;
    cr_assert_eq(javm_nub_submit(nub, 1, &packet, &err), JAVM_OK, "%s", err.text);
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(pthread_create(&thread, NULL, wake, nub), 0);
        cr_assert_eq(javm_nub_poll(nub, true, &done, &err), JAVM_E_MISSING);
        pthread_join(thread, NULL);
    }
    javm_nub_close(nub);
    world_close(&world);
    REQUIRE_NO_LEAKS();
}

/* A job that never ends costs those of its worker, as a call does. */
Test(nub_host, watchdog)
{
    const struct javm_nub_options options = {
        .engine = JAVM_ENGINE_INTERP, .workers = 2, .lanes = 2, .watchdog_ns = 3000000000};
    struct world world;
    struct javm_nub *nub = NULL;
    struct javm_error err = {.text = ""};
    struct javm_nub_done done;
    struct javm_nub_result result;
    world_open(&world);
    cr_assert_eq(javm_nub_open(JAVM_NUB_PROCESS, &options, &nub, &err), JAVM_OK, "%s", err.text);
    world_publish(&world, nub);
    struct javm_nub_invoke packet = packet_of(&world, DEMO_FOREVER, 0, 0);
    packet.initial_gas = UINT64_MAX;
    cr_assert_eq(javm_nub_submit(nub, 1, &packet, &err), JAVM_OK, "%s", err.text);
    cr_assert_eq(javm_nub_poll(nub, true, &done, &err), JAVM_OK, "%s", err.text);
    cr_expect(done.job_id == 1 && done.crashed);
    cr_expect_eq(javm_nub_invoke_cached(nub, &packet, &result, &err), JAVM_E_CRASHED);
    const struct javm_nub_invoke sum = packet_of(&world, DEMO_ADD, 1, 2);
    for (uint64_t i = 0; i < 4; i++)
        cr_assert_eq(javm_nub_submit(nub, i, &sum, &err), JAVM_OK, "%s", err.text);
    for (uint64_t i = 0; i < 4; i++)
        cr_assert(javm_nub_poll(nub, true, &done, &err) == JAVM_OK && !done.crashed);
    javm_nub_close(nub);
    world_close(&world);
    REQUIRE_NO_LEAKS();
}

Test(nub_host, refused)
{
    struct javm_nub *nub = NULL;
    struct javm_error err;
    cr_expect_eq(javm_nub_open((enum javm_nub_backend)3, NULL, &nub, &err), JAVM_E_RANGE);
    const struct javm_nub_options many = {.workers = 100000};
    cr_expect_eq(javm_nub_open(JAVM_NUB_THREAD, &many, &nub, &err), JAVM_E_RANGE);
    cr_expect_null(nub);
    javm_nub_close(NULL);
}
