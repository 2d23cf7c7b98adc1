#include "files.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

static char folder[512];

void need_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
    abort();
}

void scratch_make(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/javm-batch-test-XXXXXX", base == NULL ? "/tmp" : base);
    need(mkdtemp(folder) != NULL);
}

void scratch_remove(void)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.')
            unlink(scratch_path(entry->d_name));
    closedir(dir);
    rmdir(folder);
}

const char *scratch_path(const char *name)
{
    static char paths[4][1024];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

void scratch_write(const char *name, const void *bytes, size_t len)
{
    FILE *file = fopen(scratch_path(name), "wb");
    need(file != NULL);
    need(fwrite(bytes, 1, len, file) == len);
    need(fclose(file) == 0);
}

char *scratch_read(const char *name, size_t *len)
{
    FILE *file = fopen(scratch_path(name), "rb");
    need(file != NULL);
    need(fseek(file, 0, SEEK_END) == 0);
    *len = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*len + 1);
    need(bytes != NULL);
    need(fread(bytes, 1, *len, file) == *len);
    bytes[*len] = '\0';
    fclose(file);
    return bytes;
}

char *make_gzip(const void *bytes, size_t len, size_t *out_len)
{
    z_stream z = {0};
    need(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    const size_t room = deflateBound(&z, len) + 64;
    char *out = malloc(room);
    need(out != NULL);
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)len;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)room;
    need(deflate(&z, Z_FINISH) == Z_STREAM_END);
    *out_len = room - z.avail_out;
    deflateEnd(&z);
    return out;
}

char *make_zstd(const void *bytes, size_t len, size_t *out_len)
{
    const size_t room = ZSTD_compressBound(len);
    char *out = malloc(room);
    need(out != NULL);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    need(context != NULL);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1); /* as the zstd program does */
    *out_len = ZSTD_compress2(context, out, room, bytes, len);
    need(!ZSTD_isError(*out_len));
    ZSTD_freeCCtx(context);
    return out;
}

char *read_gzip(const void *bytes, size_t len, size_t *out_len)
{
    z_stream z = {0};
    const size_t room = 64u << 20;
    char *out = malloc(room);
    need(out != NULL);
    need(inflateInit2(&z, 16 + MAX_WBITS) == Z_OK);
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)len;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)room;
    do {
        need(inflate(&z, Z_FINISH) == Z_STREAM_END);
        need(inflateReset(&z) == Z_OK); /* another member may follow */
    } while (z.avail_in > 0);
    *out_len = room - z.avail_out;
    inflateEnd(&z);
    return out;
}

char *read_zstd(const void *bytes, size_t len, size_t *out_len)
{
    const size_t room = 64u << 20;
    char *out = malloc(room);
    ZSTD_DCtx *context = ZSTD_createDCtx();
    need(out != NULL && context != NULL);
    ZSTD_inBuffer in = {bytes, len, 0};
    ZSTD_outBuffer to = {out, room, 0};
    size_t left = 1;
    while (in.pos < in.size)
        need(!ZSTD_isError(left = ZSTD_decompressStream(context, &to, &in)));
    need(left == 0); /* else the last frame is not closed */
    ZSTD_freeDCtx(context);
    *out_len = to.pos;
    return out;
}
