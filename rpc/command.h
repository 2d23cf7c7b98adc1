/* What the command lines of both programs have in common, besides batch/args.h. Messages go to
 * standard error, as "PROGRAM: ...", by the complain() of batch/diag.h, which is here the one of
 * command.c. */
#ifndef JAVM_RPC_COMMAND_H
#define JAVM_RPC_COMMAND_H

#include <getopt.h>
#include <stdbool.h>

#include "batch/diag.h"
#include "javm/nub_host.h"

/* A standard stream that was closed by whoever started this stays unusable, but its number is
 * taken: else a socket could get it, and be printed to. First of all. */
void command_streams(void);

struct command_line {
    const char *program, *help;
    const struct option *options; /* with "help" as 'h' and "version" as 'V' */
    /* Takes an option, its value in optarg. False: it complained. */
    bool (*take)(int id, void *settings);
    /* Takes the words from argv[optind] on, and looks at the whole. False: it complained. */
    bool (*finish)(int argc, char **argv, void *settings);
};
/* -1: go on; else the exit code, and all is said. */
int command_parse(const struct command_line *line, int argc, char **argv, void *settings);

bool command_backend(const char *text, enum javm_nub_backend *backend);
/* Prints, if standard output takes it: 0, else 3 with a message. */
int command_print(const char *text);
/* $XDG_RUNTIME_DIR/javm-nub.sock, in static memory, or NULL. */
const char *command_default_socket(void);

#endif
