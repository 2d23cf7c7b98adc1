/* javm-link: a linked guest ELF to an image file; or a look at an image that something else made.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "javm/load.h"
#include "javm/version.h"

/* Exit codes: the file is fine or was written; it is not; the command line is not. */
enum { EXIT_FINE = 0, EXIT_BAD_FILE = 1, EXIT_USAGE = 2 };

static const char usage[] =
    "Usage: javm-link [OPTIONS] GUEST.elf -o GUEST.jimg\n"
    "       javm-link --check FILE\n"
    "Turn a guest ELF, linked with --emit-relocs and the guest link script, into an image.\n"
    "\n"
    "  -o FILE        write the image to FILE\n"
    "  --stack N      bytes of stack (default 64K); N may end in K, M or G\n"
    "  --heap N       bytes of heap (default 0)\n"
    "  --gas-slot N, --quota-slot N   slot (1 to 255) for a Gas or Quota handle; up to 8, in "
    "order\n"
    "  --receiver N   slot (1 to 255) for the YieldReceiver\n"
    "  --isa SET      pvm2 (default), or pvm: translate the code to PVM\n"
    "  --map FILE     write old and new offsets, markers and block costs by function\n"
    "  --check        write nothing; of an ELF, check that its code needs no marker; of an\n"
    "                 image or bundle, check where jumps, jump tables and endpoints lead\n"
    "  --help, --version\n"
    "\n"
    "Exit code: 0 done, 1 the file cannot be linked or has problems, 2 bad usage.\n";

struct command {
    const char *input, *output, *map;
    struct javm_link_options link;
    bool check;
};

static int file_error(const char *file, const struct javm_error *err)
{
    fprintf(stderr, "javm-link: %s: %s\n", file, err->text);
    return EXIT_BAD_FILE;
}

/* Errors of reading and writing files name the path themselves. */
static int io_error(const struct javm_error *err)
{
    fprintf(stderr, "javm-link: %s\n", err->text);
    return EXIT_BAD_FILE;
}

static bool parse_size(const char *text, uint64_t *size)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (errno != 0 || end[shift != 0] != 0 || value > UINT64_MAX >> shift)
        return false;
    *size = (uint64_t)value << shift;
    return true;
}

/* ---- linking ---------------------------------------------------------------------------- */

static int link_file(const struct command *command, const uint8_t *bytes, size_t len)
{
    struct javm_error err;
    struct javm_bundle bundle;
    char *map = NULL;
    uint8_t *out = NULL;
    size_t out_len = 0;
    enum javm_status status = javm_link_elf(bytes, len, &command->link, &bundle,
                                            command->map != NULL ? &map : NULL, &err);
    if (status != JAVM_OK)
        return file_error(command->input, &err);
    int code = EXIT_FINE;
    if (command->check)
        printf("%s: every target is a block start\n", command->input);
    else if (javm_bundle_encode(&bundle, &out, &out_len, &err) != JAVM_OK)
        code = file_error(command->input, &err);
    else if (javm_file_write(command->output, out, out_len, &err) != JAVM_OK ||
             (map != NULL && javm_file_write(command->map, map, strlen(map), &err) != JAVM_OK))
        code = io_error(&err);
    javm_bundle_clear(&bundle);
    free(map);
    free(out);
    return code;
}

/* ---- checking --------------------------------------------------------------------------- */

/* Prints each line with the name of what it is about in front. */
static void print_findings(const char *name, const char *findings)
{
    while (*findings != 0) {
        size_t n = strcspn(findings, "\n");
        printf("%s: %.*s\n", name, (int)n, findings);
        findings += n + (findings[n] == '\n');
    }
}

static int check_bundle(const char *file, const uint8_t *bytes, size_t len)
{
    struct javm_error err;
    struct javm_bundle bundle;
    if (javm_bundle_decode(bytes, len, &bundle, &err) != JAVM_OK)
        return file_error(file, &err);
    int code = EXIT_FINE;
    uint64_t images = 0, problems = 0;
    for (uint32_t i = 0; i < bundle.cap_count && code == EXIT_FINE; i++) {
        char *findings, name[4200];
        uint64_t found = 0;
        if (javm_cap_kind(bundle.caps[i]) != JAVM_IMAGE)
            continue;
        images++;
        snprintf(name, sizeof name, "%s: cap %" PRIu32, file, i);
        if (javm_image_check(javm_image_of(bundle.caps[i]), &findings, &found, &err) != JAVM_OK) {
            code = file_error(name, &err);
            break;
        }
        print_findings(name, findings);
        free(findings);
        problems += found;
    }
    if (code == EXIT_FINE)
        printf("%s: %" PRIu64 " image%s, %" PRIu64 " problem%s\n", file, images,
               images == 1 ? "" : "s", problems, problems == 1 ? "" : "s");
    javm_bundle_clear(&bundle);
    return code != EXIT_FINE || problems != 0 ? EXIT_BAD_FILE : EXIT_FINE;
}

/* ---- command line ----------------------------------------------------------------------- */

static int bad_usage(const char *message, const char *value)
{
    fprintf(stderr, "javm-link: %s%s\nTry 'javm-link --help'.\n", message, value);
    return EXIT_USAGE;
}

