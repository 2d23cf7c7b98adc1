/* Feeds every file named, or found below a folder named, to LLVMFuzzerTestOneInput, as it is and
 * then damaged in a number of ways that are the same each time: so the fuzz targets run in ordinary
 * builds, with any compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MUTATIONS = 100 };

/* Bytes changed, runs overwritten, the end cut off; each round starts from the undamaged input. */
static void mutate(const uint8_t *bytes, size_t len, uint8_t *copy)
{
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15) ^ len;
    for (int round = 0; round < MUTATIONS && len != 0; round++) {
        size_t size = len;
        memcpy(copy, bytes, len);
        for (int i = 0; i <= round % 4; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            const size_t at = (size_t)(state >> 20) % size;
            switch (state & 3) {
            case 0:
                copy[at] ^= (uint8_t)(1u << (state >> 2 & 7));
                break;
            case 1:
                copy[at] = (uint8_t)(state >> 8);
                break;
            case 2:
                memset(copy + at, state >> 2 & 1 ? 0xff : 0, size - at < 8 ? size - at : 8);
                break;
            default:
                size = at + 1;
            }
        }
        LLVMFuzzerTestOneInput(copy, size);
    }
}

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
    uint8_t *bytes = malloc((size_t)st.st_size + 1), *copy = malloc((size_t)st.st_size + 1);
    if (file == NULL || bytes == NULL || copy == NULL ||
        fread(bytes, 1, (size_t)st.st_size, file) != (size_t)st.st_size) {
        perror(path);
        free(bytes);
        free(copy);
        if (file != NULL)
            fclose(file);
        return 1;
    }
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, (size_t)st.st_size);
    mutate(bytes, (size_t)st.st_size, copy);
    free(bytes);
    free(copy);
    ++*count;
    return 0;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    int bad = argc < 2;
    for (int i = 1; i < argc; i++)
        bad |= replay(argv[i], &count);
    printf("%u inputs replayed, each with %d mutations\n", count, MUTATIONS);
    return bad || count == 0;
}
