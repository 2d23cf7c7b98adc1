/* perf's map of generated code.
 *
 * Would catch: blocks that are missing from it, lines of several threads that are mixed, code that
 * perf takes for a file's and never looks up; a map written through a link or a pipe that somebody
 * else laid there, appended to one of another process, or written beyond the limit of file sizes.
 */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/vm/jit_debug_guests.h"

static bool disk_is_full;

ssize_t __real_write(int file, const void *from, size_t len);
ssize_t __wrap_write(int file, const void *from, size_t len);

ssize_t __wrap_write(int file, const void *from, size_t len)
{
    return __real_write(file, from, disk_is_full ? len / 2 : len);
}

/* In a process of its own: its map is not begun yet. */
static void in_child(void (*check)(void))
{
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        check();
        _exit(0);
    }
    int status;
    REQUIRE(waitpid(child, &status, 0) == child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

/* ---- reading it ------------------------------------------------------------------------- */

struct line {
    uint64_t at, bytes;
    char name[64];
};

static struct line lines[200000];
static size_t line_count;

static const char *map_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/perf-%ld.map", (long)getpid());
    return path;
}

/* Every line has to be as perf wants it. */
static void read_map(void)
{
    char text[256], again[256];
    FILE *file = fopen(map_path(), "r");
    REQUIRE(file != NULL);
    line_count = 0;
    while (fgets(text, sizeof text, file) != NULL) {
        struct line *line = &lines[line_count++];
        unsigned long long at, bytes;
        REQUIRE(line_count < CODE(lines));
        REQUIRE(sscanf(text, "%llx %llx %63s", &at, &bytes, line->name) == 3);
        snprintf(again, sizeof again, "%llx %llx %s\n", at, bytes, line->name);
        REQUIRE(strcmp(text, again) == 0 && bytes != 0);
        line->at = at;
        line->bytes = bytes;
    }
    fclose(file);
}

