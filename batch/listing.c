#include "batch/listing.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <capstone/capstone.h>

#include "batch/diag.h"
#include "batch/text.h"
#include "vm/pvm2.h"

#define GUEST_WIDTH 42

bool listing_open(const struct options *options, struct javm_jit **jit)
{
    struct javm_error err;
    *jit = NULL;
    if (!options->disassemble || options->engine != JAVM_ENGINE_JIT ||
        javm_jit_create(NULL, jit, &err) == JAVM_OK)
        return true;
    complain(options->engine_named ? "--engine jit: %s" : "%s; guest code only", err.text);
    return !options->engine_named;
}

static void print_endpoints(const struct javm_image *image, uint64_t at)
{
    for (uint32_t i = 0; i < image->endpoint_count; i++)
        if (image->endpoints[i].entry_pc == at)
            printf("endpoint %u:\n", image->endpoints[i].index);
}

static void print_gas(const struct javm_block_info *info)
{
    if (info->ecall && info->cost == 0)
        printf("gas 100, at the call");
    else
        printf("gas %" PRIu64, info->cost);
}

/* ---- guest code alone ------------------------------------------------------------------- */

void listing_guest(const struct javm_image *image, const struct javm_program *program)
{
    struct pvm2_insn insn;
    uint64_t block = 0;
    char text[64];
    puts("\n  code (* starts a block)");
    for (uint64_t at = 0;
         at < javm_program_end(program) && pvm2_decode(image->code, image->code_len, at, &insn);
         at += insn.len) {
        print_endpoints(image, at);
        const bool start = javm_program_is_start(program, at);
        pvm2_format(&insn, text, sizeof text);
        printf("%c %06" PRIx64 "  %-32s", start ? '*' : ' ', at, text);
        struct javm_block_info info = {0};
        while (start && block < javm_program_blocks(program)) {
            javm_program_block(program, block, &info);
            if (info.start >= at)
                break;
            block++;
        }
        if (start && block < javm_program_blocks(program) && info.start == at) {
            printf(" ; ");
            print_gas(&info);
        }
        putchar('\n');
    }
}

/* ---- with native code ------------------------------------------------------------------- */

/* A block of native code. What a region has behind its blocks, ways out that are seldom taken, is
 * listed as theirs with the last block: `tail` is the offset where that begins, found by where the
 * blocks' gas checks jump to. */
struct block {
    struct javm_native_block native;
    uint64_t tail;
};

struct listing {
    struct block *blocks; /* in the order of the native code */
    struct block **by_pc;
    size_t count, room;
    struct listing_labels *labels;
    bool failed; /* out of memory */
    csh capstone;
    cs_insn *insn; /* the last one that next_insn found; addresses count from the block's begin */
};

static void add_block(void *context, const struct javm_native_block *native)
{
    struct listing *l = context;
    if (l->count == l->room) {
        const size_t room = l->room * 2 + 64;
        struct block *more = realloc(l->blocks, room * sizeof *more);
        if (more == NULL) {
            l->failed = true;
            return;
        }
        l->blocks = more;
        l->room = room;
    }
    l->blocks[l->count++] = (struct block){.native = *native, .tail = native->code_len};
}

/* The one whose native code holds the address; NULL: none. */
static struct block *block_at(const struct listing *l, const uint8_t *address)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (l->blocks[middle].native.code <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    struct block *b = &l->blocks[low - 1];
    return (uint64_t)(address - b->native.code) < b->native.code_len ? b : NULL;
}

/* Decode at *at and move behind it. False at the end, where the padding behind the last block
 * begins, and for what capstone does not know. */
static bool next_insn(const struct listing *l, const struct block *b, uint64_t *at)
{
    const uint8_t *code = b->native.code + *at;
    size_t len = *at < b->native.code_len ? (size_t)(b->native.code_len - *at) : 0;
    return len > 0 && *code != 0xCC && cs_disasm_iter(l->capstone, &code, &len, at, l->insn);
}

static bool is_jump(const struct listing *l)
{
    return cs_insn_group(l->capstone, l->insn, CS_GRP_JUMP) ||
           cs_insn_group(l->capstone, l->insn, CS_GRP_CALL);
}

/* Where a jump or call to a fixed place goes; NULL: it is none. */
static const uint8_t *target_of(const struct listing *l, const struct block *b)
{
    const cs_x86 *x86 = &l->insn->detail->x86;
    if (!is_jump(l) || x86->op_count != 1 || x86->operands[0].type != X86_OP_IMM)
        return NULL;
    return b->native.code + x86->operands[0].imm;
}

