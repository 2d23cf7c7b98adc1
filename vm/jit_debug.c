/* Generated code for debuggers: unwind tables, symbols, perf's map.
 *
 * Guest code has one frame, whatever the guest called: rsp points into the stack of return
 * addresses, which lies at a fixed distance from the context, which has the C side's rsp. That is
 * one rule for the whole arena, so that nothing has to be done for a region. The ways in and out
 * change stacks and have rules of their own. */
#include "vm/jit_debug.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unwind.h>

#include "vm/jit_context.h"
#include "vm/jit_store.h"

/* ---- perf's map ------------------------------------------------------------------------- */

#define LINE_BYTES 80u /* of a line of the map, at most */

/* One for the process. perf reads it when the process has ended, so it stays. */
static struct {
    pthread_mutex_t lock;
    pid_t process; /* whose file this is: after fork it is the parent's */
    int file;      /* -1: none, or no longer */
} map = {.lock = PTHREAD_MUTEX_INITIALIZER, .file = -1};

/* The name is known beforehand and the directory everybody's: only a new file or one of ours, left
 * by a process of the same number, will do. */
static int open_map(void)
{
    char path[64];
    struct stat is;
    snprintf(path, sizeof path, "/tmp/perf-%ld.map", (long)getpid());
    const int file =
        open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (file < 0)
        return -1;
    if (fstat(file, &is) == 0 && S_ISREG(is.st_mode) && is.st_uid == geteuid() &&
        is.st_nlink == 1 && ftruncate(file, 0) == 0)
        return file;
    close(file);
    return -1;
}

/* Would this many bytes more raise SIGXFSZ? */
static bool fits(int file, size_t len)
{
    struct rlimit limit;
    struct stat is;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && fstat(file, &is) == 0 &&
           (limit.rlim_cur == RLIM_INFINITY || (uint64_t)is.st_size + len <= limit.rlim_cur);
}

static void write_map(const char *text, size_t len)
{
    pthread_mutex_lock(&map.lock);
    if (map.process != getpid()) {
        if (map.file >= 0)
            close(map.file);
        map.process = getpid();
        map.file = open_map();
    }
    /* After a line that is not whole no other may follow. */
    if (map.file >= 0 && (!fits(map.file, len) || write(map.file, text, len) != (ssize_t)len)) {
        close(map.file);
        map.file = -1;
    }
    pthread_mutex_unlock(&map.lock);
}

/* perf looks into the map for memory that belongs to no file, and a memfd counts as a file. Memory
 * that is shared without a file can be mapped twice as well, by mremap. */
