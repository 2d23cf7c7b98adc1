/* PVM programs of other toolchains as a host uses them: modules, and instances that live.
 *
 * A module is a loaded container (container.h) made ready to run. An instance of it has memory of
 * its own, which stays from call to call; the host calls exports by name, and the program calls
 * functions of the host by the names of its imports. docs/examples/engine.c is a host.
 *
 * Thread rules: a module may be used by any threads at a time, its code is decoded or compiled once
 * for all. An instance belongs to one thread at a time and may move between them. A warm instance
 * is called without a system call. */
#ifndef JAVM_MODULE_H
#define JAVM_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "javm/container.h"
#include "javm/engine.h"
#include "javm/hash.h"
#include "javm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- modules ---------------------------------------------------------------------------- */

struct javm_pvm_module;

/* Zeroed: the interpreter, pages of 4 KiB. */
struct javm_pvm_module_options {
    enum javm_engine engine;
    struct javm_jit *jit; /* JIT: where its code is kept; has to outlive the module */
    /* JIT: what keeps `program`; copied. Then native code goes by its name: all modules of the
     * store share it, and it stays there when they are closed. NULL: it is this module's own. */
    const struct javm_owner *owner;
    uint32_t page_size;    /* .polkavm: 4096, 16384 or 65536; 0: 4096 */
    uint64_t memory_pages; /* jar1: page budget, which decides what memory accesses cost */
};

/* `program` is borrowed until the module is closed; options may be NULL. LIMIT for pages that the
 * container cannot have, UNSUPPORTED for an engine that is not there, NOMEM. */
enum javm_status javm_pvm_module_open(const struct javm_pvm_program *program,
                                      const struct javm_pvm_module_options *options,
                                      struct javm_pvm_module **module, struct javm_error *err);
/* All instances have to be destroyed before. NULL is nothing. */
void javm_pvm_module_close(struct javm_pvm_module *module);

/* The first of that name; NULL: there is none. */
const struct javm_pvm_symbol *javm_pvm_export(const struct javm_pvm_program *program,
                                              const char *name, size_t len);

/* ---- functions of the host --------------------------------------------------------------- */

struct javm_pvm_instance;

/* One call of the program to its host. */
struct javm_pvm_host_call {
    struct javm_pvm_instance *instance;   /* to read and write its memory */
    const struct javm_pvm_symbol *import; /* NULL: a number that is no import's */
    uint32_t number;                      /* of ecalli; an import's index */
    uint64_t *regs; /* φ[0..12]; arguments from φ7 on; the result goes to φ7 */
    uint64_t gas;   /* what is left; the function may lower it */
};

enum javm_pvm_answer {
    JAVM_PVM_ANSWERED, /* the program goes on */
    JAVM_PVM_NO_GAS, /* the call ends OUT_OF_GAS; the function is called again when it is resumed */
    JAVM_PVM_STOP,   /* the call ends STOPPED; when it is resumed the program goes on */
    JAVM_PVM_DECLINE, /* the same, but it ends HOST_CALL: nobody knows this function */
    JAVM_PVM_TRAP     /* the call ends TRAP, for good */
};
/* May call other instances, not this one. */
typedef enum javm_pvm_answer javm_pvm_function(void *context, struct javm_pvm_host_call *call);

struct javm_pvm_import {
    const char *name; /* NULL: every import, and every number, that nothing else answers */
    javm_pvm_function *function;
    void *context;
};

/* Take `amount` from the program's gas; false: there is not enough, and nothing is taken. */
static inline bool javm_pvm_charge(struct javm_pvm_host_call *call, uint64_t amount)
{
    if (call->gas < amount)
        return false;
    call->gas -= amount;
    return true;
}

/* How many imports of the program none of `count` functions answers; the `room` first of their
 * numbers go to `missing`. */
uint32_t javm_pvm_missing(const struct javm_pvm_program *program,
                          const struct javm_pvm_import *functions, size_t count, uint32_t *missing,
                          size_t room);

/* ---- instances --------------------------------------------------------------------------- */

/* A fresh instance, linked to the first function of each import's name; functions that are no
 * import are left aside. The array is not kept, contexts are. MISSING with the names of imports
 * that nothing answers, as many as the text has room for (javm_pvm_missing has all); NOMEM. */
enum javm_status javm_pvm_instance_create(const struct javm_pvm_module *module,
                                          const struct javm_pvm_import *functions, size_t count,
                                          struct javm_pvm_instance **instance,
                                          struct javm_error *err);
/* Not from a function of the host that this instance called. NULL is nothing. */
void javm_pvm_instance_destroy(struct javm_pvm_instance *instance);

