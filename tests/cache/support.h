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
#include "tests/require.h"

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
