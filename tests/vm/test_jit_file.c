/* The cache directory.
 *
 * The linker redirects the system calls that write to wrappers that can fail.
 *
 * Would catch: code that comes back changed, at the wrong place or for another key; a file or a
 * directory that others can write to and that is used; a file that is half written when its name
 * appears; a failure to write that is not heard of, or leaves a file behind; a program that is
 * written again for nothing. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/vm/jit_file_support.h"

/* ---- system calls that fail ------------------------------------------------------------- */

enum { CALL_OPEN, CALL_WRITE, CALL_RENAME, CALL_READ };
static _Thread_local int fail_call = -1;
static _Thread_local int fail_errno;
static _Thread_local size_t write_at_most; /* 0: no limit */

int __real_openat(int in, const char *name, int flags, ...);
ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __real_read(int fd, void *bytes, size_t len);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_openat(int in, const char *name, int flags, unsigned mode);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_read(int fd, void *bytes, size_t len);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);

static bool fails(int call)
{
    if (fail_call != call)
        return false;
    errno = fail_errno;
    return true;
}

int __wrap_openat(int in, const char *name, int flags, unsigned mode)
{
    return (flags & O_CREAT) && fails(CALL_OPEN) ? -1 : __real_openat(in, name, flags, mode);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    if (write_at_most != 0 && len > write_at_most)
        return __real_write(fd, bytes, write_at_most);
    return fails(CALL_WRITE) ? -1 : __real_write(fd, bytes, len);
}

ssize_t __wrap_read(int fd, void *bytes, size_t len)
{
    return fails(CALL_READ) ? -1 : __real_read(fd, bytes, len);
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return fails(CALL_RENAME) ? -1 : __real_renameat(from_dir, from, to_dir, to);
}

TestSuite(jit_file, .init = make_dir, .fini = remove_dir);

/* ---- there and back --------------------------------------------------------------------- */

Test(jit_file, regions_come_back)
{
    struct stat stat;
    make_file(1);
    cr_assert_eq(files_in_dir(false), 1);
    cr_assert_eq(lstat(path_of(1), &stat), 0);
    cr_assert_eq(stat.st_mode, (S_IFREG | 0600));
    struct javm_jit *jit = jit_with(0);
    struct javm_native *other = open_one(jit, 99), *native;
    add(other, &plan_b); /* so that the code comes to another place */
    native = open_one(jit, 1);
    cr_assert_eq(native->region_count, 2);
    for (uint32_t pc = 0; pc < sizeof guest; pc += 2) {
        uint32_t expected = 0;
        if (pc >= 100 && pc < 120 && pc % 4 == 0)
            expected = 1000 + (pc - 100) / 4;
        if (pc >= 200 && pc < 208)
            expected = 2000 + (pc - 200) / 2;
        cr_assert_eq(run_block(native, pc), expected, "pc %u", pc);
    }
    const struct jit_region *r = native->regions;
    if (r->pc_first != plan_a.pc)
        r = r->next;
    cr_assert(r->pc_first == 100 && r->pc_end == 120 && r->block_count == 5 && r->site_count == 3);
    cr_assert_eq(r->code_len, plan_bytes(&plan_a));
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(r->sites[i].native == i && r->sites[i].pc == 100);
    const uint8_t *code = jit->arena->executable + r->code_at;
    const struct jit_slot *slots = (const struct jit_slot *)(const void *)(code + r->slots_at);
    for (uint32_t i = 0; i < r->slot_count; i++) {
        cr_assert_eq(slots[i].native, (uintptr_t)code + r->stubs_at + i * (uint64_t)JIT_SLOT_STUB);
        cr_assert(slots[i].target == i * 3 && slots[i].pc == 100);
    }
    const struct javm_jit_stats stats = stats_of(jit);
    cr_assert(stats.files_loaded == 1 && stats.files_refused == 0 && stats.regions == 3);
    cr_assert_eq(stats.compiled_bytes, 8, "what is loaded was not compiled");
    javm_native_close(native);
    javm_native_close(other);
    javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
}

