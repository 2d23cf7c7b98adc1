/* The cache directory: a file per name with all regions of its native. Numbers are in the order of
 * the processor that wrote them, which is the only kind that could run the code.
 *
 *   file_header, then for each region: file_region, blocks, sites, code; then the BLAKE2b-256 of
 * all bytes before.
 *
 * See jit_store.h for what is trusted. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "javm/version.h"
#include "vm/jit_store.h"

#define FILE_MAX (UINT64_C(512) << 20)

struct file_header {
    char magic[8];
    uint32_t version, features;
    char library[16];
    struct javm_hash name;
    uint32_t memory_cycles, region_count;
    uint64_t cow_cost, code_len, file_len;
    struct javm_hash code; /* of the guest's code, and of what PVM has beside it */
};
_Static_assert(sizeof(struct file_header) == 128, "no padding that would be written");

struct file_region {
    uint32_t code_len, stubs_at, slots_at, slot_count, pc_first, pc_end, block_count, site_count,
        entry_count;
};

static const char file_magic[8] = "JAVMCODE";

#define NAME_ROOM 160
static void file_name(const struct jit_entry *entry, char name[NAME_ROOM])
{
    char hex[2 * JAVM_HASH_BYTES + 1];
    sodium_bin2hex(hex, sizeof hex, entry->name.bytes, JAVM_HASH_BYTES);
    snprintf(name, NAME_ROOM, "%s-%u-%llu.javmcode", hex, entry->memory_cycles,
             (unsigned long long)entry->cow_cost);
}

/* What the file of this entry has to begin with; region_count and file_len are left. */
static struct file_header header_of(const struct jit_entry *entry)
{
    const struct javm_native *native = entry->native;
    struct file_header header = {.version = JIT_VERSION,
                                 .features = native->jit->features,
                                 .library = JAVM_VERSION,
                                 .name = entry->name,
                                 .memory_cycles = entry->memory_cycles,
                                 .cow_cost = entry->cow_cost,
                                 .code_len = native->front.len};
    const struct javm_program_key *key = &native->front.key;
    const uint32_t pvm[] = {(uint32_t)key->pvm, key->features, key->jump_count};
    const struct javm_bytes code[] = {
        {native->front.code, native->front.len},
        {(const uint8_t *)pvm, sizeof pvm},
        {key->bitmask, (native->front.len + 7) / 8},
        {(const uint8_t *)key->jump_table, key->jump_count * sizeof *key->jump_table}};
    memcpy(header.magic, file_magic, sizeof header.magic);
    header.code = javm_hash_pieces(code, key->pvm == JAVM_PVM_NONE ? 1
                                         : key->jump_count == 0    ? 3
                                                                   : 4);
    return header;
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed); /* relaxed: statistics */
}

/* ---- the directory ---------------------------------------------------------------------- */

/* May somebody else have written it? */
static bool is_private(const struct stat *stat)
{
    return stat->st_uid == geteuid() && (stat->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static enum javm_status open_dir(const char *path, int *dir, struct javm_error *err)
{
    struct stat stat;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: cannot be created: %s", path,
                         strerror(errno));
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: %s", path, strerror(errno));
    if (fstat(fd, &stat) != 0 || !is_private(&stat)) {
        close(fd);
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE,
                         "%s: a cache of native code has to be a directory that belongs to this "
                         "user and that nobody else can write to (chmod go-w)",
                         path);
    }
    *dir = fd;
    return JAVM_OK;
}

enum javm_status jit_files_open(struct jit_files *files, struct jit_arena *arena, const char *path,
                                struct javm_error *err)
{
    files->dir = -1;
    if (path != NULL) {
        enum javm_status status = open_dir(path, &files->dir, err);
        if (status != JAVM_OK)
            return status;
    }
    files->load.arena = arena;
    pthread_mutex_init(&files->load_lock, NULL);
    pthread_mutex_init(&files->error_lock, NULL);
    return JAVM_OK;
}

void jit_files_close(struct jit_files *files)
{
    jit_buffer_close(&files->load);
    if (files->dir >= 0)
        close(files->dir);
    pthread_mutex_destroy(&files->load_lock);
    pthread_mutex_destroy(&files->error_lock);
}

