/* Files. Catches: content that is lost or cut, a limit that is not kept, a failed write that harms
 * the old file or leaves a temporary one behind, a device that is replaced by a file, and files
 * taken for what they are not. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/loaders/run_image.h"

static char folder[256];

static void make_folder(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.200s/javm-test-XXXXXX", base != NULL ? base : P_tmpdir);
    cr_assert_not_null(mkdtemp(folder));
}

static unsigned clear_folder(bool and_remove)
{
    unsigned count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char path[512];
        if (entry->d_name[0] == '.')
            continue;
        count++;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (and_remove)
            unlink(path);
    }
    closedir(dir);
    if (and_remove)
        rmdir(folder);
    return count;
}

static void remove_folder(void)
{
    clear_folder(true);
}

static const char *in_folder(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

TestSuite(file, .init = make_folder, .fini = remove_folder);

static void expect_content(const char *path, const void *bytes, size_t len)
{
    uint8_t *read;
    size_t read_len;
    struct javm_error err;
    cr_assert_eq(javm_file_read(path, 0, &read, &read_len, &err), JAVM_OK, "%s", err.text);
    cr_assert_eq(read_len, len);
    cr_expect(len == 0 || memcmp(read, bytes, len) == 0);
    free(read);
}

Test(file, there_and_back)
{
    struct javm_error err;
    uint8_t bytes[10000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 >> 3);
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 10000, 3};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cr_assert_eq(javm_file_write(in_folder("x"), bytes, sizes[i], &err), JAVM_OK, "%s",
                     err.text);
        expect_content(in_folder("x"), bytes, sizes[i]);
    }
    cr_expect_eq(clear_folder(false), 1, "no temporary file may stay");
}

Test(file, limits)
{
    struct javm_error err;
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(javm_file_write(in_folder("x"), "0123456789", 10, &err), JAVM_OK);
    cr_assert_eq(javm_file_read(in_folder("x"), 10, &bytes, &len, &err), JAVM_OK);
    free(bytes);
    cr_expect_eq(javm_file_read(in_folder("x"), 9, &bytes, &len, &err), JAVM_E_LIMIT);
    cr_expect_not_null(strstr(err.text, "x has 10 bytes, more than the limit of 9"));
    /* a file that does not know its size */
    cr_expect_eq(javm_file_read("/dev/zero", 100000, &bytes, &len, &err), JAVM_E_LIMIT);
}

Test(file, errors_name_the_path)
{
    struct javm_error err;
    uint8_t *bytes;
    size_t len;
    cr_expect_eq(javm_file_read(in_folder("none"), 0, &bytes, &len, &err), JAVM_E_IO);
    cr_expect(strstr(err.text, "/none: No such file") != NULL, "%s", err.text);
    cr_expect_eq(javm_file_read(folder, 0, &bytes, &len, &err), JAVM_E_IO);
    cr_expect(strstr(err.text, "directory") != NULL, "%s", err.text);
    cr_expect_eq(javm_file_write(in_folder("no/where"), "x", 1, &err), JAVM_E_IO);
    cr_expect(strstr(err.text, "no/where") != NULL, "%s", err.text);
}

Test(file, errors_are_one_line_and_keep_the_reason)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct javm_error err;
    char path[1024] = "no such\nfolder\x7f/";
    cr_assert_eq(javm_file_read(path, 0, &bytes, &len, &err), JAVM_E_IO);
    cr_expect_str_eq(err.text, "cannot open no such?folder?/: No such file or directory");
    for (size_t i = strlen(path); i + 3 < sizeof path; i += 2) /* e with an acute accent */
        memcpy(path + i, "\xC3\xA9", 3);
    cr_assert_eq(javm_file_read(path, 0, &bytes, &len, &err), JAVM_E_IO);
    cr_expect_not_null(strstr(err.text, "\xA9: "), "%s", err.text);
    cr_expect_eq(strncmp(err.text, "cannot open \xC3\xA9", 14), 0, "%s", err.text);
}

Test(file, a_failed_write_keeps_the_old_file)
{
    struct javm_error err;
    cr_assert_eq(javm_file_write(in_folder("dir"), "old", 3, &err), JAVM_OK);
    cr_assert_eq(unlink(in_folder("dir")), 0);
    cr_assert_eq(mkdir(in_folder("dir"), 0700), 0);
    cr_expect_eq(javm_file_write(in_folder("dir"), "new", 3, &err), JAVM_E_IO);
    cr_expect_eq(clear_folder(false), 1, "no temporary file may stay");
    rmdir(in_folder("dir"));
}

/* A full device is an error, and stays a device. */
Test(file, devices_are_written_in_place)
{
    struct javm_error err;
    struct stat st;
    cr_expect_eq(javm_file_write("/dev/null", "x", 1, &err), JAVM_OK);
    cr_expect_eq(javm_file_write("/dev/full", "x", 1, &err), JAVM_E_IO);
    cr_expect(strstr(err.text, "No space") != NULL, "%s", err.text);
    cr_expect(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
    cr_expect(stat("/dev/full", &st) == 0 && S_ISCHR(st.st_mode));
}

Test(file, sniff_and_load)
{
    struct javm_bundle bundle;
    struct javm_error err;
    static const uint8_t elf[] = {0x7F, 'E', 'L', 'F', 2}, jimg[] = "JAVM\r\n\x1a\n rest";
    cr_expect_eq(javm_file_sniff(elf, sizeof elf), JAVM_FILE_ELF);
    cr_expect_eq(javm_file_sniff(jimg, sizeof jimg), JAVM_FILE_BUNDLE);
    cr_expect_eq(javm_file_sniff(jimg, 7), JAVM_FILE_UNKNOWN);
    cr_expect_eq(javm_file_sniff(elf, 0), JAVM_FILE_UNKNOWN);
    cr_expect_eq(javm_load(elf, 2, &bundle, &err), JAVM_E_FORMAT);
    cr_expect_eq(javm_load(jimg, sizeof jimg, &bundle, &err), JAVM_E_FORMAT);
    size_t len;
    uint8_t *bytes = read_elf("samples_O2.elf", &len);
    cr_assert_eq(javm_load(bytes, len, &bundle, &err), JAVM_OK, "%s", err.text);
    free(bytes);
    cr_assert_eq(javm_bundle_encode(&bundle, &bytes, &len, &err), JAVM_OK);
    javm_bundle_clear(&bundle);
    cr_assert_eq(javm_load(bytes, len, &bundle, &err), JAVM_OK, "%s", err.text);
    javm_bundle_clear(&bundle);
    free(bytes);
}
