/* nub: a host and the isolated executor that runs guests for it (spec: host <-> guest RPC).
 *
 * First the binary interface, little-endian, C layout; then caps as archived values (the rkyv 0.8
 * layout, docs/nub.md), both ways. The host's handle is in nub_host.h. What crosses the boundary is
 * untrusted on both sides: every reader here checks all it reads. */
#ifndef JAVM_NUB_H
#define JAVM_NUB_H

#include "javm/cap.h"

#ifdef __cplusplus
extern "C" {
#define JAVM_NUB_ASSERT(what) static_assert(what, #what)
#else
#define JAVM_NUB_ASSERT(what) _Static_assert(what, #what)
#endif

/* ---- functions -------------------------------------------------------------------------- */

enum javm_nub_fn {
    JAVM_NUB_SMOKE = 0,         /* -> u64 42 */
    JAVM_NUB_HEAP_STATS = 2,    /* -> struct javm_nub_heap_stats. 1 is retired */
    JAVM_NUB_INVOKE_CACHED = 3, /* struct javm_nub_invoke -> archived result */
    JAVM_NUB_PUT_CAP = 4,       /* archived WireCap -> archived hash */
    JAVM_NUB_GET_BOOT_INFO = 5, /* -> struct javm_nub_boot_info */
    JAVM_NUB_EVICT_JIT_ALL = 6, /* -> nothing */
    JAVM_NUB_INVOKE_WORKER = 7  /* u32 lane; ends when the lane is told to stop */
};
#define JAVM_NUB_FN_TABLE_SIZE 8
JAVM_NUB_ASSERT(JAVM_NUB_FN_TABLE_SIZE >= JAVM_NUB_INVOKE_WORKER + 1);
#define JAVM_NUB_SMOKE_ANSWER 42

/* Error numbers: of error responses, and exit_arg of JAVM_NUB_EXIT_TRAP. Frozen; append only. Those
 * below 64 are reasons for which a guest faulted, those from 64 on are 64 + enum javm_status. */
#define JAVM_NUB_ERRORS(X)                                                       \
    X(NONE, 0, "no error")                                                       \
    X(TRAP, 1, "the guest trapped")                                              \
    X(YIELD_UNHANDLED, 5, "nobody caught what the guest yielded")                \
    X(BAD_OPERAND, 6, "an operation was given an operand that it cannot take")   \
    X(DEPTH_LIMIT, 7, "the guest's calls are too deep")                          \
    X(STORAGE, 8, "the guest's storage quota is used up")                        \
    X(PAUSED, 16, "the guest paused, which nobody asked for")                    \
    X(TIMEOUT, 17, "the guest ran into its deadline")                            \
    X(NO_FUNCTION, 32, "there is no function of that number")                    \
    X(BAD_PAYLOAD, 33, "the payload is not of the size that the function takes") \
    X(NO_LANE, 34, "there is no such lane, or somebody works it already")        \
    X(NOMEM, 65, "out of memory")                                                \
    X(IO, 66, "the system refused something")                                    \
    X(FORMAT, 67, "bytes that are not what they claim to be")                    \
    X(RANGE, 68, "a number outside its range")                                   \
    X(KIND, 69, "a cap of another kind was expected")                            \
    X(MISSING, 70, "a cap that is needed is not published")                      \
    X(FOREIGN, 71, "a CapRef of another directory")                              \
    X(LIVE, 72, "a live CapRef where only settled caps can stand")               \
    X(EXISTS, 73, "a name that is taken")                                        \
    X(LIMIT, 74, "a limit would be exceeded")                                    \
    X(STATE, 75, "it is not in a state that allows this")                        \
    X(UNSUPPORTED, 76, "known, but not in this version")                         \
    X(CRASHED, 77, "the executor died, of this or of a job beside it")

#define JAVM_NUB_X(name, number, text) JAVM_NUB_E_##name = number,
enum javm_nub_error { JAVM_NUB_ERRORS(JAVM_NUB_X) };
#undef JAVM_NUB_X
/* "unknown error" for other numbers; never NULL. */
const char *javm_nub_error_text(uint32_t number);
/* The error number of a status. */
#define JAVM_NUB_E_OF(status) (64u + (uint32_t)(status))

/* ---- packets ---------------------------------------------------------------------------- */

struct javm_nub_invoke {
    uint8_t instance_hash[JAVM_HASH_BYTES];
    uint32_t endpoint_idx;
    uint32_t pad; /* zero */
    uint64_t args[4];
    uint64_t initial_gas;
};
JAVM_NUB_ASSERT(sizeof(struct javm_nub_invoke) == 80);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_invoke, instance_hash) == 0);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_invoke, endpoint_idx) == 32);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_invoke, pad) == 36);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_invoke, args) == 40);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_invoke, initial_gas) == 72);

enum javm_nub_exit {
    JAVM_NUB_EXIT_HALT = 0, /* and a REPLY at the bottom */
    JAVM_NUB_EXIT_PANIC = 1,
    JAVM_NUB_EXIT_OUT_OF_GAS = 2,
    JAVM_NUB_EXIT_PAGE_FAULT = 3, /* exit_arg: the address */
    JAVM_NUB_EXIT_HOST_CALL = 4,  /* exit_arg: the selector */
    JAVM_NUB_EXIT_ECALL_JAR = 6,  /* exit_arg: the operation. 5 is not used */
    JAVM_NUB_EXIT_TRAP = 7        /* exit_arg: enum javm_nub_error */
};
#define JAVM_NUB_EXIT_MAX 7

