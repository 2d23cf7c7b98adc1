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

/* None of them but the reply is served in this version: the others end the invocation as
 * `host_call`. An operation takes φ7..φ12 and may write φ7 and φ8; it may also change any memory
 * that is mapped.
 */
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

#define JAVM_DEFINE_OPERATION(name, number)                                               \
    static inline struct javm_answer name(uint64_t a, uint64_t b, uint64_t c, uint64_t d, \
                                          uint64_t e, uint64_t f)                         \
    {                                                                                     \
        JAVM_OPERATION(number, a, b, c, d, e, f);                                         \
        return (struct javm_answer){r7, r8};                                              \
    }

/* Arguments are φ7..φ12 in order; unused ones are 0. */
JAVM_DEFINE_OPERATION(javm_mgmt_copy, 1)
JAVM_DEFINE_OPERATION(javm_mgmt_move, 2)
JAVM_DEFINE_OPERATION(javm_mgmt_drop, 3)
JAVM_DEFINE_OPERATION(javm_cnode_swap, 4)
JAVM_DEFINE_OPERATION(javm_cnode_mint, 5)
JAVM_DEFINE_OPERATION(javm_cnode_get_wide, 6)
JAVM_DEFINE_OPERATION(javm_cnode_set_wide, 7)
JAVM_DEFINE_OPERATION(javm_host_yield, 16)
JAVM_DEFINE_OPERATION(javm_set_image, 17)
JAVM_DEFINE_OPERATION(javm_derive_spawn, 18)
JAVM_DEFINE_OPERATION(javm_make_image, 19)
JAVM_DEFINE_OPERATION(javm_same_type, 20)
JAVM_DEFINE_OPERATION(javm_type_of, 21)
JAVM_DEFINE_OPERATION(javm_read_data, 22)
JAVM_DEFINE_OPERATION(javm_mint_data, 23)
JAVM_DEFINE_OPERATION(javm_file_open, 24)
JAVM_DEFINE_OPERATION(javm_file_save, 25)
JAVM_DEFINE_OPERATION(javm_call, 26)
JAVM_DEFINE_OPERATION(javm_call_resume, 27)
JAVM_DEFINE_OPERATION(javm_drop_resume, 28)
JAVM_DEFINE_OPERATION(javm_image_hash_chain, 29)
JAVM_DEFINE_OPERATION(javm_call_paused, 30)

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