/* The first jump of a block that has a gas check is the check's; its stub is behind all blocks. */
static void find_stub(const struct listing *l, const struct block *b)
{
    uint64_t at = 0;
    do
        if (!next_insn(l, b, &at))
            return;
    while (!is_jump(l));
    const uint8_t *stub = l->insn->id == X86_INS_JB ? target_of(l, b) : NULL;
    struct block *last = stub == NULL ? NULL : block_at(l, stub);
    if (last != NULL && (uint64_t)(stub - last->native.code) < last->tail)
        last->tail = (uint64_t)(stub - last->native.code);
}

/* The tail begins one instruction before the first stub, with what all of them jump to. A region
 * of blocks without gas checks has only that: a second jump in a row. */
static void find_tail(const struct listing *l, struct block *b)
{
    uint64_t at = 0, before = 0, jumps = 0;
    while (at < b->tail && next_insn(l, b, &at)) {
        before = l->insn->address;
        jumps = l->insn->id == X86_INS_JMP ? jumps + 1 : 0;
    }
    if (b->tail < b->native.code_len || jumps == 2)
        b->tail = before;
}

/* What capstone says of the instruction, with negative distances as such. */
static void format_plain(const cs_insn *insn, char *text, size_t size)
{
    char *end;
    const char *distance = strstr(insn->op_str, "[0xffffffff");
    if (distance == NULL) {
        snprintf(text, size, "%s%s%s", insn->mnemonic, insn->op_str[0] == '\0' ? "" : " ",
                 insn->op_str);
        return;
    }
    const uint64_t value = strtoull(distance + 1, &end, 16);
    snprintf(text, size, "%s %.*s-0x%" PRIx64 "%s", insn->mnemonic,
             (int)(distance + 1 - insn->op_str), insn->op_str, -value, end);
}

/* The instruction; places are given as what they are and not by address. */
static void format_native(const struct listing *l, const struct block *b, char *text, size_t size)
{
    const cs_insn *insn = l->insn;
    const cs_x86 *x86 = &insn->detail->x86;
    const uint8_t *target = target_of(l, b);
    const struct block *to = target == NULL ? NULL : block_at(l, target);
    if (to != NULL) {
        const uint64_t offset = (uint64_t)(target - to->native.code);
        if (offset == 0)
            snprintf(text, size, "%s @%06" PRIx64, insn->mnemonic, to->native.pc);
        else if (offset < to->tail && to == b)
            snprintf(text, size, "%s +%02" PRIx64, insn->mnemonic, offset);
        else if (offset < to->tail)
            snprintf(text, size, "%s @%06" PRIx64 "+%02" PRIx64, insn->mnemonic, to->native.pc,
                     offset);
        else
            snprintf(text, size, "%s tail+%02" PRIx64, insn->mnemonic, offset - to->tail);
    } else if (target != NULL) {
        snprintf(text, size, "%s elsewhere", insn->mnemonic);
    } else if (is_jump(l) && x86->op_count == 1 && x86->operands[0].type == X86_OP_MEM &&
               x86->operands[0].mem.base == X86_REG_RIP) {
        snprintf(text, size, "%s slot", insn->mnemonic);
    } else {
        format_plain(insn, text, size);
    }
}

/* The guest instruction at *at, moved behind it; jumps also with where they go. */
static void format_guest(const struct listing_code *code, uint64_t *at, char *text, size_t size)
{
    struct pvm2_insn insn;
    size_t used = (size_t)snprintf(text, size, "%06" PRIx64 "  ", *at);
    if (code->pvm != NULL) {
        *at = listing_pvm_insn(code->pvm, code->names, *at, text + used, size - used);
        return;
    }
    if (!pvm2_decode(code->code, code->len, *at, &insn)) {
        *at = code->len;
        *text = '\0';
        return;
    }
    pvm2_format(&insn, text + used, size - used);
    used = strlen(text);
    if (insn.op == PVM2_JAL || (insn.op >= PVM2_BEQ && insn.op <= PVM2_BGEU))
        snprintf(text + used, size - used, " @%06" PRIx64,
                 (*at + (uint64_t)(int64_t)insn.imm) & UINT32_MAX);
    *at += insn.len;
}

static void print_labels(const struct listing *l, const struct listing_code *code, uint64_t at)
{
    if (code->image != NULL)
        print_endpoints(code->image, at);
    listing_labels_print(l->labels, at);
}

/* Where a block begins, or a jump may come into the middle of one. */
static void print_head(const struct block *b, const struct javm_block_info *info)
{
    printf("@%06" PRIx64 "  ", b->native.pc);
    if (info->start == b->native.pc)
        print_gas(info);
    else
        printf("a way in");
    printf(", native %" PRIu64 " bytes\n", b->tail);
}

