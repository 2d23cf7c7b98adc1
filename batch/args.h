/* Values of a command line. Where one is not what it should be, complain() says what was expected
 * and the result is false or -1. `name` is the option's, with its dashes. */
#ifndef JAVM_BATCH_ARGS_H
#define JAVM_BATCH_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "javm/vm.h"

/* Decimal, or hexadecimal behind 0x; of bytes, they may end in K, M or G. */
bool args_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *value);
bool args_bytes(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *value);
/* The index of `text` in the list, whose end is NULL. */
int args_choice(const char *name, const char *text, const char *const *list);
/* What --engine, --gas-model and --isolation take; *kind: 0 thread, 1 process, 2 kvm. */
bool args_engine(const char *text, enum javm_engine *engine);
bool args_gas_model(const char *text, enum javm_gas_model *model);
bool args_isolation(const char *text, int *kind);
/* getopt_long gave '?' or ':'. */
void args_unknown(int id, char **argv);

#endif
