/* Making the machine: one vcpu that begins in the guest kernel, in 64-bit mode, and memory. */
#if defined(__x86_64__)
#include "vm/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CODE_PHYSICAL   (UINT64_C(1) << 30)
#define POOL_PHYSICAL   (UINT64_C(5) << 30)
#define WINDOW_PHYSICAL (UINT64_C(8) << 30)
#define WINDOW_SPACING  ((UINT64_C(1) << 32) + (UINT64_C(64) << 20))
#define POOL_STEP       (UINT64_C(1) << 20)
#define TSS_OF_VMX      0xFFFBD000u /* three pages that some processors want for themselves */
#define CPUID_MAX       256u

#define CR0_PE          UINT64_C(0x1)
#define CR0_EM          UINT64_C(0x4) /* no x87, no SSE: generated code has none */
#define CR0_NE          UINT64_C(0x20)
#define CR0_WP          UINT64_C(0x10000)
#define CR0_PG          UINT64_C(0x80000000)
#define CR4_TSD         UINT64_C(0x4)
#define CR4_PAE         UINT64_C(0x20)
#define CR4_UMIP        (UINT64_C(1) << 11)
#define CR4_SMEP        (UINT64_C(1) << 20)
#define CR4_SMAP        (UINT64_C(1) << 21)
#define EFER_LME_LMA_NX UINT64_C(0xD00) /* and not SCE: no syscall */

/* ---- the vcpu --------------------------------------------------------------------------- */

/* What there is of the processor's own walls. */
static uint64_t walls(const struct kvm_cpuid2 *cpuid)
{
    uint64_t cr4 = 0;
    for (uint32_t i = 0; i < cpuid->nent; i++) {
        const struct kvm_cpuid_entry2 *leaf = &cpuid->entries[i];
        if (leaf->function == 7 && leaf->index == 0)
            cr4 = (leaf->ebx >> 7 & 1 ? CR4_SMEP : 0) | (leaf->ebx >> 20 & 1 ? CR4_SMAP : 0) |
                  (leaf->ecx >> 2 & 1 ? CR4_UMIP : 0);
    }
    return cr4;
}

static bool set_registers(const struct machine *m, uint64_t cr4, uint64_t begin, uint64_t root)
{
    struct kvm_sregs s;
    if (ioctl(m->vcpu, KVM_GET_SREGS, &s) != 0)
        return false;
    s.cs = (struct kvm_segment){
        .limit = ~0u, .selector = KERNEL_CS, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
    s.ss = (struct kvm_segment){
        .limit = ~0u, .selector = KERNEL_SS, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    /* Ring 3's: those of ring 0 would lose their base on the way there. */
    s.ds = s.ss;
    s.ds.selector = USER_SS;
    s.ds.dpl = 3;
    s.es = s.fs = s.gs = s.ds;
    s.tr = (struct kvm_segment){
        .base = KERNEL_DATA + 0x100, .limit = 0x67, .selector = TSS_AT, .type = 11, .present = 1};
    s.ldt = (struct kvm_segment){.unusable = 1, .type = 2};
    s.gdt.base = KERNEL_DATA;
    s.gdt.limit = TSS_AT + 15;
    s.idt.base = KERNEL_DATA + 0x200;
    s.idt.limit = VECTORS * 16 - 1;
    s.cr0 = CR0_PE | CR0_EM | 0x10 | CR0_NE | CR0_WP | CR0_PG;
    s.cr3 = root;
    s.cr4 = CR4_PAE | CR4_TSD | cr4;
    s.efer = EFER_LME_LMA_NX;
    const struct kvm_regs regs = {.rip = begin, .rflags = 2, .rsp = KERNEL_STACK + FRAME_AT};
    return ioctl(m->vcpu, KVM_SET_SREGS, &s) == 0 && ioctl(m->vcpu, KVM_SET_REGS, &regs) == 0;
}

/* The features that the system can give, and where to begin. */
static bool set_processor(struct machine *m, int kvm)
{
    struct kvm_cpuid2 *cpuid =
        calloc(1, sizeof *cpuid + CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
    if (cpuid == NULL)
        return false;
    cpuid->nent = CPUID_MAX;
    /* Any tables with the kernel in them will do to begin with. */
    struct window first = {.machine = m};
    pages_begin(&first);
    const bool done = ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) == 0 &&
                      ioctl(m->vcpu, KVM_SET_CPUID2, cpuid) == 0 &&
                      set_registers(m, walls(cpuid), kernel_write(m->low), first.root);
    free(cpuid);
    return done;
}

static bool open_pool(struct machine *m, uint64_t end)
{
    const uint64_t open = (end + POOL_STEP - 1) & ~(POOL_STEP - 1);
    uint8_t *const from =
        (uint8_t *)m->pool.at + m->pool_open; /* NOLINT(performance-no-int-to-ptr) */
    const bool opened = mprotect(from, open - m->pool_open, PROT_READ | PROT_WRITE) == 0;
    if (opened)
        m->pool_open = open;
    return opened;
}

/* ---- creation --------------------------------------------------------------------------- */

static enum javm_status no_device(const char *device, struct javm_error *err)
{
    const int why = errno;
    const char *help =
        why == ENOENT || why == ENXIO || why == ENODEV
            ? "switch virtualization on in the firmware and load the module kvm_intel "
              "or kvm_amd"
        : why == EACCES || why == EPERM ? "join its group (kvm)"
                                        : "see the kernel's log";
    return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                     "kvm: cannot open %s: %s; %s, or take the "
                     "process backend",
                     device, strerror(why), help);
}

static enum javm_status lacks(const char *what, struct javm_error *err)
{
    return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE, "kvm: the system refuses %s: %s", what,
                     strerror(errno));
}

