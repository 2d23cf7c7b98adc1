/* Bytes in memory under a name that can be opened for reading, any number of times. */
#ifndef JAVM_BATCH_MEMORY_FILE_H
#define JAVM_BATCH_MEMORY_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct memory_file {
    int fd;        /* owned; -1: there is none */
    char name[40]; /* as long as fd is open */
};

/* False: errno. *file can be closed in either case. */
bool memory_file_make(struct memory_file *file, const void *bytes, size_t len);
void memory_file_close(struct memory_file *file);

#endif
