/* Shared by the tests of the cache directory: a directory for each test, stores on it, files by
 * hand. Included in one .c file of each test. */
#ifndef TESTS_VM_JIT_FILE_SUPPORT_H
#define TESTS_VM_JIT_FILE_SUPPORT_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/vm/jit_support.h"

#define DIGEST 32u
#define HEADER 128u

static uint8_t guest[1024];
static const struct javm_program_key plain_key;

static char cache_dir[64];

static inline void make_dir(void)
{
    strcpy(cache_dir, "/tmp/javm-jit-XXXXXX");
    REQUIRE(mkdtemp(cache_dir) != NULL);
    for (uint32_t i = 0; i < sizeof guest; i++)
        guest[i] = (uint8_t)(i * 7);
}

/* Files in the directory; removes them when asked. */
static inline unsigned files_in_dir(bool removed)
{
    unsigned count = 0;
    DIR *d = opendir(cache_dir);
    REQUIRE(d != NULL);
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        count++;
        if (removed && unlinkat(dirfd(d), entry->d_name, 0) != 0)
            REQUIRE(unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR) == 0);
    }
    closedir(d);
    return count;
}

static inline void remove_dir(void)
{
    files_in_dir(true);
    REQUIRE(rmdir(cache_dir) == 0);
}

static inline struct javm_jit *jit_with(uint64_t code_bytes)
{
    const struct javm_jit_options options = {.code_bytes = code_bytes, .cache_dir = cache_dir};
    struct javm_jit *jit;
    struct javm_error err;
    if (javm_jit_create(&options, &jit, &err) != JAVM_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return jit;
}

static inline struct javm_native *open_one(struct javm_jit *jit, uint32_t number)
{
    const struct javm_hash name = name_of(number);
    struct javm_native *native;
    REQUIRE(javm_native_open(jit, &name, guest, sizeof guest, &plain_key, NULL, &native, NULL) ==
            JAVM_OK);
    return native;
}

static inline void add(struct javm_native *native, const struct region_plan *plan)
{
    struct jit_buffer buffer = {.arena = native->jit->arena};
    REQUIRE(add_region(native, &buffer, plan));
    jit_buffer_close(&buffer);
}

static const struct region_plan plan_a = {
    .pc = 100, .step = 4, .blocks = 5, .sites = 3, .slots = 2, .value = 1000};
static const struct region_plan plan_b = {.pc = 200, .step = 2, .blocks = 4, .value = 2000};

/* A file of program `number` with the two regions. */
static inline void make_file(uint32_t number)
{
    struct javm_jit *jit = jit_with(4 * JIT_CHUNK_MIN);
    struct javm_native *native = open_one(jit, number);
    add(native, &plan_a);
    add(native, &plan_b);
    javm_native_close(native);
    REQUIRE(javm_jit_save(jit, NULL) == JAVM_OK);
    javm_jit_destroy(jit);
}

static inline struct javm_jit_stats stats_of(struct javm_jit *jit)
{
    struct javm_jit_stats stats;
    javm_jit_stats(jit, &stats);
    return stats;
}

static inline const char *path_of(uint32_t number)
{
    static char path[256];
    char hex[JAVM_HASH_TEXT];
    const struct javm_hash name = name_of(number);
    javm_hash_format(&name, hex);
    snprintf(path, sizeof path, "%s/%s-25-0.javmcode", cache_dir, hex + 2);
    return path;
}

static inline uint8_t *read_path(const char *path, size_t *len)
{
    static uint8_t bytes[1 << 16];
    FILE *file = fopen(path, "rb");
    REQUIRE(file != NULL);
    *len = fread(bytes, 1, sizeof bytes, file);
    REQUIRE(*len < sizeof bytes);
    fclose(file);
    return bytes;
}

static inline void write_path(const char *path, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");
    REQUIRE(file != NULL);
    REQUIRE(fchmod(fileno(file), 0600) == 0);
    REQUIRE(fwrite(bytes, 1, len, file) == len);
    fclose(file);
}

/* Make the checksum right again. */
static inline void repair(uint8_t *bytes, size_t len)
{
    const struct javm_bytes all = {bytes, len - DIGEST};
    const struct javm_hash digest = javm_hash_pieces(&all, 1);
    memcpy(bytes + all.len, digest.bytes, DIGEST);
}

static inline void regions_hold(const struct javm_native *native)
{
    for (const struct jit_region *r = native->regions; r != NULL; r = r->next) {
        const uint64_t room = native->jit->arena->bytes;
        REQUIRE(r->code_at % JIT_ALIGN == 0 && r->code_at >= JIT_STUB_BYTES);
        REQUIRE((uint64_t)r->code_at + r->code_len <= room && r->block_count != 0);
        REQUIRE(r->pc_first < r->pc_end && r->pc_end <= native->front.len);
        REQUIRE(r->stubs_at <= r->code_len);
        REQUIRE(r->slot_count == 0 || ((uint64_t)r->slots_at + r->slot_count * 16 <= r->code_len &&
                                       r->stubs_at + r->slot_count * 16 <= r->slots_at));
        for (uint32_t i = 0; i < r->block_count + r->site_count; i++) {
            const struct jit_site *site = &r->blocks[i];
            REQUIRE(site->native < r->code_len && site->pc % 2 == 0);
            REQUIRE(site->pc >= r->pc_first && site->pc < r->pc_end);
        }
    }
}

/* Open program `number`, whose file is there: 1 when it was used, 0 when it was refused. */
static inline bool accepted(uint32_t number)
{
    struct javm_jit *jit = jit_with(1);
    struct javm_native *native = open_one(jit, number);
    const struct javm_jit_stats stats = stats_of(jit);
    REQUIRE(stats.files_loaded + stats.files_refused == 1);
    REQUIRE((native->region_count != 0) == (stats.files_loaded == 1));
    regions_hold(native);
    javm_native_close(native);
    REQUIRE(javm_jit_save(jit, NULL) == JAVM_OK);
    REQUIRE(stats_of(jit).files_saved == 0); /* there is nothing new */
    javm_jit_destroy(jit);
    return stats.files_loaded == 1;
}

#endif