static void print_block(const struct listing *l, const struct listing_code *code,
                        const struct block *b, const struct javm_block_info *info)
{
    uint64_t guest = b->native.pc, native = 0;
    const uint64_t end = guest + b->native.pc_len;
    bool more = true;
    if (end > guest)
        print_labels(l, code, guest);
    print_head(b, info);
    for (;;) {
        char left[512] = "", right[224] = "";
        const uint64_t at = native;
        if (guest < end) {
            if (guest != b->native.pc)
                print_labels(l, code, guest);
            format_guest(code, &guest, left, sizeof left);
        }
        more = more && native < b->tail && next_insn(l, b, &native);
        if (more)
            format_native(l, b, right, sizeof right);
        if (left[0] == '\0' && !more)
            break;
        if (more)
            printf("  %-*s%s+%02" PRIx64 "  %s\n", GUEST_WIDTH, left,
                   strlen(left) < GUEST_WIDTH ? "" : "  ", at, right);
        else
            printf("  %s\n", left);
    }
    if (b->tail == b->native.code_len)
        return;
    printf("tail of the region, native %" PRIu64 " bytes\n", b->native.code_len - b->tail);
    for (uint64_t at = b->tail; next_insn(l, b, &at);) {
        char text[224];
        format_native(l, b, text, sizeof text);
        printf("  %*s+%02" PRIx64 "  %s\n", GUEST_WIDTH, "", l->insn->address - b->tail, text);
    }
}

static int by_pc(const void *a, const void *b)
{
    const uint64_t x = (*(struct block *const *)a)->native.pc;
    const uint64_t y = (*(struct block *const *)b)->native.pc;
    return (x > y) - (x < y);
}

static void print_blocks(const struct listing *l, const struct listing_code *code,
                         const struct javm_program *program)
{
    uint64_t bytes = 0, known = 0;
    char number[32];
    for (size_t i = 0; i < l->count; i++)
        bytes += l->blocks[i].native.code_len;
    printf("  %-14s%s bytes\n", "native code", text_grouped(number, bytes));
    puts("\n  code, guest and native (r15: gas; gs: guest memory, below it the engine's own;\n"
         "  @ a block, + an offset in its native code, slot: to a block of another region)");
    for (size_t i = 0; i < l->count; i++) {
        struct javm_block_info info = {.start = UINT64_MAX};
        for (; known < javm_program_blocks(program); known++) {
            javm_program_block(program, known, &info);
            if (info.start >= l->by_pc[i]->native.pc)
                break;
        }
        print_block(l, code, l->by_pc[i], &info);
    }
}

static enum javm_status list(struct listing *l, struct javm_native *native,
                             const struct listing_code *code, const struct javm_program *program,
                             struct javm_error *err)
{
    const enum javm_status status = javm_native_compile(native, err);
    if (status != JAVM_OK)
        return status;
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &l->capstone) != CS_ERR_OK)
        return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE, "capstone knows no x86");
    cs_option(l->capstone, CS_OPT_DETAIL, CS_OPT_ON);
    l->insn = cs_malloc(l->capstone);
    javm_native_each(native, add_block, l);
    l->by_pc = calloc(l->count + 1, sizeof(struct block *));
    if (l->insn == NULL || l->by_pc == NULL || l->failed)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    for (size_t i = 0; i < l->count; i++) {
        l->by_pc[i] = &l->blocks[i];
        find_stub(l, &l->blocks[i]);
    }
    for (size_t i = 0; i < l->count; i++)
        find_tail(l, &l->blocks[i]);
    qsort(l->by_pc, l->count, sizeof(struct block *), by_pc);
    print_blocks(l, code, program);
    return JAVM_OK;
}

enum javm_status listing_native(struct javm_jit *jit, const struct listing_code *code,
                                const struct javm_program *program, struct javm_error *err)
{
    struct javm_native *native;
    struct listing_labels labels;
    struct listing l = {.labels = &labels};
    if (!listing_labels_open(&labels, code->names))
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    enum javm_status status =
        javm_native_open(jit, NULL, code->code, code->len, &code->key, NULL, &native, err);
    if (status == JAVM_OK) {
        status = list(&l, native, code, program, err);
        javm_native_close(native);
    }
    free(labels.order);
    if (l.insn != NULL)
        cs_free(l.insn, 1);
    if (l.capstone != 0)
        cs_close(&l.capstone);
    free(l.by_pc);
    free(l.blocks);
    return status;
}
