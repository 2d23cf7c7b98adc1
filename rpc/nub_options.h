/* The command line of javm-nub. */
#ifndef JAVM_RPC_NUB_OPTIONS_H
#define JAVM_RPC_NUB_OPTIONS_H

#include "javm/nub_host.h"

enum command {
    COMMAND_SMOKE,
    COMMAND_PUT_CAP,
    COMMAND_INVOKE,
    COMMAND_HEAP_STATS,
    COMMAND_BOOT_INFO,
    COMMAND_EVICT,
    COMMANDS
};

struct settings {
    enum command command;
    const char *socket;
    bool own; /* no server, but: */
    enum javm_nub_backend backend;
    struct javm_nub_options nub;
    bool json;
    char **puts; /* room for one for each word; the words are argv's */
    unsigned put_count;
    struct javm_nub_invoke packet; /* but for the hash */
    unsigned arg_count;
    const char *root;
    bool about_invoke; /* an option was given that only invoke has */
    char **words;      /* behind the command */
    int word_count;
};

enum { EXIT_GOOD = 0, EXIT_REFUSED = 1, EXIT_BAD_INPUT = 2, EXIT_LOST = 3 };

/* Settings have their defaults, and `puts`. -1: go on; else the exit code, and all is said. */
int settings_parse(int argc, char **argv, struct settings *settings);

#endif
