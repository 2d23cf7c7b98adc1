#include "rpc/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* As in results of javm-batch. */
static const char *const EXITS[JAVM_NUB_EXIT_MAX + 1] = {
    [JAVM_NUB_EXIT_HALT] = "halt",
    [JAVM_NUB_EXIT_PANIC] = "panic",
    [JAVM_NUB_EXIT_OUT_OF_GAS] = "out_of_gas",
    [JAVM_NUB_EXIT_PAGE_FAULT] = "page_fault",
    [JAVM_NUB_EXIT_HOST_CALL] = "host_call",
    [5] = "?",
    [JAVM_NUB_EXIT_ECALL_JAR] = "ecall_jar",
    [JAVM_NUB_EXIT_TRAP] = "trap",
};

void show_smoke(uint64_t value, bool json)
{
    printf(json ? "{\"smoke\":%" PRIu64 "}\n" : "%" PRIu64 "\n", value);
}

/* ---- caps ------------------------------------------------------------------------------- */

/* A name of a bundle is UTF-8 and may have anything that this has. */
static void print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < ' ' || c == 0x7F)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void show_root_json(const struct put_root *root)
{
    char text[JAVM_HASH_TEXT];
    const char *comma = "";
    putchar('{');
    if (root->known) {
        printf("\"name\":");
        print_string(root->name);
        printf(",\"kind\":\"%s\"", javm_kind_name(root->kind));
        comma = ",";
    }
    javm_hash_format(&root->hash, text);
    printf("%s\"hash\":\"%s\"", comma, text);
    if (root->known && root->runs) {
        javm_hash_format(&root->instance, text);
        printf(",\"instance\":\"%s\"", text);
    }
    putchar('}');
}

static void show_cap(const char *kind, const struct javm_hash *hash, const char *name)
{
    char text[JAVM_HASH_TEXT];
    javm_hash_format(hash, text);
    printf("%-8s  %s", kind, text);
    if (name[0] != '\0') {
        printf("  ");
        print_string(name);
    }
    putchar('\n');
}

void show_put(const struct put *put, bool json)
{
    if (json)
        printf("{\"roots\":[");
    for (uint32_t i = 0; i < put->count; i++) {
        const struct put_root *root = &put->roots[i];
        if (json) {
            printf("%s", i == 0 ? "" : ",");
            show_root_json(root);
            continue;
        }
        show_cap(root->known ? javm_kind_name(root->kind) : "cap", &root->hash, root->name);
        if (root->known && root->kind == JAVM_IMAGE)
            show_cap("Instance", &root->instance, root->name);
    }
    if (json)
        printf("]}\n");
}

/* ---- results ---------------------------------------------------------------------------- */

static void print_head(const struct javm_nub_result *result, size_t len)
{
    for (size_t i = 0; i < len; i++)
        printf("%02x", result->scratchpad_head[i]);
}

/* Without the zeros behind. */
static size_t head_len(const struct javm_nub_result *result)
{
    size_t len = sizeof result->scratchpad_head;
    while (len > 0 && result->scratchpad_head[len - 1] == 0)
        len--;
    return len;
}

static void show_result_json(const struct javm_nub_result *result)
{
    printf("{\"exit\":\"%s\"", EXITS[result->exit_reason]);
    switch (result->exit_reason) {
    case JAVM_NUB_EXIT_HALT:
        printf(",\"value\":%" PRIu64, result->return_value);
        break;
    case JAVM_NUB_EXIT_PAGE_FAULT:
        printf(",\"address\":%" PRIu32, result->exit_arg);
        break;
    case JAVM_NUB_EXIT_HOST_CALL:
        printf(",\"selector\":%" PRIu32, result->exit_arg);
        break;
    case JAVM_NUB_EXIT_ECALL_JAR:
        printf(",\"operation\":%" PRIu32, result->exit_arg);
        break;
    case JAVM_NUB_EXIT_TRAP:
        printf(",\"error\":%" PRIu32 ",\"text\":\"%s\"", result->exit_arg,
               javm_nub_error_text(result->exit_arg));
        break;
    default:
        break;
    }
    printf(",\"gas_remaining\":%" PRIu64 ",\"scratchpad\":\"0x", result->gas_remaining);
    print_head(result, sizeof result->scratchpad_head);
    printf("\"}\n");
}

void show_result(const struct javm_nub_result *result, bool json)
{
    if (json) {
        show_result_json(result);
        return;
    }
    printf("exit           %s", EXITS[result->exit_reason]);
    switch (result->exit_reason) {
    case JAVM_NUB_EXIT_HALT:
        printf("\nvalue          %" PRIu64, result->return_value);
        break;
    case JAVM_NUB_EXIT_PAGE_FAULT:
        printf(" at 0x%" PRIx32, result->exit_arg);
        break;
    case JAVM_NUB_EXIT_HOST_CALL:
    case JAVM_NUB_EXIT_ECALL_JAR:
        printf(" %" PRIu32, result->exit_arg);
        break;
    case JAVM_NUB_EXIT_TRAP:
        printf(" %" PRIu32 ": %s", result->exit_arg, javm_nub_error_text(result->exit_arg));
        break;
    default:
        break;
    }
    printf("\ngas_remaining  %" PRIu64 "\n", result->gas_remaining);
    const size_t len = head_len(result);
    if (len > 0) {
        printf("scratchpad     0x");
        print_head(result, len);
        putchar('\n');
    }
}

/* ---- figures ---------------------------------------------------------------------------- */

void show_heap_stats(const struct javm_nub_heap_stats *stats, bool json)
{
    printf(json ? "{\"allocated_bytes\":%" PRIu64 ",\"allocations\":%" PRIu64
                  ",\"fragments\":%" PRIu64 ",\"available_bytes\":%" PRIu64 "}\n"
                : "allocated_bytes  %" PRIu64 "\nallocations      %" PRIu64
                  "\nfragments        %" PRIu64 "\navailable_bytes  %" PRIu64 "\n",
           stats->allocated_bytes, stats->allocations, stats->fragments, stats->available_bytes);
}

/* Addresses and names as in a debugger; JSON has no hexadecimal, and readers that take 53 bits. */
void show_boot_info(const struct javm_nub_boot_info *boot, bool json)
{
    printf(json ? "{\"magic\":\"0x%" PRIx64 "\",\"directory_va\":\"0x%" PRIx64
                  "\",\"directory_type_id\":\"0x%" PRIx64 "\",\"guest_va_base\":\"0x%" PRIx64
                  "\"}\n"
                : "magic              0x%" PRIx64 "\ndirectory_va       0x%" PRIx64
                  "\ndirectory_type_id  0x%" PRIx64 "\nguest_va_base      0x%" PRIx64 "\n",
           boot->magic, boot->directory_va, boot->directory_type_id, boot->guest_va_base);
}