Test(jit_file, files_are_the_same_each_time)
{
    static uint8_t first[1 << 16];
    size_t len, again;
    make_file(1);
    memcpy(first, read_path(path_of(1), &len), sizeof first);
    cr_assert_eq(unlink(path_of(1)), 0);
    struct javm_jit *jit = jit_with(0); /* other addresses */
    struct javm_native *native = open_one(jit, 1);
    add(native, &plan_a);
    add(native, &plan_b);
    javm_native_close(native);
    javm_jit_destroy(jit);
    const uint8_t *second = read_path(path_of(1), &again);
    cr_assert_eq(len, again);
    cr_assert_eq(memcmp(first, second, len), 0);
}

Test(jit_file, written_when_something_is_new)
{
    static const struct region_plan plan_c = {.pc = 300, .step = 2, .blocks = 1, .value = 3000};
    make_file(1);
    struct stat before, after;
    cr_assert_eq(stat(path_of(1), &before), 0);
    cr_assert(accepted(1));
    cr_assert_eq(stat(path_of(1), &after), 0);
    cr_assert_eq(before.st_ino, after.st_ino, "not written again");
    struct javm_jit *jit = jit_with(0);
    struct javm_native *native = open_one(jit, 1);
    add(native, &plan_c);
    cr_assert_eq(javm_jit_save(jit, NULL), JAVM_OK);
    cr_assert_eq(stats_of(jit).files_saved, 0, "it is open");
    javm_native_close(native);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(javm_jit_save(jit, NULL), JAVM_OK);
        cr_assert_eq(stats_of(jit).files_saved, 1);
    }
    javm_jit_destroy(jit);
    jit = jit_with(0);
    native = open_one(jit, 1);
    cr_assert_eq(native->region_count, 3);
    cr_assert(run_block(native, 100) == 1000 && run_block(native, 300) == 3000);
    javm_native_close(native);
    javm_jit_destroy(jit);
    cr_assert_eq(files_in_dir(false), 1);
}

Test(jit_file, forgotten_programs_are_written_too)
{
    struct javm_jit *jit = jit_with(2 * JIT_CHUNK_MIN); /* one chunk, one program */
    for (uint32_t i = 1; i <= 5; i++) {
        struct javm_native *native = open_one(jit, i);
        const struct region_plan plan = {.step = 2, .blocks = 3, .value = i};
        add(native, &plan);
        javm_native_close(native);
    }
    cr_assert_eq(stats_of(jit).files_saved, 4);
    for (uint32_t i = 1; i <= 4; i++) {
        struct javm_native *native = open_one(jit, i);
        cr_assert_eq(run_block(native, 0), i);
        javm_native_close(native);
    }
    javm_jit_destroy(jit);
    cr_assert_eq(files_in_dir(false), 5);
    REQUIRE_NO_LEAKS();
}

Test(jit_file, small_programs_share_chunks)
{
    for (uint32_t i = 1; i <= 100; i++)
        make_file(i);
    struct javm_jit *jit = jit_with(0);
    for (uint32_t i = 1; i <= 100; i++)
        javm_native_close(open_one(jit, i));
    cr_assert_eq(stats_of(jit).files_loaded, 100);
    cr_assert_leq(jit_arena_used(jit->arena), 2 * JIT_CHUNK_MIN);
    javm_jit_destroy(jit);
}

Test(jit_file, what_does_not_fit_is_left_out)
{
    struct javm_jit *jit = jit_with(0);
    struct javm_native *native = open_one(jit, 1);
    const struct region_plan small = {.step = 2, .blocks = 3, .value = 7},
                             large = {.step = 2, .blocks = 8, .slots = 3000, .value = 8};
    add(native, &small);
    add(native, &large);
    javm_native_close(native);
    javm_jit_destroy(jit);
    jit = jit_with(2 * JIT_CHUNK_MIN); /* for the small one only */
    native = open_one(jit, 1);
    cr_assert_eq(native->region_count, 1);
    cr_assert_eq(run_block(native, 0), 7);
    cr_assert_eq(stats_of(jit).files_loaded, 1);
    javm_native_close(native);
    javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
}

