/* What a guest program includes. A program defines
 *
 *     uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3);
 *
 * which becomes endpoint 0, or declares its endpoints with JAVM_ENDPOINT. The same source also
 * compiles natively, with JAVM_NATIVE defined: then the scratchpad is a buffer of the caller's and
 * there are no operations. */
#ifndef JAVM_GUEST_H
#define JAVM_GUEST_H

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3);

#ifdef JAVM_NATIVE

/* The native stand-in for slot[0]: a buffer of at least the program's JAVM_SCRATCHPAD bytes. */
extern _Thread_local uint8_t *javm_native_scratch;
static inline uint8_t *javm_scratch(void)
{
    return javm_native_scratch;
}
#define JAVM_SCRATCHPAD(bytes) extern int javm_scratchpad_declared

#else

/* Where JAVM_SCRATCHPAD maps slot[0]. */
#define JAVM_SCRATCH_BASE 0x40000000u

/* Linker records; javm-link reads these two sections and drops them. */
struct javm_endpoint_record {
    void (*function)(void);
    uint32_t index, arguments;
};
struct javm_mapping_record {
    uint64_t start, size;
    uint8_t depth, pad[7], path[8];
};

#define JAVM_JOIN2(a, b) a##b
#define JAVM_JOIN(a, b)  JAVM_JOIN2(a, b)

/* Endpoint `index` calls function(φ7, φ8, φ9, φ10); its result is the value of the invocation. A
 * program with endpoints of its own has only those; guest_main is then not needed. */
#define JAVM_ENDPOINT(index, function)                                                         \
    __attribute__((naked, used)) static void JAVM_JOIN(javm_enter_, function)(void)            \
    {                                                                                          \
        __asm__ volatile("call %0\n\t.insn i 0x0b, 2, x0, x0, 0" : : "i"(function));           \
    }                                                                                          \
    __attribute__((section(".javm.endpoints"), used)) static const struct javm_endpoint_record \
    JAVM_JOIN(javm_endpoint_, function) = {JAVM_JOIN(javm_enter_, function), index, 4}

/* Map slot[0] at JAVM_SCRATCH_BASE, readable and writable, `bytes` long (a multiple of 4096): what
 * the caller put there can be read, what is written there the caller sees. */
#define JAVM_SCRATCHPAD(bytes)                                                             \
    __attribute__((section(".javm.mappings"),                                              \
                   used)) static const struct javm_mapping_record javm_scratch_mapping = { \
        JAVM_SCRATCH_BASE, bytes, 1, {0}, {0}}

static inline uint8_t *javm_scratch(void)
{
    return (uint8_t *)(uintptr_t)JAVM_SCRATCH_BASE;
}

/* The heap that `javm-cc --heap N` gives: its first byte, aligned to a page, and in *bytes its size
 * (0 without --heap). It begins as zeros; what a job writes there is in its post instance. */
extern volatile uint64_t __javm_heap_start, __javm_heap_end;
static inline void *javm_heap(size_t *bytes)
{
    *bytes = __javm_heap_end - __javm_heap_start;
    return (void *)(uintptr_t)__javm_heap_start;
}

/* ---- operations of the kernel ----------------------------------------------------------- */

/* An operation takes φ7..φ12 and may write φ7 and φ8; it may also change any memory that is mapped.
 * One that is misused faults the program: there is nothing to check but what is said below. */
#define JAVM_OPERATION(number, a, b, c, d, e, f)                                     \
    register uint64_t r7 __asm__("a0") = (a);                                        \
    register uint64_t r8 __asm__("a1") = (b);                                        \
    register uint64_t r9 __asm__("a2") = (c);                                        \
    register uint64_t r10 __asm__("a3") = (d);                                       \
    register uint64_t r11 __asm__("a4") = (e);                                       \
    register uint64_t r12 __asm__("a5") = (f);                                       \
    __asm__ volatile(".insn i 0x0b, 2, x0, x0, %6"                                   \
                     : "+r"(r7), "+r"(r8), "+r"(r9), "+r"(r10), "+r"(r11), "+r"(r12) \
                     : "i"(number)                                                   \
                     : "memory")