static enum javm_status set_up(struct machine *m, int kvm, struct javm_error *err)
{
    const int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    errno = 0;
    if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION || size <= 0)
        return lacks("version 12 of its interface", err);
    m->vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (m->vm < 0)
        return lacks("a machine", err);
    (void)ioctl(m->vm, KVM_SET_TSS_ADDR, (unsigned long)TSS_OF_VMX); /* who wants it, says so */
    m->low = mmap(NULL, LOW_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void *pool =
        mmap(NULL, POOL_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m->low == MAP_FAILED || pool == MAP_FAILED) {
        m->low = m->low == MAP_FAILED ? NULL : m->low;
        if (pool != MAP_FAILED)
            munmap(pool, POOL_BYTES);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "kvm: no memory: %s", strerror(errno));
    }
    m->pool = (struct span){(uintptr_t)pool, POOL_BYTES, 0};
    m->pool.physical = pages_congruent(POOL_PHYSICAL, m->pool.at);
    if (!open_pool(m, 1)) /* before there are limits: small programs need no more */
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "kvm: no memory: %s", strerror(errno));
    const struct span low = {(uintptr_t)m->low, LOW_BYTES, 0};
    if (!pages_give(m, SLOT_KERNEL, &low, false) || !pages_give(m, SLOT_POOL, &m->pool, true))
        return lacks("memory for a machine", err);
    m->vcpu = ioctl(m->vm, KVM_CREATE_VCPU, 0);
    if (m->vcpu < 0)
        return lacks("a processor", err);
    m->run_bytes = (size_t)size;
    m->run = mmap(NULL, m->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
    if (m->run == MAP_FAILED) {
        m->run = NULL;
        return lacks("a processor's page", err);
    }
    if (!set_processor(m, kvm))
        return lacks("64-bit mode", err);
    m->frame = (struct kernel_frame *)(void *)(m->low + 2 * 4096 + FRAME_AT);
    m->mailbox = (struct kernel_mailbox *)(void *)(m->low + 2 * 4096 + STACK_USED);
    return JAVM_OK;
}

enum javm_status machine_create(const char *device, struct machine **machine,
                                struct javm_error *err)
{
    struct machine *m = calloc(1, sizeof *m);
    if (m == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "kvm: out of memory");
    m->vm = m->vcpu = -1;
    m->generation = 1;
    const int kvm = open(device, O_RDWR | O_CLOEXEC);
    enum javm_status status = kvm < 0 ? no_device(device, err) : set_up(m, kvm, err);
    if (kvm >= 0)
        close(kvm);
    if (status == JAVM_OK)
        *machine = m;
    else
        machine_destroy(m);
    return status;
}

void machine_destroy(struct machine *m)
{
    if (m == NULL)
        return;
    for (unsigned i = 0; i < WINDOWS; i++) {
        if (m->windows[i] != NULL)
            m->windows[i]->memory->mirror = NULL;
        free(m->windows[i]);
    }
    if (m->run != NULL)
        munmap(m->run, m->run_bytes);
    if (m->vcpu >= 0)
        close(m->vcpu);
    if (m->vm >= 0)
        close(m->vm);
    if (m->low != NULL)
        munmap(m->low, LOW_BYTES);
    if (m->pool.at != 0)
        munmap((void *)m->pool.at, POOL_BYTES); /* NOLINT(performance-no-int-to-ptr) */
    free(m);
}

void machine_descriptors(const struct machine *m, int *vm, int *vcpu)
{
    *vm = m->vm;
    *vcpu = m->vcpu;
}

