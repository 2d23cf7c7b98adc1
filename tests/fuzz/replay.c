/* Feeds every file named, or found below a folder named, to LLVMFuzzerTestOneInput: the fuzz
 * targets run on their corpus in ordinary builds, with any compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path, unsigned *count)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        return 1;
    }
    if (S_ISDIR(st.st_mode)) {
        DIR *dir = opendir(path);
        if (dir == NULL) {
            perror(path);
            return 1;
        }
        int bad = 0;
        for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
            if (entry->d_name[0] == '.')
                continue;
            char child[4096];
            if (snprintf(child, sizeof child, "%s/%s", path, entry->d_name) >= (int)sizeof child)
                bad = 1;
            else
                bad |= replay(child, count);
        }
        closedir(dir);
        return bad;
    }
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc((size_t)st.st_size + 1);
    if (file == NULL || bytes == NULL ||
        fread(bytes, 1, (size_t)st.st_size, file) != (size_t)st.st_size) {
        perror(path);
        free(bytes);
        if (file != NULL)
            fclose(file);
        return 1;
    }
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, (size_t)st.st_size);
    free(bytes);
    ++*count;
    return 0;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    int bad = argc < 2;
    for (int i = 1; i < argc; i++)
        bad |= replay(argv[i], &count);
    printf("%u inputs replayed\n", count);
    return bad || count == 0;
}
