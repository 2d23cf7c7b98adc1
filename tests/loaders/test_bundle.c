/* Bundles: a rich one there and back, and every kind of damage. Catches: a field that is lost or
 * reordered, output that depends on anything but the content, damage that goes unnoticed (each
 * truncation, flipped bits), bytes that decode to something whose encoding differs (so that two
 * files could mean the same), references to caps that are not there before, and bundles that come
 * out of a directory other than they went in. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/loaders/bundle_maker.h"

static bool decodes_canonically(const uint8_t *bytes, size_t len)
{
    struct javm_bundle bundle;
    struct javm_error err = {0};
    if (javm_bundle_decode(bytes, len, &bundle, &err) != JAVM_OK) {
        cr_assert(err.text[0] != 0 && bundle.cap_count == 0 && bundle.caps == NULL);
        return false;
    }
    size_t again_len;
    uint8_t *again = bundle_bytes(&bundle, &again_len);
    cr_assert_eq(again_len, len);
    cr_assert(memcmp(again, bytes, len) == 0);
    free(again);
    javm_bundle_clear(&bundle);
    return true;
}

static bool decodes(const uint8_t *bytes, size_t len)
{
    struct javm_bundle bundle;
    if (javm_bundle_decode(bytes, len, &bundle, NULL) != JAVM_OK)
        return false;
    javm_bundle_clear(&bundle);
    return true;
}

/* ---- there and back --------------------------------------------------------------------- */

Test(bundle, rich_round_trip)
{
    struct javm_bundle bundle = bundle_rich(UINT64_C(1) << 20), back;
    struct javm_error err;
    size_t len;
    uint8_t *bytes = bundle_bytes(&bundle, &len);
    cr_expect_lt(len, 3 * 4100 + 2000, "4 GiB of zeros must cost nothing");
    cr_assert_eq(javm_bundle_decode(bytes, len, &back, &err), JAVM_OK, "%s", err.text);
    cr_assert_eq(back.cap_count, bundle.cap_count);
    for (uint32_t i = 0; i < back.cap_count; i++) {
        struct javm_hash a, b;
        cr_assert_eq(javm_cap_hash(bundle.caps[i], &a), JAVM_OK);
        cr_assert_eq(javm_cap_hash(back.caps[i], &b), JAVM_OK);
        cr_expect(javm_hash_equal(&a, &b), "cap %u", i);
        cr_expect_eq(javm_cap_kind(bundle.caps[i]), javm_cap_kind(back.caps[i]));
    }
    cr_assert_eq(back.root_count, 3);
    cr_expect_str_eq(back.roots[0].name, "a");
    cr_expect_str_eq(back.roots[1].name, "image");
    cr_expect_eq(back.roots[1].cap, 5);
    cr_expect_eq(back.roots[2].cap, 8);
    const struct javm_instance *paused = javm_instance_of(back.caps[8]);
    cr_expect(paused->status == JAVM_PAUSED && paused->yield_key.len == 3 && paused->pc == 4 &&
              paused->regs[14] == 14 * 0x0101010101010101u && paused->gas_remaining == 1000);
    cr_expect_eq(javm_data_pages(paused->mem), 3);
    cr_expect(decodes_canonically(bytes, len));
    javm_bundle_clear(&back);
    javm_bundle_clear(&bundle);
    free(bytes);
}

Test(bundle, empty_bundle)
{
    struct javm_bundle bundle = {0};
    size_t len;
    uint8_t *bytes = bundle_bytes(&bundle, &len);
    cr_expect_eq(len, 56);
    cr_expect(decodes_canonically(bytes, len));
    free(bytes);
}

/* The bytes of docs/formats.md, spelled out. */
Test(bundle, layout_is_frozen)
{
    struct javm_bundle bundle = {.caps = calloc(1, sizeof(struct javm_cap *)),
                                 .roots = calloc(1, sizeof *bundle.roots)};
    struct javm_cap *cnode = javm_cnode_new();
    cr_assert(bundle.caps != NULL && bundle.roots != NULL && cnode != NULL);
    bundle.caps[0] = cnode;
    bundle.cap_count = bundle.root_count = 1;
    bundle.roots[0] = (struct javm_bundle_root){strdup("r"), 0};
    size_t len;
    uint8_t *bytes = bundle_bytes(&bundle, &len);
    static const uint8_t expected[] = {'J', 'A', 'V', 'M', 13, 10, 26, 10, 1,   0, 0, 0, 1, 0, 0,
                                       0,   1,   0,   0,   0,  0,  0,  0,  0,   3, 4, 0, 0, 0, 0,
                                       0,   0,   0,   0,   0,  0,  0,  1,  'r', 0, 0, 0, 0};
    cr_assert_eq(len, sizeof expected + 32);
    cr_expect_arr_eq(bytes, expected, sizeof expected);
    javm_bundle_clear(&bundle);
    free(bytes);
}

