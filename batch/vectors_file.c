#include "batch/vectors_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

static const unsigned char zstd_magic[4] = {0x28, 0xB5, 0x2F, 0xFD};

static bool refuse(const char *path, const char *why)
{
    fprintf(stderr, "javm-vectors: %s: %s\n", path, why);
    return false;
}

/* A buffer that grows by doubling and always keeps json_padding() bytes spare. */
struct buffer {
    char *bytes;
    size_t len, room;
};

static bool reserve(struct buffer *buffer, size_t more)
{
    const size_t need = buffer->len + more + json_padding();
    if (need <= buffer->room)
        return true;
    size_t room = need < 65536 ? 65536 : need * 2;
    char *bytes = realloc(buffer->bytes, room);
    if (bytes == NULL)
        return false;
    buffer->bytes = bytes;
    buffer->room = room;
    return true;
}

static bool read_whole(const char *path, struct buffer *buffer)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (file == NULL)
        return refuse(path, strerror(errno));
    const char *why = NULL;
    while (why == NULL) {
        if (!reserve(buffer, 65536)) {
            why = strerror(ENOMEM);
            break;
        }
        size_t got = fread(buffer->bytes + buffer->len, 1, 65536, file);
        buffer->len += got;
        if (got == 0) {
            if (ferror(file))
                why = strerror(errno);
            break;
        }
        if (buffer->len > VECTORS_FILE_MAX)
            why = "larger than 1 GiB";
    }
    if (file != stdin)
        fclose(file);
    return why == NULL || refuse(path, why);
}

/* Every frame of `packed`, one after the other. */
static const char *unpack_frames(ZSTD_DCtx *context, const struct buffer *packed,
                                 struct buffer *plain)
{
    ZSTD_inBuffer in = {packed->bytes, packed->len, 0};
    size_t left = 1;
    while (in.pos < in.size || left != 0) {
        if (!reserve(plain, 65536))
            return strerror(ENOMEM);
        ZSTD_outBuffer out = {plain->bytes + plain->len, 65536, 0};
        const size_t before = in.pos;
        left = ZSTD_decompressStream(context, &out, &in);
        if (ZSTD_isError(left))
            return ZSTD_getErrorName(left);
        plain->len += out.pos;
        if (plain->len > VECTORS_FILE_MAX)
            return "unfolds to more than 1 GiB";
        if (left != 0 && in.pos == in.size && in.pos == before && out.pos == 0)
            return "compressed data ends too early";
    }
    return NULL;
}

static bool unpack(const char *path, struct buffer *buffer)
{
    if (buffer->bytes == NULL || buffer->len < sizeof zstd_magic ||
        memcmp(buffer->bytes, zstd_magic, sizeof zstd_magic) != 0)
        return true;
    struct buffer plain = {0};
    ZSTD_DCtx *context = ZSTD_createDCtx();
    const char *why = context == NULL ? strerror(ENOMEM) : unpack_frames(context, buffer, &plain);
    ZSTD_freeDCtx(context);
    if (why != NULL) {
        free(plain.bytes);
        return refuse(path, why);
    }
    free(buffer->bytes);
    *buffer = plain;
    return true;
}

void vectors_file_close(struct vectors_file *file)
{
    free(file->text);
    json_parser_free(file->parser);
    memset(file, 0, sizeof *file);
}

void vectors_file_complain(const struct vectors_file *file, const struct problem *problem)
{
    const char *text = file->json.text;
    const char *end = text + file->json.len;
    const char *at = problem->offset < file->json.len ? text + problem->offset : end;
    const char *line = text;
    uint64_t number = 1;
    for (const char *next; (next = memchr(line, '\n', (size_t)(at - line))) != NULL; number++)
        line = next + 1;
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    struct problem here = *problem;
    here.offset = (size_t)(at - line);
    diag_print(stderr, file->path, number, line, (size_t)((stop != NULL ? stop : end) - line),
               &here);
}

bool vectors_file_open(struct vectors_file *file, const char *path)
{
    struct buffer buffer = {0};
    memset(file, 0, sizeof *file);
    file->path = path;
    if (!read_whole(path, &buffer) || !unpack(path, &buffer)) {
        free(buffer.bytes);
        return false;
    }
    file->text = buffer.bytes; /* reserve() kept the padding */
    file->parser = json_parser_new();
    if (file->parser == NULL) {
        vectors_file_close(file);
        return refuse(path, strerror(ENOMEM));
    }
    struct json_problem fault;
    file->json = (struct fields){file->text, buffer.len, NULL};
    if (!json_parse(file->parser, file->text, buffer.len, &file->json.nodes, &fault)) {
        struct problem problem;
        problem_at(&problem, fault.offset, "%s", fault.text);
        vectors_file_complain(file, &problem);
        vectors_file_close(file);
        return false;
    }
    return true;
}