struct javm_answer {
    uint64_t value, status; /* φ7, φ8 */
};
/* The status of a call. value: what the callee replied; the key of the yield that was caught; a
 * reason, 1 trap, 2 panic, 3 page fault, 4 out of gas, 5 a yield that nobody caught, 6 a misused
 * operation, 7 too deep, 8 storage. */
enum { JAVM_OK = 0, JAVM_PAUSED = 1, JAVM_FAULTED = 2 };

#define JAVM_DO(name, number, a, b, c, d, e, f)   \
    static inline struct javm_answer name {       \
        JAVM_OPERATION(number, a, b, c, d, e, f); \
        return (struct javm_answer){r7, r8};      \
    }

/* A slot is named by its path: a number below 256 of the program's own slots, or one in a CNode in
 * one of them, in which there may be others. */
static inline uint64_t javm_path(uint64_t cnode, uint64_t slot)
{
    unsigned end = 8; /* of the CNodes on the way to this one */
    while (end < 56 && (cnode >> end & 0xFF) != 0)
        end += 8;
    return (cnode & ~(uint64_t)0xFF) | (cnode & 0xFF) << end | slot;
}
/* A key of up to 8 bytes: the first is the lowest of `bytes`. */
struct javm_guest_key {
    uint64_t bytes, len;
};
static inline struct javm_guest_key javm_key(uint64_t bytes, uint64_t len)
{
    return (struct javm_guest_key){bytes, len};
}

/* Slots. A slot that something is put into has to be empty. */
JAVM_DO(javm_mgmt_copy(uint64_t from, uint64_t to), 1, from, to, 0, 0, 0, 0)
JAVM_DO(javm_mgmt_move(uint64_t from, uint64_t to), 2, from, to, 0, 0, 0, 0)
JAVM_DO(javm_mgmt_drop(uint64_t slot), 3, slot, 0, 0, 0, 0, 0)
JAVM_DO(javm_cnode_swap(uint64_t a, uint64_t b), 4, a, b, 0, 0, 0, 0)
JAVM_DO(javm_cnode_mint(uint64_t to), 5, to, 0, 0, 0, 0, 0)
JAVM_DO(javm_cnode_get_wide(uint64_t cnode, struct javm_guest_key key, uint64_t to), 6, cnode,
        key.bytes, key.len, to, 0, 0)
/* What was under the key goes; an empty slot `from` only clears it. */
JAVM_DO(javm_cnode_set_wide(uint64_t cnode, struct javm_guest_key key, uint64_t from), 7, cnode,
        key.bytes, key.len, from, 0, 0)

/* Yields. Slot[0] goes along, and is what the one who resumes left there when it returns. */
JAVM_DO(javm_host_yield(uint64_t sender, uint64_t b, uint64_t c, uint64_t d, uint64_t e), 16,
        sender, b, c, d, e, 0)

/* Images and instances. */
JAVM_DO(javm_set_image(uint64_t image), 17, image, 0, 0, 0, 0, 0)
/* cnode: its slots, which it takes; 0: none. */
JAVM_DO(javm_derive_spawn(uint64_t image, uint64_t cnode, uint64_t to), 18, image, cnode, to, 0, 0,
        0)
JAVM_DO(javm_make_image(uint64_t data, uint64_t to), 19, data, to, 0, 0, 0, 0) /* value: 0 or why */
JAVM_DO(javm_same_type(uint64_t a, uint64_t b), 20, a, b, 0, 0, 0, 0)          /* value: 0, 1 */
JAVM_DO(javm_type_of(uint64_t instance, uint64_t to), 21, instance, to, 0, 0, 0, 0)
JAVM_DO(javm_image_hash_chain(uint64_t instance, uint64_t to), 29, instance, to, 0, 0, 0, 0)

/* Bytes. value of reading: how many. */
JAVM_DO(javm_read_data(uint64_t data, uint64_t offset, void *to, uint64_t len), 22, data, offset,
        (uintptr_t)to, len, 0, 0)
