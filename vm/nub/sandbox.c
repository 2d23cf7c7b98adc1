#include "vm/nub/sandbox.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vm/nub/sanitized.h"

/* Frames of deep call stacks reserve 4 GiB of addresses each. A limit all the same: every 2 MiB of
 * addresses that are only read cost a page of tables. */
#define ADDRESSES (UINT64_C(2) << 40)
#define STACK     (UINT64_C(8) << 20)

static enum javm_status refused(struct javm_error *err, const char *what)
{
    return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE, "isolation: the system refuses %s: %s",
                     what, strerror(errno));
}

static bool close_from(unsigned first, unsigned last)
{
    return first > last || syscall(SYS_close_range, first, last, 0) == 0;
}

enum javm_status nub_sandbox_begin(int parent, int keep, struct javm_error *err)
{
    if (setsid() < 0)
        return refused(err, "a session");
    if (parent >= 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return refused(err, "a signal at the parent's end");
    if (parent >= 0 && getppid() != parent) /* it ended before the signal was asked for */
        _exit(1);
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY);
    if (fd >= 0) { /* without /proc, others may be chosen */
        (void)!write(fd, "1000", 4);
        close(fd);
    }
    if (keep < 0 ? !close_from(0, ~0u)
                 : !(keep == 0 || close_from(0, (unsigned)keep - 1)) ||
                       !close_from((unsigned)keep + 1, ~0u))
        return refused(err, "to close descriptors");
    return JAVM_OK;
}

static bool limit(int resource, uint64_t value)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) != 0)
        return false;
    if (value > now.rlim_max)
        value = now.rlim_max;
    const struct rlimit limit = {value, value};
    return setrlimit((__rlimit_resource_t)resource, &limit) == 0;
}

static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    const struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    return syscall(SYS_capset, &header, none) == 0;
}

/* ---- the filter ------------------------------------------------------------------------- */

#define ARG(n)       (offsetof(struct seccomp_data, args) + 8 * (n)) /* its lower half */
#define LOAD(at)     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(at))
#define RETURN(as)   BPF_STMT(BPF_RET | BPF_K, (as))
#define UNLESS(n, k) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (n), 0, (k)) /* skip k */
#define WHEN(n, k)   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (n), (k), 0)
#define ALLOW(nr)    UNLESS(nr, 1), RETURN(SECCOMP_RET_ALLOW)
#define DIE          RETURN(SECCOMP_RET_KILL_PROCESS)

/* What mmap may be asked for: memory that RLIMIT_DATA counts. */
#define MAP_LOOKED_AT (MAP_TYPE | MAP_ANONYMOUS | MAP_GROWSDOWN)

static const struct sock_filter FILTER[] = {
    LOAD(offsetof(struct seccomp_data, arch)),
    WHEN(AUDIT_ARCH_X86_64, 1),
    DIE,
    LOAD(offsetof(struct seccomp_data, nr)),
    ALLOW(SYS_futex),
    ALLOW(SYS_madvise),
    ALLOW(SYS_munmap),
    ALLOW(SYS_rt_sigreturn),
    ALLOW(SYS_sigaltstack),
    ALLOW(SYS_clock_gettime),
    ALLOW(SYS_brk),
    ALLOW(SYS_sched_yield),
    ALLOW(SYS_rt_sigprocmask),
    ALLOW(SYS_restart_syscall),
    ALLOW(SYS_exit_group),
    ALLOW(SYS_exit),
    UNLESS(SYS_mmap, 8),
    LOAD(ARG(3)),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, MAP_LOOKED_AT),
    WHEN(MAP_PRIVATE | MAP_ANONYMOUS, 1),
    DIE,
    LOAD(ARG(2)),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
    DIE,
    RETURN(SECCOMP_RET_ALLOW),
    UNLESS(SYS_mprotect, 4),
    LOAD(ARG(2)),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
    DIE,
    RETURN(SECCOMP_RET_ALLOW),
    /* How the recompiler sets its base where the processor's own instruction is off. */
    UNLESS(SYS_arch_prctl, 5),
    LOAD(ARG(0)),
    WHEN(ARCH_SET_GS, 2),
    WHEN(ARCH_GET_GS, 1),
    DIE,
    RETURN(SECCOMP_RET_ALLOW),
    /* realloc tries it and does without. */
    UNLESS(SYS_mremap, 1),
    RETURN(SECCOMP_RET_ERRNO | ENOMEM),
};
#define FILTER_LENGTH  (sizeof FILTER / sizeof *FILTER)
#define MACHINE_LENGTH 11u

/* Ends in DIE for all that came so far. Returns the length. */
static unsigned short complete_filter(struct sock_filter *to, const struct nub_machine *machine)
{
    const struct sock_filter end = DIE;
    const struct sock_filter runs[MACHINE_LENGTH] = {
        UNLESS(SYS_ioctl, 10),
        LOAD(ARG(1)),
        UNLESS(KVM_RUN, 3),
        LOAD(ARG(0)),
        WHEN((uint32_t)machine->vcpu, 4),
        DIE,
        UNLESS(KVM_SET_USER_MEMORY_REGION, 3),
        LOAD(ARG(0)),
        UNLESS((uint32_t)machine->vm, 1),
        RETURN(SECCOMP_RET_ALLOW),
        DIE,
    };
    unsigned short len = FILTER_LENGTH;
    memcpy(to, FILTER, sizeof FILTER);
    if (machine->used) {
        memcpy(to + len, runs, sizeof runs);
        len += MACHINE_LENGTH;
    }
    to[len++] = end;
    return len;
}

/* All descriptors but the machine's. */
static bool close_all(const struct nub_machine *machine)
{
    if (!machine->used)
        return close_from(0, ~0u);
    const unsigned vm = (unsigned)machine->vm, vcpu = (unsigned)machine->vcpu;
    const unsigned low = vm < vcpu ? vm : vcpu, high = vm < vcpu ? vcpu : vm;
    return (low == 0 || close_from(0, low - 1)) && close_from(low + 1, high - 1) &&
           close_from(high + 1, ~0u);
}

enum javm_status nub_sandbox_enter(uint64_t memory_bytes, const struct nub_machine *machine,
                                   struct javm_error *err)
{
    struct sock_filter code[FILTER_LENGTH + MACHINE_LENGTH + 1];
    const struct sock_fprog filter = {complete_filter(code, machine), code};
    if (!close_all(machine))
        return refused(err, "to close descriptors");
    /* A sanitizer's shadow is larger than any limit. */
    const bool limited =
        limit(RLIMIT_CORE, 0) && limit(RLIMIT_NOFILE, 0) && limit(RLIMIT_FSIZE, 0) &&
        limit(RLIMIT_NPROC, 0) && limit(RLIMIT_MEMLOCK, 0) && limit(RLIMIT_MSGQUEUE, 0) &&
        limit(RLIMIT_STACK, STACK) &&
        (NUB_SANITIZED || (limit(RLIMIT_DATA, memory_bytes) && limit(RLIMIT_AS, ADDRESSES)));
    if (!limited)
        return refused(err, "limits");
    if (!drop_capabilities())
        return refused(err, "to drop capabilities");
    if (prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return refused(err, "to give up privileges");
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        return refused(err, "a filter of system calls");
    return JAVM_OK;
}
