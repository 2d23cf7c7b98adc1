/* Scratch files for the tests of this folder. */
#ifndef JAVM_TESTS_BATCH_FILES_H
#define JAVM_TESTS_BATCH_FILES_H

#include <stddef.h>

/* As cr_assert, for helpers: criterion.h can stand in one file of a test only (tests/plain). */
#define need(what) ((what) ? (void)0 : need_failed(__FILE__, __LINE__, #what))
_Noreturn void need_failed(const char *file, int line, const char *what);

/* A new empty folder below $TMPDIR or /tmp; removed with all files by scratch_remove. */
void scratch_make(void);
void scratch_remove(void);
/* A path in it; a small ring of static buffers. */
const char *scratch_path(const char *name);
void scratch_write(const char *name, const void *bytes, size_t len);
/* The whole file, NUL-terminated, malloc'ed. */
char *scratch_read(const char *name, size_t *len);

/* malloc'ed; one frame or member is made, any number are read, each has to be whole. */
char *make_gzip(const void *bytes, size_t len, size_t *out_len);
char *make_zstd(const void *bytes, size_t len, size_t *out_len);
char *read_gzip(const void *bytes, size_t len, size_t *out_len);
char *read_zstd(const void *bytes, size_t len, size_t *out_len);

#endif