static int by_address(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

struct wanted {
    const char *name;
    size_t blocks;
};

static void want_block(void *ctx, const struct javm_native_block *block)
{
    struct wanted *wanted = ctx;
    char name[64];
    snprintf(name, sizeof name, "pvm2:%s+0x%llx", wanted->name, (unsigned long long)block->pc);
    const struct line key = {.at = (uintptr_t)block->code};
    const struct line *line = bsearch(&key, lines, line_count, sizeof *lines, by_address);
    REQUIRE(line != NULL);
    REQUIRE(line->bytes == block->code_len && strcmp(line->name, name) == 0);
    wanted->blocks++;
}

/* Sorts the lines. */
static void check_map(struct javm_native *native, const char *name)
{
    struct wanted wanted = {.name = name};
    qsort(lines, line_count, sizeof *lines, by_address);
    javm_native_each(native, want_block, &wanted);
    REQUIRE(wanted.blocks > 3);
}

static const struct line *named(const char *name)
{
    for (size_t i = 0; i < line_count; i++)
        if (strcmp(lines[i].name, name) == 0)
            return &lines[i];
    return NULL;
}

static struct javm_jit *perf_jit(void)
{
    const struct javm_jit_options options = {.perf_map = true};
    struct javm_jit *jit;
    REQUIRE(javm_jit_create(&options, &jit, NULL) == JAVM_OK);
    return jit;
}

static void map_of_blocks_here(void)
{
    struct guest g;
    const struct javm_jit_options options = {.perf_map = true};
    const struct javm_hash name = {{0x01, 0xAB, 0x00, 0xFF, 0x77}};
    const struct javm_program_key key = {0};
    struct javm_native *native;
    guest_open(&g, &options);
    REQUIRE(javm_native_open(g.jit, &name, (const uint8_t *)g.code, GUEST_BYTES, &key, NULL,
                             &native, NULL) == JAVM_OK);
    guest_start(&g, GUEST_DEEP, 10, 10, 100000);
    guest_run(&g);
    /* The stubs work where they are now. */
    REQUIRE(g.m.exec.exit == JAVM_EXIT_HOST_CALL);
    read_map();
    REQUIRE(line_count > 8);
    for (size_t i = 1; i < line_count; i++) /* this native's regions follow one another */
        REQUIRE(lines[i].at >= lines[i - 1].at + lines[i - 1].bytes);
    REQUIRE(strcmp(lines[0].name, "javm_exits") == 0);
    REQUIRE(lines[0].at == (uintptr_t)g.jit->arena->executable);
    REQUIRE(strcmp(lines[1].name, "javm_enter") == 0);
    REQUIRE(lines[1].at == (uintptr_t)g.jit->arena->executable + g.jit->enter_stub);
    REQUIRE(strcmp(lines[2].name, "javm_return") == 0);
    check_map(g.m.exec.native, "anonymous");
    REQUIRE(javm_native_compile(native, NULL) == JAVM_OK);
    read_map();
    check_map(g.m.exec.native, "anonymous");
    check_map(native, "01ab00ff");
    javm_native_close(native);
    guest_close(&g);
    unlink(map_path());
    REQUIRE_NO_LEAKS();
}

Test(jit_perf_map, map_of_blocks)
{
    in_child(map_of_blocks_here);
}

/* perf takes memory of a file, also of a memfd, for a library and does not look into the map. */
static void memory_that_perf_looks_up_here(void)
{
    struct javm_jit *jit = perf_jit();
    char text[512];
    bool found = false;
    FILE *file = fopen("/proc/self/maps", "r");
    REQUIRE(file != NULL);
    while (fgets(text, sizeof text, file) != NULL) {
        unsigned long long from, to;
        char may[8], path[256] = "";
        REQUIRE(sscanf(text, "%llx-%llx %7s %*s %*s %*s %255s", &from, &to, may, path) >= 3);
        if ((uintptr_t)jit->arena->executable < from || (uintptr_t)jit->arena->executable >= to)
            continue;
        found = true;
        REQUIRE(strcmp(may, "r-xs") == 0);
        REQUIRE(strncmp(path, "/dev/zero", 9) == 0);
        REQUIRE(to - from >= jit->arena->bytes);
    }
    fclose(file);
    REQUIRE(found);
    javm_jit_destroy(jit);
    unlink(map_path());
}

Test(jit_perf_map, memory_that_perf_looks_up)
{
    in_child(memory_that_perf_looks_up_here);
}

/* ---- many writers ----------------------------------------------------------------------- */

#define THREADS 4u
#define NATIVES 8u /* of each thread */
#define CALLS   100u

struct writer {
    struct javm_jit *jit;
    uint32_t number;
    struct javm_native *natives[NATIVES];
    uint32_t code[CALLS * 2];
};

static void *write_lines(void *ctx)
{
    struct writer *w = ctx;
    const struct javm_program_key key = {0};
    for (uint32_t i = 0; i < CALLS; i++) { /* regions of one block */
        w->code[2 * i] = ADDI(10, 10, 1);
        w->code[2 * i + 1] = TRAP;
    }
    for (uint32_t i = 0; i < NATIVES; i++) {
        const struct javm_hash name = {{(uint8_t)w->number, (uint8_t)i}};
        REQUIRE(javm_native_open(w->jit, &name, (const uint8_t *)w->code, sizeof w->code, &key,
                                 NULL, &w->natives[i], NULL) == JAVM_OK);
        REQUIRE(javm_native_compile(w->natives[i], NULL) == JAVM_OK);
    }
    return NULL;
}

static void map_of_many_threads_and_arenas_here(void)
{
    static struct writer writers[THREADS];
    struct javm_jit *jits[2] = {perf_jit(), perf_jit()};
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        writers[i].jit = jits[i % 2];
        writers[i].number = i;
        REQUIRE(pthread_create(&threads[i], NULL, write_lines, &writers[i]) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    read_map();
    REQUIRE(line_count >= THREADS * NATIVES * CALLS + 6);
    for (uint32_t i = 0; i < THREADS; i++) {
        for (uint32_t j = 0; j < NATIVES; j++) {
            char name[16];
            snprintf(name, sizeof name, "%02x%02x0000", i, j);
            check_map(writers[i].natives[j], name);
            javm_native_close(writers[i].natives[j]);
        }
    }
    for (size_t i = 1; i < line_count; i++)
        REQUIRE(lines[i].at >= lines[i - 1].at + lines[i - 1].bytes);
    javm_jit_destroy(jits[0]);
    javm_jit_destroy(jits[1]);
    unlink(map_path());
    REQUIRE_NO_LEAKS();
}

Test(jit_perf_map, map_of_many_threads_and_arenas)
{
    in_child(map_of_many_threads_and_arenas_here);
}

/* ---- a map that cannot be written ------------------------------------------------------- */

/* Guests run all the same. */
static void run_with_map(void)
{
    struct guest g;
    const struct javm_jit_options options = {.perf_map = true};
    guest_open(&g, &options);
    guest_start(&g, GUEST_DEEP, 10, 10, 100000);
    guest_run(&g);
    REQUIRE(g.m.exec.exit == JAVM_EXIT_HOST_CALL);
    guest_close(&g);
}

static void through(int (*lay)(const char *, const char *))
{
    char victim[] = "/tmp/javm-victim-XXXXXX", text[8] = "";
    const int file = mkstemp(victim);
    REQUIRE(file >= 0 && write(file, "whole", 5) == 5);
    unlink(map_path());
    REQUIRE(lay(victim, map_path()) == 0);
    run_with_map();
    REQUIRE(pread(file, text, sizeof text, 0) == 5 && memcmp(text, "whole", 5) == 0);
    unlink(map_path());
    unlink(victim);
}

static void through_a_link(void)
{
    through(link);
}

static void through_a_symbolic_link(void)
{
    through(symlink);
}

static void through_a_pipe(void)
{
    unlink(map_path());
    REQUIRE(mkfifo(map_path(), 0600) == 0);
    run_with_map(); /* nobody reads it: it must not wait for one */
    unlink(map_path());
}

static void over_an_old_one(void)
{
    FILE *file = fopen(map_path(), "w");
    REQUIRE(file != NULL);
    for (unsigned i = 0; i < 1000; i++)
        fprintf(file, "%x 10 old\n", i * 16);
    fclose(file);
    run_with_map();
    read_map();
    REQUIRE(line_count > 8 && named("old") == NULL && named("javm_enter") != NULL);
    unlink(map_path());
}

static void that_others_cannot_write(void)
{
    struct stat is;
    umask(0);
    unlink(map_path());
    run_with_map();
    REQUIRE(stat(map_path(), &is) == 0 && (is.st_mode & 022) == 0);
    unlink(map_path());
}

static void to_the_limit(void)
{
    const struct rlimit limit = {150, 150};
    unlink(map_path());
    struct guest g;
    const struct javm_jit_options options = {.perf_map = true};
    guest_open(&g, &options);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0); /* SIGXFSZ would end us */
    guest_start(&g, GUEST_DEEP, 10, 10, 100000);
    guest_run(&g);
    REQUIRE(g.m.exec.exit == JAVM_EXIT_HOST_CALL);
    guest_close(&g);
    read_map(); /* whole lines */
    REQUIRE(line_count >= 3 && named("javm_enter") != NULL);
    unlink(map_path());
}

/* What follows half a line would be read as part of it. */
static void on_a_full_disk(void)
{
    struct stat full, after;
    unlink(map_path());
    run_with_map();
    disk_is_full = true;
    run_with_map();
    disk_is_full = false;
    REQUIRE(stat(map_path(), &full) == 0);
    run_with_map();
    REQUIRE(stat(map_path(), &after) == 0);
    REQUIRE(full.st_size != 0 && after.st_size == full.st_size);
    unlink(map_path());
}

static void of_a_child(void)
{
    run_with_map();
    read_map();
    const size_t own = line_count;
    in_child(run_with_map);
    read_map();
    REQUIRE(line_count == own); /* the child wrote its own */
    unlink(map_path());
}

Test(jit_perf_map, maps_that_cannot_be_written)
{
    in_child(through_a_link);
    in_child(through_a_symbolic_link);
    in_child(through_a_pipe);
    in_child(over_an_old_one);
    in_child(that_others_cannot_write);
    in_child(to_the_limit);
    in_child(on_a_full_disk);
    in_child(of_a_child);
}