enum javm_status jit_files_error(struct jit_files *files, struct javm_error *err)
{
    pthread_mutex_lock(&files->error_lock);
    const enum javm_status status = files->first_error.status;
    if (status != JAVM_OK && err != NULL)
        *err = files->first_error;
    files->first_error.status = JAVM_OK;
    pthread_mutex_unlock(&files->error_lock);
    return status;
}

/* ---- reading ---------------------------------------------------------------------------- */

struct reader {
    const uint8_t *bytes;
    uint64_t at, len;
};

/* The next `len` bytes, or NULL when there are not so many. */
static const uint8_t *take(struct reader *reader, uint64_t len)
{
    if (len > reader->len - reader->at)
        return NULL;
    reader->at += len;
    return reader->bytes + reader->at - len;
}

/* Ascending in the region's code, and about guest code that it has. */
static bool sites_fit(const struct jit_site *sites, uint32_t count,
                      const struct file_region *region, const struct front *guest)
{
    for (uint32_t i = 0; i < count; i++) {
        if (sites[i].native >= region->code_len || !jit_has_place(guest, sites[i].pc) ||
            sites[i].pc < region->pc_first || sites[i].pc >= region->pc_end ||
            (i != 0 && sites[i].native < sites[i - 1].native))
            return false;
    }
    return true;
}

static bool region_fits(const struct file_region *r, const struct front *guest)
{
    const uint64_t guest_len = guest->len + front_is_pvm(guest); /* the trap at its end */
    if (r->code_len == 0 || r->code_len > JIT_CHUNK_MAX || r->stubs_at > r->code_len ||
        r->block_count == 0 || r->entry_count >= r->block_count || r->pc_first >= r->pc_end ||
        r->pc_end > guest_len)
        return false;
    if (r->slot_count == 0)
        return true;
    return r->slots_at % JIT_ALIGN == 0 && r->slots_at <= r->code_len &&
           r->slot_count <= (r->code_len - r->slots_at) / sizeof(struct jit_slot) &&
           r->stubs_at <= r->slots_at &&
           r->slot_count <= (r->slots_at - r->stubs_at) / JIT_SLOT_STUB;
}

/* A region whose code_at is where the file has its code; NULL: there is something wrong with it, or
 * no memory. */
static struct jit_region *parse_region(struct reader *reader, const struct front *guest)
{
    struct file_region r;
    const uint8_t *bytes = take(reader, sizeof r);
    if (bytes == NULL)
        return NULL;
    memcpy(&r, bytes, sizeof r);
    const uint64_t sites = (uint64_t)r.block_count + r.site_count;
    bytes = take(reader, sites * sizeof(struct jit_site));
    if (bytes == NULL || !region_fits(&r, guest))
        return NULL;
    const uint64_t code_at = reader->at; /* below FILE_MAX */
    if (take(reader, r.code_len) == NULL)
        return NULL;
    struct jit_region *region = malloc(jit_region_bytes(r.block_count, r.site_count));
    if (region == NULL)
        return NULL;
    *region = (struct jit_region){.code_at = (uint32_t)code_at,
                                  .code_len = r.code_len,
                                  .stubs_at = r.stubs_at,
                                  .slots_at = r.slots_at,
                                  .slot_count = r.slot_count,
                                  .pc_first = r.pc_first,
                                  .pc_end = r.pc_end,
                                  .block_count = r.block_count,
                                  .site_count = r.site_count,
                                  .entry_count = r.entry_count};
    region->blocks = (struct jit_site *)(void *)(region + 1);
    region->sites = region->blocks + r.block_count;
    memcpy(region->blocks, bytes, sites * sizeof *region->blocks);
    if (sites_fit(region->blocks, r.block_count, &r, guest) &&
        sites_fit(region->sites, r.site_count, &r, guest))
        return region;
    free(region);
    return NULL;
}

static void free_regions(struct jit_region *regions)
{
    while (regions != NULL) {
        struct jit_region *next = regions->next;
        free(regions);
        regions = next;
    }
}