/* As it was created, at a cost that follows the pages that were written. `input` is borrowed until
 * the next reset or the end: the arguments of a standard program (SPI), what the host provides to a
 * .polkavm; others have none. LIMIT, RANGE when it does not fit, STATE while the instance runs,
 * NOMEM: reset it again. */
enum javm_status javm_pvm_instance_reset(struct javm_pvm_instance *instance, const uint8_t *input,
                                         uint64_t input_len, struct javm_error *err);

/* Where everything is; the input is the region of role ARGS. Valid until the next reset. */
const struct javm_pvm_memory *javm_pvm_instance_memory(const struct javm_pvm_instance *instance);
/* With the program's permissions, all or nothing; addresses do not wrap. False: some page does not
 * allow it. From within functions of the host, too. */
bool javm_pvm_instance_read(struct javm_pvm_instance *instance, uint64_t address, void *to,
                            uint64_t len);
bool javm_pvm_instance_write(struct javm_pvm_instance *instance, uint64_t address, const void *from,
                             uint64_t len);
/* φ[0..12] as the last call left them; what is written there counts when the call is resumed. */
uint64_t *javm_pvm_instance_regs(struct javm_pvm_instance *instance);
/* The bytes that φ7 and φ8 describe, the result of a standard program; none if they cannot be read.
 * *bytes is malloc'ed, never NULL. LIMIT when they are more than `limit`, NOMEM. */
enum javm_status javm_pvm_instance_output(struct javm_pvm_instance *instance, uint64_t limit,
                                          uint8_t **bytes, uint64_t *len, struct javm_error *err);

/* Of everything that the program can tell: registers, where it stands, the heap's top, and the
 * pages that are not as a reset leaves them. The same whatever engine ran; the module and the input
 * are not in it. */
struct javm_hash javm_pvm_instance_hash(const struct javm_pvm_instance *instance);

/* ---- calls ------------------------------------------------------------------------------- */

enum javm_pvm_end {
    JAVM_PVM_RETURNED, /* it jumped to the address that it was given to return to */
    JAVM_PVM_TRAPPED,
    JAVM_PVM_PANIC,
    JAVM_PVM_FAULT,      /* a page that does not allow it: addr, write; resumable */
    JAVM_PVM_OUT_OF_GAS, /* resumable */
    JAVM_PVM_HOST_CALL,  /* to a function that nobody knows: number, import; resumable */
    JAVM_PVM_STOPPED,    /* by a function of the host: number, import; resumable */
    JAVM_PVM_ECALLED,    /* opcode ecall of jar1, for which there is no kernel here; resumable */
    JAVM_PVM_TIMEOUT     /* resumable */
};
/* "returned", "trap", "panic", "page_fault", "out_of_gas", "host_call", "stopped", "ecall",
 * "timeout". */
const char *javm_pvm_end_name(enum javm_pvm_end end);

#define JAVM_PVM_MAX_ARGS 6u

struct javm_pvm_call {
    uint64_t args[JAVM_PVM_MAX_ARGS]; /* go to φ7 and the following */
    unsigned arg_count;   /* registers from φ7 + arg_count on: as the layout says, or 0 */
    uint64_t gas;         /* in: how much there is; out: what is left */
    uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none */
    /* out */
    enum javm_pvm_end end;
    uint64_t value, value2; /* φ7 and φ8, however it ended */
    uint64_t pc;            /* where it stands; gp: 0 after RETURNED, TRAPPED and PANIC */
    uint64_t addr;          /* FAULT: of the first byte that cannot be accessed */
    bool write;             /* FAULT */
    uint32_t number;        /* HOST_CALL, STOPPED */
    const struct javm_pvm_symbol *import; /* the same; NULL: none has that number */
};

/* Call what is at `pc`: φ0 the address to return to, φ1 the stack's top. Whatever the program does
 * is an end, not an error. RANGE for too many arguments, STATE when the instance is running already
 * (a function of the host called back into it), NOMEM: the instance has to be reset. */
enum javm_status javm_pvm_instance_call(struct javm_pvm_instance *instance, uint64_t pc,
                                        struct javm_pvm_call *call, struct javm_error *err);
/* The same at an export. MISSING when there is none of that name. */
enum javm_status javm_pvm_instance_call_export(struct javm_pvm_instance *instance, const char *name,
                                               struct javm_pvm_call *call, struct javm_error *err);
/* Go on where the last call ended; `call` has gas and deadline. STATE when it did not end in a
 * resumable way, or the instance is running. */
enum javm_status javm_pvm_instance_resume(struct javm_pvm_instance *instance,
                                          struct javm_pvm_call *call, struct javm_error *err);

#ifdef __cplusplus
}
#endif
#endif