enum javm_status machine_set_code(struct machine *m, const uint8_t *executable, uint64_t bytes,
                                  struct javm_error *err)
{
    m->code = (struct span){(uintptr_t)executable, bytes,
                            pages_congruent(CODE_PHYSICAL, (uintptr_t)executable)};
    return pages_give(m, SLOT_CODE, &m->code, true) ? JAVM_OK
                                                    : lacks("memory for compiled code", err);
}

void machine_set_ways(struct machine *m, uint64_t enter, uint64_t gate)
{
    m->enter = enter;
    m->gate = gate;
}

/* ---- memory that ring 3 can read -------------------------------------------------------- */

/* Blocks have a power of two of pages and one more: tables have an entry behind their end. */
static unsigned size_of(size_t bytes, size_t *block)
{
    unsigned size = 0;
    while ((((size_t)1 << size) + 1) * 4096 < bytes)
        size++;
    *block = (((size_t)1 << size) + 1) * 4096;
    return size;
}

void *machine_alloc(struct machine *m, size_t bytes)
{
    size_t block;
    const unsigned size = bytes <= POOL_BYTES ? size_of(bytes, &block) : POOL_SIZES;
    if (size >= POOL_SIZES)
        return NULL;
    if (m->idle[size] != NULL) {
        void **found = m->idle[size];
        m->idle[size] = *found;
        *found = NULL;
        return found;
    }
    if (block > POOL_BYTES - m->pool_used)
        return NULL;
    uint8_t *const pool = (uint8_t *)m->pool.at; /* NOLINT(performance-no-int-to-ptr) */
    const uint64_t end = m->pool_used + block;
    if (end > m->pool_open && !open_pool(m, end))
        return NULL;
    m->pool_used = end;
    return pool + end - block;
}

void machine_free(struct machine *m, void *at, size_t bytes)
{
    size_t block;
    if (at == NULL)
        return;
    const unsigned size = size_of(bytes, &block);
    if (madvise(at, block, MADV_DONTNEED) != 0)
        memset(at, 0, block);
    *(void **)at = m->idle[size];
    m->idle[size] = at;
}

/* ---- windows ---------------------------------------------------------------------------- */

static void window_end(struct memory_mirror *mirror)
{
    struct window *window = (struct window *)(void *)mirror;
    struct machine *m = window->machine;
    window->span.bytes = 0;
    if (!pages_give(m, window->slot, &window->span, false))
        abort(); /* nothing may show memory that is somebody else's soon */
    if (m->current == window)
        m->current = NULL;
    m->windows[window->slot - SLOT_WINDOWS] = NULL;
    free(window);
}

bool machine_ready(struct machine *m, struct javm_memory *memory)
{
    unsigned number = 0;
    if (memory->mirror != NULL)
        return ((struct window *)(void *)memory->mirror)->machine == m;
    while (number < WINDOWS && m->windows[number] != NULL)
        number++;
    struct window *window = number < WINDOWS ? calloc(1, sizeof *window) : NULL;
    if (window == NULL)
        return false;
    const uint64_t low = (uint64_t)(int64_t)(MEMORY_STACK_TOP - MEMORY_STACK_BYTES);
    window->mirror = (struct memory_mirror){window_forget, window_end};
    window->machine = m;
    window->memory = memory;
    window->slot = SLOT_WINDOWS + number;
    window->span = (struct span){(uintptr_t)memory->base + low, (UINT64_C(1) << 32) - low, 0};
    window->span.physical =
        pages_congruent(WINDOW_PHYSICAL + number * WINDOW_SPACING, window->span.at);
    if (!pages_give(m, window->slot, &window->span, false)) {
        free(window);
        return false;
    }
    m->windows[number] = window;
    memory->mirror = &window->mirror;
    return true;
}
#else
/* Where there is no recompiler, there are no machines. */
#include "vm/kvm/machine.h"

enum javm_status machine_create(const char *device, struct machine **machine,
                                struct javm_error *err)
{
    (void)machine;
    return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE, "kvm: %s: not in this build", device);
}

void machine_destroy(struct machine *machine)
{
    (void)machine;
}

void machine_descriptors(const struct machine *machine, int *vm, int *vcpu)
{
    (void)machine;
    *vm = *vcpu = -1;
}

enum javm_status machine_set_code(struct machine *machine, const uint8_t *executable,
                                  uint64_t bytes, struct javm_error *err)
{
    (void)bytes;
    (void)machine;
    (void)executable;
    return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE, "kvm: not in this build");
}

void machine_set_ways(struct machine *machine, uint64_t enter, uint64_t gate)
{
    (void)gate;
    (void)enter;
    (void)machine;
}

void *machine_alloc(struct machine *machine, size_t bytes)
{
    (void)bytes;
    (void)machine;
    return NULL;
}

void machine_free(struct machine *machine, void *at, size_t bytes)
{
    (void)at;
    (void)bytes;
    (void)machine;
}
#endif