/* All regions of a file, the last one first; NULL: it is none for this entry. */
static struct jit_region *parse(const uint8_t *bytes, uint64_t len, const struct jit_entry *entry)
{
    struct javm_hash digest;
    struct file_header header, expected = header_of(entry);
    const struct javm_bytes all = {bytes, len - sizeof digest};
    memcpy(&header, bytes, sizeof header);
    expected.region_count = header.region_count;
    expected.file_len = len;
    if (memcmp(&header, &expected, sizeof header) != 0)
        return NULL;
    digest = javm_hash_pieces(&all, 1);
    if (memcmp(digest.bytes, bytes + all.len, sizeof digest) != 0)
        return NULL;
    struct reader reader = {.bytes = bytes, .at = sizeof header, .len = all.len};
    struct jit_region *regions = NULL;
    for (uint32_t i = 0; i < header.region_count; i++) {
        struct jit_region *region = parse_region(&reader, &entry->native->front);
        if (region == NULL) {
            free_regions(regions);
            return NULL;
        }
        region->next = regions;
        regions = region;
    }
    if (reader.at == reader.len)
        return regions;
    free_regions(regions);
    return NULL;
}

/* The bytes of a file that may be trusted, malloc; NULL: not there, or not so. */
static uint8_t *read_file(int dir, const char *name, uint64_t *len)
{
    struct stat stat;
    uint8_t *bytes = NULL;
    /* NONBLOCK: somebody may have put a pipe there. */
    const int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && is_private(&stat) &&
        (uint64_t)stat.st_size <= FILE_MAX &&
        (uint64_t)stat.st_size >= sizeof(struct file_header) + sizeof(struct javm_hash))
        bytes = malloc((size_t)stat.st_size);
    if (bytes != NULL) {
        uint64_t have = 0;
        *len = (uint64_t)stat.st_size;
        while (have < *len) {
            const ssize_t more = read(fd, bytes + have, *len - have);
            if (more <= 0)
                break;
            have += (uint64_t)more;
        }
        if (have < *len) {
            free(bytes);
            bytes = NULL;
        }
    }
    close(fd);
    return bytes;
}

/* Copy the code in and publish; what the arena has no room for is compiled again when it is needed.
 */
static void publish(struct jit_files *files, struct javm_native *native, struct jit_region *regions,
                    const uint8_t *bytes)
{
    struct jit_buffer *buffer = &files->load;
    while (regions != NULL) {
        struct jit_region *region = regions;
        regions = region->next;
        pthread_mutex_lock(&files->load_lock);
        const bool fits = jit_buffer_reserve(buffer, region->code_len);
        if (fits) {
            memcpy(buffer->arena->writable + buffer->at, bytes + region->code_at, region->code_len);
            region->code_at = jit_buffer_commit(buffer, region->code_len);
        }
        pthread_mutex_unlock(&files->load_lock);
        if (fits) {
            jit_reset_slots(buffer->arena, region);
            jit_publish(native, region);
        } else {
            free(region);
        }
    }
}

void jit_file_load(struct jit_files *files, struct jit_entry *entry)
{
    if (files->dir < 0)
        return;
    char name[NAME_ROOM];
    struct stat stat;
    uint64_t len = 0;
    file_name(entry, name);
    uint8_t *bytes = read_file(files->dir, name, &len);
    if (bytes == NULL) {
        if (fstatat(files->dir, name, &stat, AT_SYMLINK_NOFOLLOW) == 0)
            count(&files->refused);
        return;
    }
    struct jit_region *regions = parse(bytes, len, entry);
    count(regions != NULL ? &files->loaded : &files->refused);
    publish(files, entry->native, regions, bytes);
    free(bytes);
    entry->filed = entry->native->region_count;
}

/* ---- writing ---------------------------------------------------------------------------- */

static void put(uint8_t **to, const void *bytes, size_t len)
{
    if (len != 0)
        memcpy(*to, bytes, len);
    *to += len;
}

