/* Shared by the tests of cache/: small caps with a number inside, threads, a seeded generator. */
#ifndef TESTS_CACHE_SUPPORT_H
#define TESTS_CACHE_SUPPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "javm/directory.h"

/* For any thread, unlike Criterion's asserts. */
#define REQUIRE(what)                                                            \
    do {                                                                         \
        if (!(what)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #what); \
            abort();                                                             \
        }                                                                        \
    } while (0)

struct random {
    uint64_t state;
};

static inline uint64_t random_below(struct random *random, uint64_t limit)
{
    random->state += 0x9E3779B97F4A7C15u; /* splitmix64 */
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) % limit;
}

/* Criterion ignores the exit code of the process that a test runs in, and so the leak checker's
 * verdict; this makes a leak a failure. Call it when all is freed. Only the address sanitizer can
 * tell. */
#if defined(__SANITIZE_ADDRESS__)
#define TEST_LEAKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_LEAKS 1
#endif
#endif
#ifdef TEST_LEAKS
#include <sanitizer/lsan_interface.h>
#define REQUIRE_NO_LEAKS() REQUIRE(__lsan_do_recoverable_leak_check() == 0)
#else
#define REQUIRE_NO_LEAKS() ((void)0)
#endif

/* How much longer than normal the long tests run: the environment variable JAVM_STRESS. */
static inline unsigned stress_factor(void)
{
    const char *text = getenv("JAVM_STRESS");
    int factor = text != NULL ? atoi(text) : 1;
    return factor > 0 ? (unsigned)factor : 1;
}

/* A blob that costs little: a Type whose chain spells the number. */
static inline struct javm_cap *type_cap(uint64_t number)
{
    struct javm_hash chain = {{1}};
    memcpy(chain.bytes + 8, &number, sizeof number);
    struct javm_cap *cap = javm_type_new(&chain);
    REQUIRE(cap != NULL);
    return cap;
}

static inline uint64_t type_number(const struct javm_cap *type)
{
    uint64_t number;
    REQUIRE(javm_cap_kind(type) == JAVM_TYPE);
    memcpy(&number, javm_type_chain(type)->bytes + 8, sizeof number);
    return number;
}

static inline struct javm_hash type_hash(uint64_t number)
{
    struct javm_cap *cap = type_cap(number);
    struct javm_hash hash;
    REQUIRE(javm_cap_hash(cap, &hash) == JAVM_OK);
    javm_cap_release(cap);
    return hash;
}

/* A mutable value that costs little: a Data of so many zero pages. */
static inline struct javm_cap *value_cap(uint64_t number)
{
    struct javm_cap *cap = javm_data_new_zero(number);
    REQUIRE(cap != NULL);
    return cap;
}

static inline void cnode_put(struct javm_cap *cnode, uint64_t slot, struct javm_target target)
{
    struct javm_key key = javm_key_from_u64(slot);
    REQUIRE(javm_cnode_set(cnode, &key, &target) == JAVM_OK);
}

static inline struct javm_cap *cnode_cap(void)
{
    struct javm_cap *cap = javm_cnode_new();
    REQUIRE(cap != NULL);
    return cap;
}

static inline struct javm_target make_entry(struct javm_dir_thread *self, struct javm_cap *cap)
{
    struct javm_target ref;
    REQUIRE(javm_directory_put_instance(self, cap, &ref, NULL) == JAVM_OK);
    return ref;
}

static inline struct javm_directory *make_directory(unsigned workers, unsigned shards)
{
    struct javm_directory *dir;
    REQUIRE(javm_directory_create(workers, shards, &dir, NULL) == JAVM_OK);
    return dir;
}

static inline uint64_t live_entries(struct javm_dir_thread *self)
{
    struct javm_directory_stats stats;
    javm_directory_stats(self, &stats);
    return stats.instances;
}

static inline pthread_t start_thread(void *(*run)(void *arg), void *arg)
{
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, run, arg) == 0);
    return thread;
}

static inline void join_thread(pthread_t thread)
{
    REQUIRE(pthread_join(thread, NULL) == 0);
}

#endif