#define JAVM_NUB_SCRATCHPAD_HEAD 128
struct javm_nub_result {
    uint32_t exit_reason, exit_arg;
    uint64_t return_value;  /* of a HALT, else 0 */
    uint64_t gas_remaining; /* of initial_gas; 0 when meters paid for more than that */
    uint8_t
        scratchpad_head[JAVM_NUB_SCRATCHPAD_HEAD]; /* of slot[0]'s Data; zero when there is none */
};
JAVM_NUB_ASSERT(sizeof(struct javm_nub_result) == 152);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_result, exit_reason) == 0);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_result, exit_arg) == 4);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_result, return_value) == 8);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_result, gas_remaining) == 16);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_result, scratchpad_head) == 24);

#define JAVM_NUB_MAGIC             UINT64_C(0x4A41525F424F4F54)
#define JAVM_NUB_DIRECTORY_TYPE_ID UINT64_C(0x6A61766D64697201) /* "javmdir", version 1 */
struct javm_nub_boot_info {
    uint64_t magic;
    uint64_t directory_va;      /* of the executor's directory, for debuggers */
    uint64_t directory_type_id; /* another one: another program, or version */
    uint64_t guest_va_base;     /* where the executor sees the shared region */
    uint64_t reserved[12];      /* zero */
};
JAVM_NUB_ASSERT(sizeof(struct javm_nub_boot_info) == 128);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_boot_info, magic) == 0);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_boot_info, directory_va) == 8);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_boot_info, directory_type_id) == 16);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_boot_info, guest_va_base) == 24);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_boot_info, reserved) == 32);

struct javm_nub_heap_stats {
    uint64_t allocated_bytes, allocations; /* caps of the directory */
    uint64_t fragments;                    /* free pieces, as far as the allocator tells; else 0 */
    uint64_t available_bytes;              /* of the executor's memory limit */
};
JAVM_NUB_ASSERT(sizeof(struct javm_nub_heap_stats) == 32);

enum javm_nub_slot_state {
    JAVM_NUB_SLOT_EMPTY = 0,   /* the host's: it may write job_id and packet */
    JAVM_NUB_SLOT_READY = 1,   /* stored with release */
    JAVM_NUB_SLOT_RUNNING = 2, /* taken by compare-and-swap */
    JAVM_NUB_SLOT_DONE = 3,    /* stored with release; the host copies, then stores EMPTY */
    JAVM_NUB_SLOT_STOP = 4,    /* the lane's worker is to end */
    JAVM_NUB_SLOT_STARTING = 5 /* the first state; the worker makes it EMPTY */
};
#define JAVM_NUB_SLOT_STRIDE 512
struct javm_nub_slot {
    uint32_t status; /* enum javm_nub_slot_state; atomic */
    uint32_t pad;
    uint64_t job_id; /* atomic */
    struct javm_nub_invoke packet;
    struct javm_nub_result result;
    uint8_t rest[JAVM_NUB_SLOT_STRIDE - 248];
}
#ifdef __GNUC__
__attribute__((aligned(64)))
#endif
;
JAVM_NUB_ASSERT(sizeof(struct javm_nub_slot) == JAVM_NUB_SLOT_STRIDE);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_slot, status) == 0);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_slot, pad) == 4);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_slot, job_id) == 8);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_slot, packet) == 16);
JAVM_NUB_ASSERT(offsetof(struct javm_nub_slot, result) == 96);

/* ---- archived values -------------------------------------------------------------------- */

/* The root of a WireCap, the largest of its five variants: at the end of the buffer. */
#define JAVM_NUB_WIRE_ROOT 232
/* Longer buffers are refused: relative pointers have 32 bits. */
#define JAVM_NUB_WIRE_MAX  (UINT64_C(1) << 30)

/* Content of the mapping that starts at `start`: the wire's bytes, borrowed. */
struct javm_nub_overlay {
    uint32_t start, len;
    const uint8_t *bytes;
};
/* A WireCap that was read: the cap as it stands there, and for an Instance what is to be put into
 * its mappings first (the directory is needed for that: NUB_PUT_CAP does it). */
struct javm_nub_wire {
    struct javm_cap *cap;              /* one reference */
    struct javm_nub_overlay *overlays; /* by start, no two alike */
    uint32_t overlay_count;
};

/* The archived form, malloc'ed and the caller's. LIVE: it holds a CapRef. UNSUPPORTED: the wire has
 * no place for something that it has (the text says what; docs/nub.md has the list). LIMIT, NOMEM.
 * Any thread. */
enum javm_status javm_nub_encode_cap(const struct javm_cap *cap, uint8_t **bytes, size_t *len,
                                     struct javm_error *err);
/* Any bytes. FORMAT, RANGE, LIMIT, KIND with the offset in err->where, and what admission of an
 * image refuses; NOMEM. Allocates less than 16 times `len`, and whole pages for a Data. On failure
 * *wire is empty. */
enum javm_status javm_nub_decode_cap(const uint8_t *bytes, size_t len, struct javm_nub_wire *wire,
                                     struct javm_error *err);
void javm_nub_wire_clear(struct javm_nub_wire *wire);

/* Archived InvocationResult: the packet's own bytes. FORMAT: another length, or an exit reason that
 * there is not. */
enum javm_status javm_nub_decode_result(const uint8_t *bytes, size_t len,
                                        struct javm_nub_result *result, struct javm_error *err);

#ifdef __cplusplus
}
#endif
#endif
