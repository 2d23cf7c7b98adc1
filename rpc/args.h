/* What the command lines of both programs have in common. Messages go to standard error, as
 * "PROGRAM: ...". */
#ifndef JAVM_RPC_ARGS_H
#define JAVM_RPC_ARGS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "javm/nub_host.h"

/* A standard stream that was closed by whoever started this stays unusable, but its number is
 * taken: else a socket could get it, and be printed to. First of all. */
void args_streams(void);
/* One line. */
__attribute__((format(printf, 1, 2))) void complain(const char *fmt, ...);

/* An option's value, or false with a message that says what was expected. Integers are decimal, or
 * hexadecimal behind 0x; of bytes, they may end in K, M or G. */
bool args_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *value);
bool args_bytes(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *value);
bool args_backend(const char *text, enum javm_nub_backend *backend);
bool args_engine(const char *text, enum javm_engine *engine);
bool args_gas_model(const char *text, enum javm_gas_model *model);
/* getopt_long gave '?' or ':'. */
void args_unknown(int id, char **argv);
/* Prints, if standard output takes it: 0, else 3 with a message. */
int args_print(const char *text);
/* $XDG_RUNTIME_DIR/javm-nub.sock, in static memory, or NULL. */
const char *args_default_socket(void);

#endif