JAVM_DO(javm_mint_data(const void *from, uint64_t len, uint64_t quota, uint64_t to), 23,
        (uintptr_t)from, len, quota, to, 0, 0)
JAVM_DO(javm_file_open(uint64_t file, uint64_t to), 24, file, to, 0, 0, 0, 0)
JAVM_DO(javm_file_save(uint64_t data, uint64_t quota, uint64_t to), 25, data, quota, to, 0, 0, 0)

/* Calls: the answer says how the callee ended, or that it yields what this program catches. Then it
 * waits until it is resumed, which answers as the call did, or dropped. */
JAVM_DO(javm_call(uint64_t instance, uint64_t endpoint, uint64_t a, uint64_t b, uint64_t c,
                  uint64_t d),
        26, instance, endpoint, a, b, c, d)
JAVM_DO(javm_call_resume(void), 27, 0, 0, 0, 0, 0, 0)
/* to: a slot that keeps it, as an Instance for javm_call_paused; 0: nowhere. */
JAVM_DO(javm_drop_resume(uint64_t to), 28, to, 0, 0, 0, 0, 0)
JAVM_DO(javm_call_paused(uint64_t instance), 30, instance, 0, 0, 0, 0, 0)

/* The kernel's own keys, by a YieldSender of each (CE 01, ...). An owner may catch these too, and
 * then answers or not. */
static inline void javm_mint_yield(uint64_t sender, struct javm_guest_key key, uint64_t to_sender,
                                   uint64_t to_receiver)
{
    javm_host_yield(sender, key.bytes, key.len, to_sender, to_receiver);
}
static inline void javm_merge_receivers(uint64_t sender, uint64_t a, uint64_t b, uint64_t to)
{
    javm_host_yield(sender, a, b, to, 0);
}
/* The value that it had. */
static inline uint64_t javm_set_gas_meter(uint64_t sender, struct javm_guest_key key, uint64_t gas)
{
    return javm_host_yield(sender, key.bytes, key.len, gas, 0).value;
}
static inline void javm_mint_gas(uint64_t sender, struct javm_guest_key key, uint64_t to)
{
    javm_host_yield(sender, key.bytes, key.len, to, 0);
}
static inline uint64_t javm_set_quota(uint64_t sender, struct javm_guest_key key, uint64_t pages)
{
    return javm_host_yield(sender, key.bytes, key.len, pages, 0).value;
}
static inline void javm_mint_quota(uint64_t sender, struct javm_guest_key key, uint64_t to)
{
    javm_host_yield(sender, key.bytes, key.len, to, 0);
}
static inline uint64_t javm_attest(uint64_t sender, uint64_t data)
{
    return javm_host_yield(sender, data, 0, 0, 0).value;
}

/* Operation `selector` of the host, above 63: its answer, when it has one. */
static inline struct javm_answer javm_host_call(uint64_t selector, uint64_t a, uint64_t b,
                                                uint64_t c, uint64_t d)
{
    register uint64_t r7 __asm__("a0") = a;
    register uint64_t r8 __asm__("a1") = b;
    register uint64_t r9 __asm__("a2") = c;
    register uint64_t r10 __asm__("a3") = d;
    register uint64_t r11 __asm__("a4") = selector;
    __asm__ volatile(".insn i 0x0b, 1, x0, x0, 0"
                     : "+r"(r7), "+r"(r8), "+r"(r9), "+r"(r10), "+r"(r11)
                     :
                     : "a5", "memory");
    return (struct javm_answer){r7, r8};
}

/* End the invocation with a value. */
__attribute__((noreturn)) static inline void javm_reply(uint64_t value)
{
    JAVM_OPERATION(0, value, 0, 0, 0, 0, 0);
    (void)r8;
    __builtin_unreachable();
}

/* End the invocation with the fault `trap`. */
__attribute__((noreturn)) static inline void javm_trap(void)
{
    __asm__ volatile(".insn i 0x0b, 0, x0, x0, 0");
    __builtin_unreachable();
}

#endif
#endif
