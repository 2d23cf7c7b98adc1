#include "batch/pvm_listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SHOWN = 200, NAME_TEXT = 4 * NAME_SHOWN + 6, BYTES_SHOWN = 10 };

static void format_name(const uint8_t *name, uint64_t len, char text[NAME_TEXT])
{
    *text++ = '"';
    for (uint64_t i = 0; i < len && i < NAME_SHOWN; i++)
        if (name[i] == '"' || name[i] == '\\')
            text += snprintf(text, 5, "\\%c", name[i]);
        else if (name[i] >= 0x20 && name[i] < 0x7F)
            *text++ = (char)name[i];
        else
            text += snprintf(text, 5, "\\x%02x", name[i]);
    strcpy(text, len > NAME_SHOWN ? "\"..." : "\"");
}

void listing_name(const uint8_t *name, uint64_t len)
{
    char text[NAME_TEXT];
    format_name(name, len, text);
    printf("%s", text);
}

static int by_pc(const void *a, const void *b)
{
    const struct javm_pvm_symbol *x = *(const struct javm_pvm_symbol *const *)a;
    const struct javm_pvm_symbol *y = *(const struct javm_pvm_symbol *const *)b;
    return x->pc != y->pc ? (x->pc > y->pc) - (x->pc < y->pc) : (x > y) - (x < y);
}

bool listing_labels_open(struct listing_labels *labels, const struct listing_names *names)
{
    const uint32_t count = names == NULL ? 0 : names->export_count;
    *labels = (struct listing_labels){.count = count};
    labels->order = malloc(((size_t)count + 1) * sizeof *labels->order);
    for (uint32_t i = 0; labels->order != NULL && i < count; i++)
        labels->order[i] = &names->exports[i];
    if (labels->order != NULL)
        qsort(labels->order, count, sizeof *labels->order, by_pc);
    return labels->order != NULL;
}

void listing_labels_print(struct listing_labels *labels, uint64_t at)
{
    for (; labels->next < labels->count && labels->order[labels->next]->pc <= at; labels->next++) {
        const struct javm_pvm_symbol *symbol = labels->order[labels->next];
        if (symbol->pc < at)
            continue;
        printf("export ");
        listing_name(symbol->name, symbol->name_len);
        puts(":");
    }
}

static void print_bytes(const struct javm_pvm_code *code, uint64_t at, uint64_t end)
{
    char text[2 * BYTES_SHOWN + 1] = "";
    for (uint64_t i = at; i < end && i < at + BYTES_SHOWN; i++)
        snprintf(text + 2 * (i - at), 3, "%02x", code->code[i]);
    printf("  %-*s%s  ", 2 * BYTES_SHOWN, text, end - at > BYTES_SHOWN ? "+" : " ");
}

/* What jumps would find at their target, when that is nothing good. */
static const char *target_problem(const struct javm_pvm_code *code,
                                  const struct javm_pvm_insn *insn)
{
    const bool jumps =
        insn->format == JAVM_PVM_O || insn->format == JAVM_PVM_RIO || insn->format == JAVM_PVM_RRO;
    if (!jumps || javm_pvm_is_start(code, insn->target))
        return "";
    return insn->target < code->code_len ? " ; no instruction there" : " ; outside the code";
}

/* With what a jump would not find, and what a host call is called. */
static void format_insn(const struct javm_pvm_code *code, const struct javm_pvm_insn *insn,
                        const struct listing_names *names, char *text, size_t size)
{
    javm_pvm_format_insn(insn, text, size);
    size_t used = strlen(text);
    used += (size_t)snprintf(text + used, size - used, "%s", target_problem(code, insn));
    if (names != NULL && insn->format == JAVM_PVM_I && (uint32_t)insn->x < names->import_count) {
        const struct javm_pvm_symbol *import = &names->imports[(uint32_t)insn->x];
        char name[NAME_TEXT];
        format_name(import->name, import->name_len, name);
        snprintf(text + used, size - used, " ; %s", name);
    }
}

uint64_t listing_pvm_insn(const struct javm_pvm_code *code, const struct listing_names *names,
                          uint64_t at, char *text, size_t size)
{
    const struct javm_pvm_insn insn = javm_pvm_decode(code, at);
    format_insn(code, &insn, names, text, size);
    return insn.next;
}

static void print_insn(const struct javm_pvm_code *code, const struct javm_pvm_insn *insn,
                       bool starts, const struct listing_names *names)
{
    char text[NAME_TEXT + 160];
    const uint64_t end = insn->next < code->code_len ? insn->next : code->code_len;
    printf("%c %06" PRIx64, starts ? '*' : ' ', insn->pc);
    print_bytes(code, insn->pc, end);
    format_insn(code, insn, names, text, sizeof text);
    puts(text);
}

/* The code up to the next start has no instruction: what stands there never runs. */
static uint64_t print_gap(const struct javm_pvm_code *code, uint64_t at)
{
    uint64_t end = at;
    while (end < code->code_len && !javm_pvm_is_start(code, end))
        end++;
    if (end > at) {
        printf("  %06" PRIx64, at);
        print_bytes(code, at, end);
        printf("(%" PRIu64 " byte%s outside all instructions)\n", end - at,
               end - at == 1 ? "" : "s");
    }
    return end;
}

bool listing_pvm(const struct javm_pvm_code *code, const struct listing_names *names)
{
    struct listing_labels labels;
    bool starts = true;
    if (!listing_labels_open(&labels, names))
        return false;
    puts("\n  code (* starts a block)");
    for (uint64_t at = print_gap(code, 0); at < code->code_len; at = print_gap(code, at)) {
        listing_labels_print(&labels, at);
        const struct javm_pvm_insn insn = javm_pvm_decode(code, at);
        print_insn(code, &insn, starts, names);
        starts = insn.terminator;
        at = insn.next;
    }
    free(labels.order);
    return true;
}
