#include "batch/results_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_results(const char *name)
{
    static const char END[] = ".ndjson";
    const size_t len = strlen(name), end = sizeof END - 1;
    return len > end && strcmp(name + len - end, END) == 0;
}

enum javm_status results_folder_read(struct history *history, const char *folder, const char *own,
                                     bool retry_crashed, uint64_t *whole, struct javm_error *err)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: %s", folder, strerror(errno));
    enum javm_status status = JAVM_OK;
    *whole = 0;
    for (const struct dirent *entry; status == JAVM_OK && (entry = readdir(dir)) != NULL;) {
        char *path;
        uint64_t of_this;
        if (!is_results(entry->d_name))
            continue;
        if (asprintf(&path, "%s%s", folder, entry->d_name) < 0) {
            status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
            break;
        }
        status = history_read(history, path, retry_crashed, &of_this, err);
        if (status == JAVM_OK && strcmp(path, own) == 0)
            *whole = of_this;
        free(path);
    }
    closedir(dir);
    return status;
}