/* The dump in the document is the file that it names, and the file decodes. */
Test(bundle, the_document_shows_the_file)
{
    uint8_t *text, *file, shown[1024];
    size_t text_len, file_len, count = 0;
    struct javm_error err;
    cr_assert_eq(javm_file_read(FORMATS_DOC, 0, &text, &text_len, &err), JAVM_OK, "%s", err.text);
    cr_assert_eq(javm_file_read(FORMATS_EXAMPLE, 0, &file, &file_len, &err), JAVM_OK, "%s",
                 err.text);
    text[text_len - 1] = 0; /* instead of the last newline */
    char *at = strstr((char *)text, "<!-- formats example: nop.jimg -->\n\n");
    cr_assert_not_null(at, "no example in " FORMATS_DOC);
    at += strcspn(at, "\n") + 2;
    for (; strncmp(at, "    ", 4) == 0; at += strcspn(at, "\n") + 1) {
        cr_assert_eq(strtoul(at, NULL, 16), count, "%.60s", at);
        for (const char *hex = strchr(at, ':') + 1; *hex != '\n'; hex++) {
            unsigned byte;
            if (*hex == ' ')
                continue;
            cr_assert(count < sizeof shown && sscanf(hex, "%2x", &byte) == 1);
            shown[count++] = (uint8_t)byte;
            hex++;
        }
    }
    cr_assert_eq(count, file_len);
    cr_expect_arr_eq(shown, file, count);
    cr_expect(decodes_canonically(file, file_len));
    free(text);
    free(file);
}

/* ---- damage ----------------------------------------------------------------------------- */

Test(bundle, every_truncation_is_noticed)
{
    struct javm_bundle bundle = bundle_rich(64);
    size_t len;
    uint8_t *bytes = bundle_bytes(&bundle, &len);
    for (size_t cut = 0; cut < len; cut++) {
        /* a copy of the exact size, so that a sanitizer sees reads past the end */
        uint8_t *copy = malloc(cut + 1);
        cr_assert_not_null(copy);
        memcpy(copy, bytes, cut);
        cr_assert(!decodes(copy, cut), "cut to %zu bytes", cut);
        free(copy);
    }
    javm_bundle_clear(&bundle);
    free(bytes);
}

/* The same with the checksum made right, so that the checks behind it are reached. */
Test(bundle, truncated_content_with_a_right_checksum)
{
    struct javm_bundle bundle = bundle_rich(64);
    size_t len;
    uint8_t *bytes = bundle_bytes(&bundle, &len);
    for (size_t cut = 24; cut < len - 32; cut += cut < 400 || cut > len - 2000 ? 1 : 37) {
        uint8_t *copy = malloc(cut + 32);
        cr_assert_not_null(copy);
        memcpy(copy, bytes, cut);
        bundle_fix_checksum(copy, cut + 32);
        cr_assert(!decodes_canonically(copy, cut + 32), "content cut to %zu bytes", cut);
        free(copy);
    }
    javm_bundle_clear(&bundle);
    free(bytes);
}

Test(bundle, flipped_bits)
{
    struct javm_bundle bundle = bundle_rich(64);
    size_t len;
    uint8_t *bytes = bundle_bytes(&bundle, &len);
    for (size_t at = 0; at < len; at++) {
        /* stored pages are long and all alike: one bit of every seventh byte there */
        bool dense = at < 1200 || at > len - 1200;
        for (unsigned bit = 0; bit < 8; bit += dense ? 1 : 8) {
            if (!dense && at % 7 != 0)
                continue;
            bytes[at] ^= (uint8_t)(1u << bit);
            cr_assert(!decodes(bytes, len), "byte %zu bit %u", at, bit);
            bytes[at] ^= (uint8_t)(1u << bit);
        }
    }
    javm_bundle_clear(&bundle);
    free(bytes);
}