Test(jit_file, programs_without_a_name_have_no_file)
{
    struct javm_jit *jit = jit_with(0);
    struct javm_native *native;
    cr_assert_eq(javm_native_open(jit, NULL, guest, sizeof guest, &plain_key, NULL, &native, NULL),
                 JAVM_OK);
    add(native, &plan_a);
    javm_native_close(native);
    javm_native_close(open_one(jit, 1)); /* and nothing was compiled for this one */
    javm_jit_destroy(jit);
    cr_assert_eq(files_in_dir(false), 0);
}

Test(jit_file, keys_have_files_of_their_own)
{
    static const struct javm_program_key keys[] = {
        {.footprint_pages = 0},     {.footprint_pages = 3000}, {.footprint_pages = 10000},
        {.footprint_pages = 70000}, {.cow_cost = 1},           {.cow_cost = UINT64_MAX}};
    const struct javm_hash name = name_of(1);
    for (unsigned round = 0; round < 2; round++) {
        struct javm_jit *jit = jit_with(0);
        for (uint32_t i = 0; i < 6; i++) {
            const struct region_plan plan = {.step = 2, .blocks = 1, .value = 10 + i};
            struct javm_native *native;
            cr_assert_eq(
                javm_native_open(jit, &name, guest, sizeof guest, &keys[i], NULL, &native, NULL),
                JAVM_OK);
            if (round == 0)
                add(native, &plan);
            cr_assert_eq(run_block(native, 0), 10 + i);
            javm_native_close(native);
        }
        javm_jit_destroy(jit);
        cr_assert_eq(files_in_dir(false), 6);
    }
}

/* ---- rights ----------------------------------------------------------------------------- */

Test(jit_file, files_that_others_can_write_are_refused)
{
    make_file(1);
    static const mode_t open_modes[] = {0620, 0602, 0666, 0622};
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(chmod(path_of(1), open_modes[i]), 0);
        cr_assert_not(accepted(1), "%o", open_modes[i]);
    }
    cr_assert_eq(chmod(path_of(1), 0644), 0);
    cr_assert(accepted(1), "others may read");
    if (geteuid() == 0) {
        cr_assert_eq(chown(path_of(1), 65534, 65534), 0);
        cr_assert_not(accepted(1));
    }
}

Test(jit_file, only_plain_files)
{
    char real[256];
    make_file(1);
    snprintf(real, sizeof real, "%s/real", cache_dir);
    cr_assert_eq(rename(path_of(1), real), 0);
    cr_assert_eq(symlink(real, path_of(1)), 0);
    cr_assert_not(accepted(1), "a link");
    cr_assert_eq(unlink(path_of(1)), 0);
    cr_assert_eq(mkfifo(path_of(1), 0600), 0);
    cr_assert_not(accepted(1), "a pipe");
    cr_assert_eq(unlink(path_of(1)), 0);
    cr_assert_eq(mkdir(path_of(1), 0700), 0);
    cr_assert_not(accepted(1), "a directory");
    cr_assert_eq(rmdir(path_of(1)), 0);
    const int fd = open(path_of(1), O_WRONLY | O_CREAT, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, (off_t)1 << 40), 0);
    close(fd);
    cr_assert_not(accepted(1), "a terabyte");
    cr_assert_eq(rename(real, path_of(1)), 0);
    cr_assert(accepted(1));
}

static void dir_refused(const char *path, const char *text)
{
    const struct javm_jit_options options = {.cache_dir = path};
    struct javm_jit *jit;
    struct javm_error err;
    cr_assert_eq(javm_jit_create(&options, &jit, &err), JAVM_E_IO, "%s", path);
    cr_assert(strstr(err.text, text) != NULL && strstr(err.text, path) != NULL, "%s", err.text);
}