static void put_region(uint8_t **to, const struct jit_arena *arena, const struct jit_region *r)
{
    const struct file_region header = {.code_len = r->code_len,
                                       .stubs_at = r->stubs_at,
                                       .slots_at = r->slots_at,
                                       .slot_count = r->slot_count,
                                       .pc_first = r->pc_first,
                                       .pc_end = r->pc_end,
                                       .block_count = r->block_count,
                                       .site_count = r->site_count,
                                       .entry_count = r->entry_count};
    put(to, &header, sizeof header);
    put(to, r->blocks, r->block_count * sizeof *r->blocks);
    put(to, r->sites, r->site_count * sizeof *r->sites);
    uint8_t *const code = *to;
    put(to, arena->executable + r->code_at, r->code_len);
    for (uint32_t i = 0; i < r->slot_count; i++) /* addresses of this run are nobody's business */
        memset(code + r->slots_at + i * sizeof(struct jit_slot) + offsetof(struct jit_slot, native),
               0, sizeof(uint64_t));
}

/* The whole file, malloc, or NULL. */
static uint8_t *encode(const struct jit_entry *entry, uint64_t *len)
{
    const struct javm_native *native = entry->native;
    struct file_header header = header_of(entry);
    *len = sizeof header + sizeof(struct javm_hash);
    for (const struct jit_region *r = native->regions; r != NULL; r = r->next) {
        *len += sizeof(struct file_region) + r->code_len +
                ((uint64_t)r->block_count + r->site_count) * sizeof(struct jit_site);
        header.region_count++;
    }
    header.file_len = *len;
    uint8_t *bytes = *len <= FILE_MAX ? malloc(*len) : NULL;
    if (bytes == NULL)
        return NULL;
    uint8_t *to = bytes;
    put(&to, &header, sizeof header);
    for (const struct jit_region *r = native->regions; r != NULL; r = r->next)
        put_region(&to, native->jit->arena, r);
    const struct javm_bytes all = {bytes, (size_t)(to - bytes)};
    const struct javm_hash digest = javm_hash_pieces(&all, 1);
    put(&to, &digest, sizeof digest);
    return bytes;
}

static bool write_all(int fd, const uint8_t *bytes, uint64_t len)
{
    while (len != 0) {
        const ssize_t done = write(fd, bytes, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        bytes += done;
        len -= (uint64_t)done;
    }
    return true;
}

/* Write beside it and rename, so that a reader sees the old file or the new one. Nothing waits for
 * the disk: a file that a power failure leaves half written does not have its checksum. False with
 * errno. */
static bool replace_file(int dir, const char *name, const uint8_t *bytes, uint64_t len)
{
    static _Atomic uint32_t writes;
    char beside[NAME_ROOM + 40];
    int fd;
    do { /* a process that was killed may have left one of this name */
        snprintf(beside, sizeof beside, ".%s.%ld.%u", name, (long)getpid(),
                 atomic_fetch_add_explicit(&writes, 1, memory_order_relaxed));
        fd = openat(dir, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    } while (fd < 0 && errno == EEXIST);
    if (fd < 0)
        return false;
    bool done = write_all(fd, bytes, len);
    int why = errno;
    if (close(fd) != 0 && done) {
        done = false;
        why = errno;
    }
    if (done && renameat(dir, beside, dir, name) != 0) {
        done = false;
        why = errno;
    }
    if (!done)
        unlinkat(dir, beside, 0);
    errno = why;
    return done;
}

void jit_file_save(struct jit_files *files, struct jit_entry *entry)
{
    if (files->dir < 0 || entry->native->region_count == entry->filed)
        return;
    entry->filed = entry->native->region_count; /* tried once */
    char name[NAME_ROOM];
    uint64_t len;
    file_name(entry, name);
    struct javm_error err = {.status = JAVM_OK};
    uint8_t *bytes = encode(entry, &len);
    if (bytes == NULL)
        javm_fail(&err, len > FILE_MAX ? JAVM_E_LIMIT : JAVM_E_NOMEM, JAVM_NOWHERE,
                  "cache file %s: %s for %llu bytes", name,
                  len > FILE_MAX ? "the limit is too low" : "out of memory",
                  (unsigned long long)len);
    else if (!replace_file(files->dir, name, bytes, len))
        javm_fail(&err, JAVM_E_IO, JAVM_NOWHERE, "cache file %s: %s", name, strerror(errno));
    free(bytes);
    if (err.status == JAVM_OK) {
        count(&files->saved);
        return;
    }
    count(&files->failed);
    pthread_mutex_lock(&files->error_lock);
    if (files->first_error.status == JAVM_OK)
        files->first_error = err;
    pthread_mutex_unlock(&files->error_lock);
}