Test(bundle, flipped_bits_with_a_right_checksum)
{
    struct javm_bundle bundle = bundle_rich(64);
    size_t len;
    unsigned accepted = 0, refused = 0;
    uint8_t *bytes = bundle_bytes(&bundle, &len), *copy = malloc(len);
    cr_assert_not_null(copy);
    for (size_t at = 0; at < len - 32; at += at < 1200 || at > len - 1200 ? 1 : 31)
        for (unsigned bit = 0; bit < 8; bit += 3) {
            memcpy(copy, bytes, len);
            copy[at] ^= (uint8_t)(1u << bit);
            bundle_fix_checksum(copy, len);
            if (decodes_canonically(copy, len))
                accepted++;
            else
                refused++;
        }
    /* contents of pages and registers may be anything; structure may not */
    cr_expect_gt(accepted, 100);
    cr_expect_gt(refused, 1000);
    javm_bundle_clear(&bundle);
    free(bytes);
    free(copy);
}

/* ---- what cannot be written ------------------------------------------------------------- */

static enum javm_status encode_status(const struct javm_bundle *bundle, struct javm_error *err)
{
    uint8_t *bytes = NULL;
    size_t len;
    enum javm_status status = javm_bundle_encode(bundle, &bytes, &len, err);
    free(bytes);
    return status;
}

Test(bundle, encode_keeps_the_rules_of_decode)
{
    struct javm_error err;
    struct javm_bundle b = bundle_rich(64);
    cr_assert_eq(encode_status(&b, &err), JAVM_OK);

    struct javm_cap *swap = b.caps[6]; /* the cnode before one of the caps that it names */
    b.caps[6] = b.caps[3];
    b.caps[3] = swap;
    cr_expect_eq(encode_status(&b, &err), JAVM_E_MISSING);
    cr_expect(strstr(err.text, "cap 3 (CNode) names 0x") != NULL, "%s", err.text);
    b.caps[3] = b.caps[6];
    b.caps[6] = swap;

    b.roots[0].cap = b.cap_count;
    cr_expect_eq(encode_status(&b, &err), JAVM_E_RANGE);
    b.roots[0].cap = 0;

    static const char *const names[] = {"",     "\xC0\x80",    "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                        "\x80", "cut \xE2\x82"};
    char *kept = b.roots[0].name;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        char name[16];
        strcpy(name, names[i]);
        b.roots[0].name = name;
        cr_expect_eq(encode_status(&b, &err), JAVM_E_RANGE, "name %u", i);
    }
    char longest[257];
    memset(longest, 'x', 256);
    longest[256] = 0;
    b.roots[0].name = longest;
    cr_expect_eq(encode_status(&b, &err), JAVM_E_RANGE);
    longest[255] = 0;
    cr_expect_eq(encode_status(&b, &err), JAVM_OK);
    char same[] = "image";
    b.roots[0].name = same;
    cr_expect_eq(encode_status(&b, &err), JAVM_E_EXISTS);
    b.roots[0].name = kept;
    cr_expect_eq(encode_status(&b, &err), JAVM_OK);
    javm_bundle_clear(&b);
}

/* What decoding would refuse is not written: a bundle that only its writer can read is lost. */
Test(bundle, encode_checks_kinds)
{
    struct javm_bundle b = {.caps = calloc(2, sizeof(struct javm_cap *))};
    struct javm_error err;
    struct javm_pin pin = {{1, {4}}, {{0}}};
    cr_assert_not_null(b.caps);
    b.caps[0] = javm_cnode_new();
    for (unsigned i = 0; i < 3; i++) {
        const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                          .pinned = &pin,
                                          .pinned_count = i < 2,
                                          .initial = &pin,
                                          .initial_count = i == 2};
        if (i > 0)
            cr_assert_eq(javm_cap_hash(b.caps[0], &pin.hash), JAVM_OK);
        cr_assert_eq(javm_image_new(&fields, &b.caps[1], NULL), JAVM_OK);
        b.cap_count = 2;
        cr_expect_eq(encode_status(&b, &err), JAVM_E_KIND);
        cr_expect_str_eq(err.text, i == 2 ? "cap 1 (Image) initial[0] is not a Data"
                                          : "cap 1 (Image) pinned[0] is neither Data nor Image");
        javm_cap_release(b.caps[1]);
        b.cap_count = 1;
    }
    javm_bundle_clear(&b);
}

/* A root's name in a message stays on its line and is cut between characters. */
Test(bundle, names_in_messages)
{
    struct javm_error err;
    struct javm_bundle b = bundle_rich(4);
    char *kept = b.roots[0].name, name[100] = "a\nb\033";
    for (unsigned i = 0; i < 40; i++)
        strcat(name, "\xC3\xA9");
    b.roots[0].name = name;
    b.roots[0].cap = 99;
    cr_expect_eq(encode_status(&b, &err), JAVM_E_RANGE);
    cr_expect_eq(strncmp(err.text, "root \"a?b?\xC3\xA9", 12), 0, "%s", err.text);
    cr_expect_not_null(strstr(err.text, "\xC3\xA9\" names cap 99 of 10"), "%s", err.text);
    b.roots[0].name = kept;
    javm_bundle_clear(&b);
}