Test(jit_file, the_directory)
{
    char path[128];
    struct stat stat;
    snprintf(path, sizeof path, "%s/none/none", cache_dir);
    dir_refused(path, strerror(ENOENT));
    snprintf(path, sizeof path, "%s/new", cache_dir);
    const struct javm_jit_options options = {.cache_dir = path};
    struct javm_jit *jit;
    for (unsigned i = 0; i < 2; i++) { /* made, then used again */
        cr_assert_eq(javm_jit_create(&options, &jit, NULL), JAVM_OK);
        javm_jit_destroy(jit);
        cr_assert_eq(lstat(path, &stat), 0);
        cr_assert_eq(stat.st_mode, (S_IFDIR | 0700));
    }
    cr_assert_eq(chmod(path, 0770), 0);
    dir_refused(path, "chmod go-w");
    cr_assert_eq(chmod(path, 01777), 0);
    dir_refused(path, "chmod go-w");
    cr_assert_eq(chmod(path, 0755), 0);
    cr_assert_eq(javm_jit_create(&options, &jit, NULL), JAVM_OK);
    javm_jit_destroy(jit);
    if (geteuid() == 0) {
        cr_assert_eq(chown(path, 65534, 65534), 0);
        dir_refused(path, "belongs to this user");
    }
    make_file(1);
    dir_refused(path_of(1), strerror(ENOTDIR));
    REQUIRE_NO_LEAKS();
}

/* ---- writing that fails ----------------------------------------------------------------- */

static void save_fails(int call, int with)
{
    struct javm_jit *jit = jit_with(0);
    struct javm_error err = {0};
    for (uint32_t i = 1; i <= 2; i++) {
        struct javm_native *native = open_one(jit, i);
        add(native, &plan_a);
        javm_native_close(native);
    }
    fail_call = call;
    fail_errno = with;
    cr_assert_eq(javm_jit_save(jit, &err), JAVM_E_IO);
    fail_call = -1;
    cr_assert_eq(err.status, JAVM_E_IO);
    cr_assert(strstr(err.text, strerror(with)) != NULL, "%s", err.text);
    cr_assert(strstr(err.text, strrchr(path_of(1), '/') + 1) != NULL, "%s", err.text);
    cr_assert(stats_of(jit).files_failed == 2 && stats_of(jit).files_saved == 0);
    cr_assert_eq(files_in_dir(false), 0, "nothing is left behind");
    cr_assert_eq(javm_jit_save(jit, &err), JAVM_OK, "said once");
    javm_jit_destroy(jit);
    cr_assert_eq(files_in_dir(false), 0, "and tried once");
    REQUIRE_NO_LEAKS();
}

Test(jit_file, failures_to_write_are_heard_of)
{
    save_fails(CALL_OPEN, EACCES);
    save_fails(CALL_WRITE, ENOSPC);
    save_fails(CALL_RENAME, EXDEV);
}

Test(jit_file, failures_of_forgotten_programs_are_kept)
{
    struct javm_jit *jit = jit_with(2 * JIT_CHUNK_MIN);
    struct javm_error err;
    fail_call = CALL_WRITE;
    fail_errno = EDQUOT;
    for (uint32_t i = 1; i <= 3; i++) {
        struct javm_native *native = open_one(jit, i);
        add(native, &plan_a);
        javm_native_close(native);
    }
    fail_call = -1;
    cr_assert_eq(stats_of(jit).files_failed, 2);
    cr_assert_eq(javm_jit_save(jit, &err), JAVM_E_IO);
    cr_assert(strstr(err.text, strrchr(path_of(1), '/') + 1) != NULL, "the first: %s", err.text);
    cr_assert_eq(stats_of(jit).files_saved, 1);
    javm_jit_destroy(jit);
}