static void leave_memfd(struct jit_arena *arena)
{
    void *writable = mmap(NULL, arena->bytes, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (writable == MAP_FAILED)
        return;
    void *executable = mremap(writable, 0, arena->bytes, MREMAP_MAYMOVE);
    if (executable == MAP_FAILED) {
        munmap(writable, arena->bytes);
        return;
    }
    if (mprotect(executable, arena->bytes, PROT_READ | PROT_EXEC) == 0) {
        void *const had[] = {arena->writable, (void *)(uintptr_t)arena->executable};
        memcpy(writable, arena->writable, JIT_STUB_BYTES);
        arena->writable = writable;
        arena->executable = executable;
        writable = had[0];
        executable = had[1];
    }
    munmap(writable, arena->bytes);
    munmap(executable, arena->bytes);
}

void jit_debug_published(const struct javm_native *native, const struct jit_region *region)
{
    if (!native->jit->perf_map)
        return;
    char *const text = malloc((region->block_count + 1) * (size_t)LINE_BYTES);
    if (text == NULL)
        return;
    char name[16] = "anonymous";
    if (native->entry != NULL) {
        const uint8_t *hash = native->entry->name.bytes;
        snprintf(name, sizeof name, "%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
    }
    const uint8_t *const code = native->jit->arena->executable + region->code_at;
    size_t len = 0;
    for (uint32_t i = 0; i < region->block_count; i++) {
        const struct jit_site *block = &region->blocks[i];
        const uint32_t end =
            i + 1 < region->block_count ? region->blocks[i + 1].native : region->stubs_at;
        len += (size_t)snprintf(text + len, LINE_BYTES, "%llx %x pvm2:%s+0x%x\n",
                                (unsigned long long)(uintptr_t)(code + block->native),
                                end - block->native, name, block->pc);
    }
    if (region->code_len != region->stubs_at)
        len += (size_t)snprintf(text + len, LINE_BYTES, "%llx %x pvm2:%s+0x%x-slots\n",
                                (unsigned long long)(uintptr_t)(code + region->stubs_at),
                                region->code_len - region->stubs_at, name, region->pc_first);
    write_map(text, len);
    free(text);
}

/* ---- unwind tables ---------------------------------------------------------------------- */

/* Numbers of registers in DWARF. */
enum { DW_RBX = 3, DW_RBP = 6, DW_RSP = 7, DW_RIP = 16 };

enum {
    DW_CFA_ADVANCE = 0x40,
    DW_CFA_OFFSET = 0x80,
    DW_CFA_RESTORE = 0xC0,
    DW_CFA_DEF_CFA = 0x0C,
    DW_CFA_DEF_CFA_OFFSET = 0x0E,
    DW_CFA_DEF_CFA_EXPRESSION = 0x0F,
    DW_OP_DEREF = 0x06,
    DW_OP_CONST4S = 0x0D,
    DW_OP_AND = 0x1A,
    DW_OP_PLUS_UCONST = 0x23,
    DW_OP_BREG7 = 0x77
};

/* As the way in pushes them, and how long push and pop of each are (jit_stubs.c). */
static const struct {
    uint8_t dwarf, len;
} saved[] = {{DW_RBX, 1}, {DW_RBP, 1}, {12, 2}, {13, 2}, {14, 2}, {15, 2}};
#define SAVED        (sizeof saved / sizeof *saved)
#define FRAME_BYTES  (8 * (SAVED + 1)) /* from host_rsp to the CFA: they and the return address */
#define CONTEXT_MOVE 9u                /* bytes of a move from or to the context */
#define POPS_BYTES   11u               /* the pops and the return, the last of the way out */

struct bytes {
    uint8_t *at;
};

static void put(struct bytes *b, unsigned byte)
{
    *b->at++ = (uint8_t)byte;
}

static void put_number(struct bytes *b, uint64_t value, size_t size)
{
    memcpy(b->at, &value, size);
    b->at += size;
}

static void put_uleb(struct bytes *b, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put(b, 0x80u | (value & 0x7F));
    put(b, (unsigned)value);
}

/* Of any record: pad it with DW_CFA_nop and fill in its length. */
static void close_record(struct bytes *b, uint8_t *record)
{
    while ((b->at - record) % 8 != 0)
        put(b, 0);
    const uint32_t len = (uint32_t)(b->at - record - 4);
    memcpy(record, &len, sizeof len);
}

/* What holds where nothing else is said: as at the entry of a function. */
static void put_common(struct bytes *b)
{
    uint8_t *const record = b->at;
    put_number(b, 0, 4);
    put_number(b, 0, 4); /* no FDE */
    put(b, 1);           /* version */
    put(b, 0);           /* no augmentation */
    put(b, 1);           /* code is counted in bytes */
    put(b, 0x78);        /* stack in -8 */
    put(b, DW_RIP);
    put(b, DW_CFA_DEF_CFA);
    put_uleb(b, DW_RSP);
    put_uleb(b, 8);
    put(b, DW_CFA_OFFSET | DW_RIP);
    put_uleb(b, 1);
    close_record(b, record);
}

static uint8_t *open_range(struct bytes *b, const uint8_t *common, const uint8_t *from,
                           const uint8_t *to)
{
    uint8_t *const record = b->at;
    put_number(b, 0, 4);
    put_number(b, (uint64_t)(b->at - common), 4);
    put_number(b, (uintptr_t)from, 8);
    put_number(b, (uint64_t)(to - from), 8);
    return record;
}

static void put_saved(struct bytes *b)
{
    for (size_t i = 0; i < SAVED; i++) {
        put(b, DW_CFA_OFFSET | saved[i].dwarf);
        put_uleb(b, i + 2);
    }
}

/* CFA = FRAME_BYTES + host_rsp of the context that belongs to the stack with rsp + adjust in it. */
static void put_guest_cfa(struct bytes *b, int adjust)
{
    const int64_t distance = MEMORY_CONTEXT + (int64_t)offsetof(struct jit_context, host_rsp) -
                             (MEMORY_STACK_TOP - MEMORY_STACK_BYTES);
    uint8_t expression[32];
    struct bytes e = {expression};
    put(&e, DW_OP_BREG7);
    put(&e, (unsigned)adjust & 0x7F); /* one byte of sleb128 */
    put(&e, DW_OP_CONST4S);
    put_number(&e, (uint32_t)-MEMORY_STACK_BYTES, 4);
    put(&e, DW_OP_AND);
    put(&e, DW_OP_PLUS_UCONST);
    put_uleb(&e, (uint64_t)distance);
    put(&e, DW_OP_DEREF);
    put(&e, DW_OP_PLUS_UCONST);
    put_uleb(&e, FRAME_BYTES);
    put(b, DW_CFA_DEF_CFA_EXPRESSION);
    put_uleb(b, (uint64_t)(e.at - expression));
    memcpy(b->at, expression, (size_t)(e.at - expression));
    b->at += e.at - expression;
}

static void put_guest_range(struct bytes *b, const uint8_t *common, const uint8_t *from,
                            const uint8_t *to, int adjust)
{
    uint8_t *const record = open_range(b, common, from, to);
    put_guest_cfa(b, adjust);
    put_saved(b);
    close_record(b, record);
}

/* Pushes; host_rsp is stored; rax, rcx, rdx, rbx and rsp are loaded: from there on as in a guest.
 */
static void put_enter_range(struct bytes *b, const uint8_t *common, const uint8_t *from,
                            const uint8_t *to)
{
    uint8_t *const record = open_range(b, common, from, to);
    for (size_t i = 0; i < SAVED; i++) {
        put(b, DW_CFA_ADVANCE | saved[i].len);
        put(b, DW_CFA_DEF_CFA_OFFSET);
        put_uleb(b, 8 * (i + 2));
        put(b, DW_CFA_OFFSET | saved[i].dwarf);
        put_uleb(b, i + 2);
    }
    put(b, DW_CFA_ADVANCE | (2 + RSP) * CONTEXT_MOVE);
    put_guest_cfa(b, 0);
    close_record(b, record);
}

/* rsp is the C side's again. */
static void put_pops_range(struct bytes *b, const uint8_t *common, const uint8_t *from,
                           const uint8_t *to)
{
    uint8_t *const record = open_range(b, common, from, to);
    put(b, DW_CFA_DEF_CFA_OFFSET);
    put_uleb(b, FRAME_BYTES);
    put_saved(b);
    for (size_t i = SAVED; i-- > 0;) {
        put(b, DW_CFA_ADVANCE | saved[i].len);
        put(b, DW_CFA_DEF_CFA_OFFSET);
        put_uleb(b, 8 * (i + 1));
        put(b, DW_CFA_RESTORE | saved[i].dwarf);
    }
    close_record(b, record);
}

static size_t write_table(const struct javm_jit *jit, uint8_t *table)
{
    const uint8_t *const begin = jit->arena->executable;
    const uint8_t *const enter = begin + jit->enter_stub, *const bottom = begin + jit->bottom_stub,
                         *const back = begin + jit->return_stub;
    struct bytes b = {table};
    put_common(&b);
    put_guest_range(&b, table, begin, enter - POPS_BYTES, 0);
    put_pops_range(&b, table, enter - POPS_BYTES, enter);
    put_enter_range(&b, table, enter, bottom);
    /* The bottom of the stack was popped: rsp is at its end, which is no longer in it. */
    put_guest_range(&b, table, bottom, back, -8);
    put_guest_range(&b, table, back, begin + jit->arena->bytes, 0);
    put_number(&b, 0, 4);
    return (size_t)(b.at - table);
}

/* libgcc's, which has no header for it. The second argument is room of its own; crtbegin.o of every
 * compiler gives it eight pointers. */
void __register_frame_info(const void *table, void *room);
void *__deregister_frame_info(const void *table);

/* ---- gdb -------------------------------------------------------------------------------- */

/* gdb's interface: it stops at the function and then reads the list, or reads it when it comes to a
 * running process. It knows the two by their names. Weak: other generators of code in the process
 * may have them too, and one list serves all. */
enum { JIT_NOACTION, JIT_REGISTER, JIT_UNREGISTER };

struct jit_code_entry {
    struct jit_code_entry *next_entry, *prev_entry;
    const char *symfile_addr;
    uint64_t symfile_size;
};

struct jit_descriptor {
    uint32_t version, action_flag;
    struct jit_code_entry *relevant_entry, *first_entry;
};

extern struct jit_descriptor __jit_debug_descriptor;
void __jit_debug_register_code(void);

__attribute__((weak)) struct jit_descriptor __jit_debug_descriptor = {.version = 1};

__attribute__((weak, noinline)) void __jit_debug_register_code(void)
{
    __asm__ volatile("" ::: "memory");
}

/* What gdb reads as an object file. */
enum { SECTION_NONE, SECTION_TEXT, SECTION_TABLE, SECTION_SYMBOLS, SECTION_NAMES, SECTIONS };
enum { SYMBOL_NONE, SYMBOL_EXITS, SYMBOL_ENTER, SYMBOL_RETURN, SYMBOL_GUEST, SYMBOLS };

#define NAME_BYTES 16u

struct object {
    Elf64_Ehdr header;
    Elf64_Shdr sections[SECTIONS];
    Elf64_Sym symbols[SYMBOLS];
    char names[SECTIONS + SYMBOLS][NAME_BYTES]; /* those of sections first */
    uint8_t table[768];
};

/* One for each arena. */
struct debug_arena {
    struct debug_arena *next;
    const struct javm_jit *jit;
    void *registered[8]; /* libgcc's */
    struct jit_code_entry entry;
    struct object object;
};

static pthread_mutex_t arenas_lock = PTHREAD_MUTEX_INITIALIZER; /* the list and gdb's descriptor */
static struct debug_arena *arenas;

static void put_symbol(struct object *o, unsigned i, const char *name, const uint8_t *from,
                       const uint8_t *to)
{
    snprintf(o->names[SECTIONS + i], NAME_BYTES, "%s", name);
    o->symbols[i] = (Elf64_Sym){.st_name = (SECTIONS + i) * NAME_BYTES,
                                .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                                .st_shndx = SECTION_TEXT,
                                .st_value = (uintptr_t)from,
                                .st_size = (uint64_t)(to - from)};
}

static void put_section(struct object *o, unsigned i, const char *name, Elf64_Shdr section)
{
    snprintf(o->names[i], NAME_BYTES, "%s", name);
    section.sh_name = i * NAME_BYTES;
    o->sections[i] = section;
}

static void write_object(const struct javm_jit *jit, struct object *o)
{
    const uint8_t *const begin = jit->arena->executable, *const end = begin + jit->arena->bytes;
    const size_t table_bytes = write_table(jit, o->table);
    o->header = (Elf64_Ehdr){
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC, /* symbols are addresses */
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_shoff = offsetof(struct object, sections),
        .e_ehsize = sizeof o->header,
        .e_shentsize = sizeof *o->sections,
        .e_shnum = SECTIONS,
        .e_shstrndx = SECTION_NAMES};
    put_section(o, SECTION_TEXT, ".text",
                (Elf64_Shdr){.sh_type = SHT_NOBITS,
                             .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                             .sh_addr = (uintptr_t)begin,
                             .sh_offset = sizeof o->header,
                             .sh_size = jit->arena->bytes,
                             .sh_addralign = 1});
    put_section(o, SECTION_TABLE, ".eh_frame",
                (Elf64_Shdr){.sh_type = SHT_PROGBITS,
                             .sh_flags = SHF_ALLOC,
                             .sh_addr = (uintptr_t)o->table,
                             .sh_offset = offsetof(struct object, table),
                             .sh_size = table_bytes,
                             .sh_addralign = 8});
    put_section(o, SECTION_SYMBOLS, ".symtab",
                (Elf64_Shdr){.sh_type = SHT_SYMTAB,
                             .sh_offset = offsetof(struct object, symbols),
                             .sh_size = sizeof o->symbols,
                             .sh_link = SECTION_NAMES,
                             .sh_info = 1,
                             .sh_addralign = 8,
                             .sh_entsize = sizeof *o->symbols});
    put_section(o, SECTION_NAMES, ".strtab",
                (Elf64_Shdr){.sh_type = SHT_STRTAB,
                             .sh_offset = offsetof(struct object, names),
                             .sh_size = sizeof o->names,
                             .sh_addralign = 1});
    put_symbol(o, SYMBOL_EXITS, "javm_exits", begin, begin + jit->enter_stub);
    put_symbol(o, SYMBOL_ENTER, "javm_enter", begin + jit->enter_stub, begin + jit->bottom_stub);
    put_symbol(o, SYMBOL_RETURN, "javm_return", begin + jit->bottom_stub, begin + JIT_STUB_BYTES);
    put_symbol(o, SYMBOL_GUEST, "javm_guest_code", begin + JIT_STUB_BYTES, end);
}

static void tell_gdb(uint32_t action, struct jit_code_entry *entry)
{
    __jit_debug_descriptor.relevant_entry = entry;
    __jit_debug_descriptor.action_flag = action;
    __jit_debug_register_code();
}

static void register_arena(const struct javm_jit *jit)
{
    /* Pages of its own: gdb may read it at any time. */
    struct debug_arena *a =
        mmap(NULL, sizeof *a, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (a == MAP_FAILED)
        return;
    a->jit = jit;
    write_object(jit, &a->object);
    __register_frame_info(a->object.table, a->registered);
    /* It is sorted when it is first asked for: now, not in a signal handler. */
    (void)_Unwind_FindEnclosingFunction((void *)(uintptr_t)(jit->arena->executable + 1));
    a->entry.symfile_addr = (const char *)&a->object;
    a->entry.symfile_size = sizeof a->object;
    pthread_mutex_lock(&arenas_lock);
    a->next = arenas;
    arenas = a;
    struct jit_code_entry *const first = __jit_debug_descriptor.first_entry;
    a->entry.next_entry = first;
    if (first != NULL)
        first->prev_entry = &a->entry;
    __jit_debug_descriptor.first_entry = &a->entry;
    tell_gdb(JIT_REGISTER, &a->entry);
    pthread_mutex_unlock(&arenas_lock);
}

void jit_debug_arena(struct javm_jit *jit)
{
    if (jit->perf_map) {
        leave_memfd(jit->arena);
        const uint64_t begin = (uintptr_t)jit->arena->executable;
        char text[3 * LINE_BYTES];
        const int len = snprintf(
            text, sizeof text, "%llx %x javm_exits\n%llx %x javm_enter\n%llx %x javm_return\n",
            (unsigned long long)begin, jit->enter_stub, (unsigned long long)begin + jit->enter_stub,
            jit->bottom_stub - jit->enter_stub, (unsigned long long)begin + jit->bottom_stub,
            JIT_STUB_BYTES - jit->bottom_stub);
        write_map(text, (size_t)len);
    }
    register_arena(jit);
}

void jit_debug_forget(struct javm_jit *jit)
{
    pthread_mutex_lock(&arenas_lock);
    struct debug_arena **at = &arenas, *a;
    while (*at != NULL && (*at)->jit != jit)
        at = &(*at)->next;
    a = *at;
    if (a != NULL) {
        *at = a->next;
        struct jit_code_entry *const before = a->entry.prev_entry, *const after =
                                                                       a->entry.next_entry;
        if (before != NULL)
            before->next_entry = after;
        else
            __jit_debug_descriptor.first_entry = after;
        if (after != NULL)
            after->prev_entry = before;
        tell_gdb(JIT_UNREGISTER, &a->entry);
    }
    pthread_mutex_unlock(&arenas_lock);
    if (a == NULL)
        return;
    __deregister_frame_info(a->object.table);
    munmap(a, sizeof *a);
}