/* ---- directories ------------------------------------------------------------------------ */

Test(bundle, through_a_directory)
{
    struct javm_directory *directory;
    struct javm_error err;
    cr_assert_eq(javm_directory_create(1, 0, &directory, &err), JAVM_OK, "%s", err.text);
    struct javm_dir_thread *self = javm_directory_join(directory);
    struct javm_bundle bundle = bundle_rich(64), collected, again;
    struct javm_hash *hashes;
    cr_assert_eq(javm_bundle_publish(&bundle, self, &hashes, &err), JAVM_OK, "%s", err.text);
    cr_assert_eq(javm_bundle_publish(&bundle, self, NULL, &err), JAVM_OK, "again is fine");

    const char *names[] = {"second", "first"};
    const struct javm_hash roots[] = {hashes[0], hashes[1]}; /* the paused instance, the image */
    cr_assert_eq(javm_bundle_collect(self, roots, names, 2, &collected, &err), JAVM_OK, "%s",
                 err.text);
    /* instance, its image, that one's two data, the empty cnode */
    cr_expect_eq(collected.cap_count, 5);
    cr_expect_str_eq(collected.roots[0].name, "first");
    size_t len, again_len;
    uint8_t *bytes = bundle_bytes(&collected, &len);
    cr_expect(decodes_canonically(bytes, len));
    for (unsigned i = 0; i < 2; i++) {
        struct javm_hash hash;
        cr_assert_eq(javm_cap_hash(collected.caps[collected.roots[i].cap], &hash), JAVM_OK);
        cr_expect(javm_hash_equal(&hash, &hashes[1 - i]));
    }
    cr_assert_eq(javm_bundle_collect(self, roots, names, 2, &again, &err), JAVM_OK);
    uint8_t *again_bytes = bundle_bytes(&again, &again_len);
    cr_expect(again_len == len && memcmp(bytes, again_bytes, len) == 0);

    struct javm_hash missing = {{1}};
    struct javm_bundle none;
    cr_expect_eq(javm_bundle_collect(self, &missing, names, 1, &none, &err), JAVM_E_MISSING);
    cr_expect(none.cap_count == 0 && none.caps == NULL);
    free(bytes);
    free(again_bytes);
    free(hashes);
    javm_bundle_clear(&bundle);
    javm_bundle_clear(&collected);
    javm_bundle_clear(&again);
    javm_directory_leave(self);
    javm_directory_destroy(directory);
}

/* Deeper than any stack, wide with repeats: a chain of cnodes, each naming the one below twice. */
Test(bundle, collecting_a_deep_chain)
{
    enum { DEPTH = 20000 };
    struct javm_directory *directory;
    struct javm_error err;
    cr_assert_eq(javm_directory_create(1, 0, &directory, &err), JAVM_OK, "%s", err.text);
    struct javm_dir_thread *self = javm_directory_join(directory);
    struct javm_hash hash;
    for (unsigned i = 0; i < DEPTH; i++) {
        struct javm_cap *cnode = javm_cnode_new();
        for (uint64_t key = 1; i > 0 && key < 3; key++) {
            struct javm_key k = javm_key_from_u64(key);
            struct javm_target target = javm_target_hash(&hash);
            cr_assert_eq(javm_cnode_set(cnode, &k, &target), JAVM_OK);
        }
        cr_assert_eq(javm_directory_put(self, cnode, &hash, &err), JAVM_OK, "%s", err.text);
        javm_cap_release(cnode);
    }
    struct javm_bundle bundle;
    const char *name = "top";
    cr_assert_eq(javm_bundle_collect(self, &hash, &name, 1, &bundle, &err), JAVM_OK, "%s",
                 err.text);
    cr_expect_eq(bundle.cap_count, DEPTH);
    cr_expect_eq(bundle.roots[0].cap, DEPTH - 1);
    size_t len;
    uint8_t *bytes = bundle_bytes(&bundle, &len);
    cr_expect(decodes_canonically(bytes, len));
    free(bytes);
    javm_bundle_clear(&bundle);
    javm_directory_leave(self);
    javm_directory_destroy(directory);
}