/* The loader needs room, for which another program is forgotten, which cannot be written. */
Test(jit_file, a_failure_while_loading_does_not_block)
{
    make_file(1);
    struct javm_jit *jit = jit_with(2 * JIT_CHUNK_MIN);
    struct javm_native *native = open_one(jit, 2);
    add(native, &plan_a);
    javm_native_close(native);
    fail_call = CALL_WRITE;
    fail_errno = EIO;
    native = open_one(jit, 1);
    fail_call = -1;
    cr_assert_eq(native->region_count, 2);
    cr_assert(stats_of(jit).files_failed == 1 && stats_of(jit).programs == 1);
    javm_native_close(native);
    cr_assert_eq(javm_jit_save(jit, NULL), JAVM_E_IO);
    javm_jit_destroy(jit);
}

Test(jit_file, writes_in_pieces_and_beside_leftovers)
{
    char path[320];
    const char *name = strrchr(path_of(1), '/') + 1;
    for (unsigned i = 0; i < 300; i++) { /* of a process that had this number and was killed */
        snprintf(path, sizeof path, "%s/.%s.%ld.%u", cache_dir, name, (long)getpid(), i);
        write_path(path, "x", 1);
    }
    write_at_most = 7;
    make_file(1);
    write_at_most = 0;
    cr_assert(accepted(1));
    cr_assert_eq(files_in_dir(false), 301);
}

Test(jit_file, a_file_that_cannot_be_read_is_refused)
{
    make_file(1);
    fail_call = CALL_READ;
    fail_errno = EIO;
    cr_assert_not(accepted(1));
    fail_call = -1;
    cr_assert(accepted(1));
}

/* ---- threads ---------------------------------------------------------------------------- */

#define THREADS 4
#define NAMES   60u /* more than a store of four chunks keeps */

static void *work(void *ctx)
{
    struct javm_jit *jit = ctx;
    struct random random = {(uintptr_t)&random};
    struct jit_buffer buffer = {.arena = jit->arena};
    const unsigned rounds = 500 * stress_factor();
    for (unsigned round = 0; round < rounds; round++) {
        const uint32_t number = 1 + (uint32_t)random_below(&random, NAMES);
        const uint32_t pc = 64 * (uint32_t)random_below(&random, 8);
        const struct region_plan plan = {
            .pc = pc, .step = 2, .blocks = 30, .slots = 3, .value = number * 1000 + pc};
        struct javm_native *native = open_one(jit, number);
        pthread_mutex_lock(&native->lock);
        if (run_block(native, pc) == 0)
            (void)add_region(native, &buffer, &plan); /* full now and then */
        pthread_mutex_unlock(&native->lock);
        for (uint32_t at = 0; at < 512; at += 2) {
            const uint32_t value = run_block(native, at);
            REQUIRE(value == 0 || value == number * 1000 + (at & ~63u) + (at & 63) / 2);
        }
        javm_native_close(native);
        if (round % 64 == 0)
            REQUIRE(javm_jit_save(jit, NULL) == JAVM_OK);
    }
    jit_buffer_close(&buffer);
    return NULL;
}

/* Two stores, as for two NUMA nodes, on one directory; too small, so that programs are written and
 * read all the time. */
Test(jit_file, stores_share_a_directory)
{
    struct javm_jit *jits[2] = {jit_with(4 * JIT_CHUNK_MIN), jit_with(4 * JIT_CHUNK_MIN)};
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, work, jits[i % 2]) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    uint64_t loaded = 0;
    for (unsigned i = 0; i < 2; i++) {
        const struct javm_jit_stats stats = stats_of(jits[i]);
        cr_assert(stats.files_refused == 0 && stats.files_failed == 0);
        loaded += stats.files_loaded;
        javm_jit_destroy(jits[i]);
    }
    cr_assert_gt(loaded, 0);
    unsigned there = 0;
    for (uint32_t i = 1; i <= NAMES; i++) {
        if (access(path_of(i), F_OK) == 0) {
            cr_assert(accepted(i));
            there++;
        }
    }
    cr_assert_gt(there, NAMES / 2);
    cr_assert_eq(files_in_dir(false), there, "no file beside");
    REQUIRE_NO_LEAKS();
}