enum {
    OPT_STACK = 256,
    OPT_HEAP,
    OPT_GAS_SLOT,
    OPT_QUOTA_SLOT,
    OPT_RECEIVER,
    OPT_ISA,
    OPT_MAP,
    OPT_CHECK,
    OPT_MARK_ALL,
    OPT_HELP,
    OPT_VERSION
};

/* mark-all is for tests: it makes every branch longer than the compiler meant it to be. */
static const struct option options[] = {
    {"stack", required_argument, NULL, OPT_STACK},
    {"heap", required_argument, NULL, OPT_HEAP},
    {"gas-slot", required_argument, NULL, OPT_GAS_SLOT},
    {"quota-slot", required_argument, NULL, OPT_QUOTA_SLOT},
    {"receiver", required_argument, NULL, OPT_RECEIVER},
    {"isa", required_argument, NULL, OPT_ISA},
    {"map", required_argument, NULL, OPT_MAP},
    {"check", no_argument, NULL, OPT_CHECK},
    {"mark-all", no_argument, NULL, OPT_MARK_ALL},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static bool parse_slot(const char *text, uint8_t *slot)
{
    uint64_t number;
    if (!parse_size(text, &number) || number == 0 || number > UINT8_MAX)
        return false;
    *slot = (uint8_t)number;
    return true;
}

static bool add_slot(const char *text, uint8_t slots[8])
{
    for (unsigned i = 0; i < 8; i++)
        if (slots[i] == 0)
            return parse_slot(text, &slots[i]);
    return false;
}

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct command *command)
{
    for (int c; (c = getopt_long(argc, argv, "o:", options, NULL)) != -1;) {
        switch (c) {
        case 'o':
            command->output = optarg;
            break;
        case OPT_STACK:
            if (!parse_size(optarg, &command->link.stack_bytes) || command->link.stack_bytes == 0)
                return bad_usage("--stack wants a number of bytes, not ", optarg);
            break;
        case OPT_HEAP:
            if (!parse_size(optarg, &command->link.heap_bytes))
                return bad_usage("--heap wants a number of bytes, not ", optarg);
            break;
        case OPT_GAS_SLOT:
        case OPT_QUOTA_SLOT:
            if (!add_slot(optarg,
                          c == OPT_GAS_SLOT ? command->link.gas_slots : command->link.quota_slots))
                return bad_usage("--gas-slot and --quota-slot want a slot from 1 to 255, each at "
                                 "most 8 times, not ",
                                 optarg);
            break;
        case OPT_RECEIVER:
            if (!parse_slot(optarg, &command->link.receiver_slot))
                return bad_usage("--receiver wants a slot from 1 to 255, not ", optarg);
            break;
        case OPT_ISA:
            command->link.pvm = strcmp(optarg, "pvm") == 0;
            if (!command->link.pvm && strcmp(optarg, "pvm2") != 0)
                return bad_usage("--isa wants pvm or pvm2, not ", optarg);
            break;
        case OPT_MAP:
            command->map = optarg;
            break;
        case OPT_CHECK:
            command->check = true;
            command->link.keep_layout = true;
            break;
        case OPT_MARK_ALL:
            command->link.mark_all = true;
            break;
        case OPT_HELP:
            fputs(usage, stdout);
            return EXIT_FINE;
        case OPT_VERSION:
            printf("javm-link %s\n%s", JAVM_VERSION, javm_build_facts());
            return EXIT_FINE;
        default: /* getopt has said what is wrong */
            fputs("Try 'javm-link --help'.\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind + 1 != argc)
        return bad_usage(optind == argc ? "no input file" : "one input file at a time, not also ",
                         optind == argc ? "" : argv[optind + 1]);
    command->input = argv[optind];
    if (command->output == NULL && !command->check)
        return bad_usage("-o FILE is missing", "");
    if (command->check && (command->output != NULL || command->map != NULL))
        return bad_usage("--check writes nothing: it goes with neither -o nor --map", "");
    if (command->check && command->link.pvm)
        return bad_usage("of an ELF file --check looks for markers, which PVM has not: it does not "
                         "go with --isa pvm",
                         "");
    return -1;
}

static int run(int argc, char **argv)
{
    struct command command = {0};
    struct javm_error err;
    uint8_t *bytes;
    size_t len;
    int code = parse(argc, argv, &command);
    if (code >= 0)
        return code;
    if (javm_file_read(command.input, 0, &bytes, &len, &err) != JAVM_OK)
        return io_error(&err);
    bool bundle = javm_file_sniff(bytes, len) == JAVM_FILE_BUNDLE;
    if (bundle && command.check) {
        code = check_bundle(command.input, bytes, len);
    } else if (bundle) {
        fprintf(stderr, "javm-link: %s: is an image or bundle already; --check looks at it\n",
                command.input);
        code = EXIT_BAD_FILE;
    } else {
        code = link_file(&command, bytes, len);
    }
    free(bytes);
    return code;
}

int main(int argc, char **argv)
{
    int code = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "javm-link: standard output: %s\n", strerror(errno));
        return EXIT_BAD_FILE;
    }
    return code;
}
