/* Keys, CapRefs, targets, hash text, status names.
 *
 * Would catch: a key order that is not bytewise with the shorter first, or that looks at bytes
 * beyond a key's length; packed keys in another byte order; a length outside 1..8 that is accepted;
 * a target whose copy does not count or whose drop counts twice; a drop of the directory's own
 * count that goes unnoticed; hash text that is accepted with a wrong length, prefix or digit. */
#include <sys/wait.h>
#include <unistd.h>

#include "tests/caps/support.h"

/* ---- keys ------------------------------------------------------------------------------- */

Test(key, from_number)
{
    static const struct {
        uint64_t number;
        const char *bytes;
        size_t len;
    } cases[] = {
        {0, "\0", 1},
        {1, "\1", 1},
        {0xff, "\xff", 1},
        {0x100, "\0\1", 2},
        {0x010203, "\3\2\1", 3},
        {UINT64_C(1) << 56, "\0\0\0\0\0\0\0\1", 8},
        {UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff", 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct javm_key key = javm_key_from_u64(cases[i].number);
        const struct javm_key expected = key_of(cases[i].bytes, cases[i].len);
        cr_expect_arr_eq(&key, &expected, sizeof key, "case %zu", i);
        cr_expect_eq(javm_key_pack(&key), cases[i].number, "case %zu", i);
    }
}

Test(key, unpack_takes_only_lengths_that_keys_have)
{
    struct javm_key key;
    for (uint64_t len = 1; len <= JAVM_MAX_KEY_LEN; len++) {
        memset(&key, 0xAA, sizeof key); /* what lies beyond the length must become zero */
        cr_expect(javm_key_unpack(UINT64_C(0x0807060504030201), len, &key));
        const struct javm_key expected = key_of("\1\2\3\4\5\6\7\x08", (size_t)len);
        cr_expect_arr_eq(&key, &expected, sizeof key);
    }
    static const uint64_t bad[] = {0, 9, 10, 256, 257, UINT64_C(1) << 32, UINT64_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(javm_key_unpack(1, bad[i], &key));
}

Test(key, pack_ignores_bytes_beyond_the_length)
{
    const struct javm_key dirty = {.len = 2, .bytes = {1, 2, 3, 4}};
    cr_expect_eq(javm_key_pack(&dirty), 0x0201);
    const struct javm_key none = {.len = 0, .bytes = {7}};
    cr_expect_eq(javm_key_pack(&none), 0);
}

static int sign(int number)
{
    return (number > 0) - (number < 0);
}

/* The rule, said another way: compare byte for byte, a missing byte is less than any. */
static int order_of(const struct javm_key *a, const struct javm_key *b)
{
    for (unsigned i = 0;; i++) {
        const int left = i < a->len ? a->bytes[i] : -1, right = i < b->len ? b->bytes[i] : -1;
        if (left != right)
            return sign(left - right);
        if (left < 0)
            return 0;
    }
}

Test(key, order)
{
    const struct javm_key ascending[] = {
        KEY("\0"),   KEY("\0\0"),   KEY("\0\1"), KEY("\1"),
        KEY("\1\0"), KEY("\1\xff"), KEY("\2"),   KEY("\x7f\xff\xff\xff\xff"),
        KEY("\x80"), KEY("\xff"),
    };
    const size_t count = sizeof ascending / sizeof *ascending;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            cr_expect_eq(sign(javm_key_compare(&ascending[i], &ascending[k])), (i > k) - (i < k));
    const struct javm_key clean = KEY("\1"), dirty = {.len = 1, .bytes = {1, 9}};
    cr_expect_eq(javm_key_compare(&clean, &dirty), 0);
}

Test(key, order_of_random_keys)
{
    struct random random = {1};
    for (unsigned round = 0; round < 20000; round++) {
        struct javm_key keys[2] = {{.len = 0}};
        for (unsigned k = 0; k < 2; k++) {
            keys[k].len = (uint8_t)(1 + random_below(&random, JAVM_MAX_KEY_LEN));
            for (unsigned i = 0; i < keys[k].len; i++) /* few values, so that prefixes agree */
                keys[k].bytes[i] = (uint8_t)(random_below(&random, 2) * 0xff);
        }
        cr_assert_eq(sign(javm_key_compare(&keys[0], &keys[1])), order_of(&keys[0], &keys[1]));
    }
}

/* ---- CapRefs and targets ---------------------------------------------------------------- */

Test(target, counts)
{
    struct javm_ref_cell cell = {.count = 1, .directory = 1, .id = 1};
    javm_ref_clone(&cell);
    cr_expect_eq(cell.count, 2);
    struct javm_target ref = {JAVM_TARGET_REF, {.ref = &cell}};
    struct javm_target copy = javm_target_clone(&ref);
    cr_expect_eq(copy.kind, JAVM_TARGET_REF);
    cr_expect_eq(copy.ref, &cell);
    cr_expect_eq(cell.count, 3);
    javm_target_drop(&copy);
    cr_expect_eq(copy.kind, JAVM_TARGET_EMPTY);
    cr_expect_eq(cell.count, 2);
    javm_target_drop(&copy); /* nothing is left to give up */
    cr_expect_eq(cell.count, 2);
    javm_target_drop(&ref);
    cr_expect_eq(cell.count, 1);
}

Test(target, hashes_are_not_counted)
{
    struct javm_target target = hash_target("x");
    struct javm_target copy = javm_target_clone(&target);
    cr_expect_eq(copy.kind, JAVM_TARGET_HASH);
    cr_expect(javm_hash_equal(&copy.hash, &target.hash));
    javm_target_drop(&copy);
    cr_expect_eq(copy.kind, JAVM_TARGET_EMPTY);
    const struct javm_target empty = {.kind = JAVM_TARGET_EMPTY};
    copy = javm_target_clone(&empty);
    cr_expect_eq(copy.kind, JAVM_TARGET_EMPTY);
}

/* True when dropping a CapRef of a cell with this count ends the process with SIGABRT. */
static bool drop_aborts(uint64_t count)
{
    const pid_t child = fork();
    cr_assert_neq(child, -1);
    if (child == 0) {
        struct javm_ref_cell cell = {.count = count, .directory = 1, .id = 1};
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        javm_ref_drop(&cell);
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

Test(target, dropping_the_last_count_aborts)
{
    cr_expect_not(drop_aborts(2));
    cr_expect(drop_aborts(1));
    cr_expect(drop_aborts(0));
}

/* ---- names and hash text ---------------------------------------------------------------- */

Test(text, kinds)
{
    static const char *const names[] = {"Instance", "Image", "Data", "CNode", "Type"};
    for (unsigned kind = 0; kind < 5; kind++)
        cr_expect_str_eq(javm_kind_name((enum javm_kind)kind), names[kind]);
    cr_expect_str_eq(javm_kind_name((enum javm_kind)5), "?");
    cr_expect_str_eq(javm_kind_name((enum javm_kind) - 1), "?");
}

Test(text, statuses_are_frozen)
{
    static const char *const names[] = {"ok",    "no memory", "io",          "format", "range",
                                        "kind",  "missing",   "foreign",     "live",   "exists",
                                        "limit", "state",     "unsupported", "crashed"};
    for (unsigned status = 0; status < sizeof names / sizeof *names; status++)
        cr_expect_str_eq(javm_status_name((enum javm_status)status), names[status]);
    cr_expect_str_eq(javm_status_name((enum javm_status)14), "unknown");
    cr_expect_eq(JAVM_E_UNSUPPORTED, 12);
}

Test(text, errors_are_cut_and_terminated)
{
    struct javm_error err;
    char longer[400];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    memset(&err, 0xAA, sizeof err);
    cr_expect_eq(javm_fail(&err, JAVM_E_LIMIT, 7, "%s", longer), JAVM_E_LIMIT);
    cr_expect_eq(err.status, JAVM_E_LIMIT);
    cr_expect_eq(err.where, 7);
    cr_expect_eq(strlen(err.text), sizeof err.text - 1);
    cr_expect_eq(javm_fail(NULL, JAVM_E_IO, 0, "nobody listens"), JAVM_E_IO);
}

Test(text, hashes)
{
    const struct javm_hash hash = hash_of("x");
    struct javm_hash back = {{0}};
    char text[JAVM_HASH_TEXT + 1];
    memset(text, 'z', sizeof text);
    javm_hash_format(&hash, text);
    cr_assert_eq(strlen(text), 66);
    cr_expect_eq(text[67], 'z', "one byte too many was written");
    cr_expect(is_hex(hash.bytes, sizeof hash, text + 2) && text[0] == '0' && text[1] == 'x');
    cr_expect(javm_hash_parse(text, 66, &back));
    cr_expect(javm_hash_equal(&hash, &back));
    for (char *c = text + 2; *c != '\0'; c++)
        *c = (char)(*c >= 'a' ? *c - 'a' + 'A' : *c);
    back = (struct javm_hash){{0}};
    cr_expect(javm_hash_parse(text, 66, &back));
    cr_expect(javm_hash_equal(&hash, &back));
}

Test(text, hashes_that_are_refused)
{
    const struct javm_hash hash = hash_of("x");
    struct javm_hash back;
    char text[JAVM_HASH_TEXT + 1];
    javm_hash_format(&hash, text);
    cr_expect_not(javm_hash_parse(text, 0, &back));
    cr_expect_not(javm_hash_parse(text, 65, &back));
    cr_expect_not(javm_hash_parse(text, 67, &back));
    static const char bad[] = {'g', 'G', ' ', ':', '/', '@', '`', '-', '\0', '\n'};
    for (size_t at = 0; at < 66; at++)
        for (size_t i = 0; i < sizeof bad; i++) {
            const char good = text[at];
            text[at] = bad[i];
            cr_expect_not(javm_hash_parse(text, 66, &back), "byte %zu is %d", at, bad[i]);
            text[at] = good;
        }
    text[1] = 'X'; /* the prefix has one form only */
    cr_expect_not(javm_hash_parse(text, 66, &back));
}

Test(text, zero_hash)
{
    struct javm_hash hash = {{0}};
    cr_expect(javm_hash_is_zero(&hash));
    for (unsigned i = 0; i < JAVM_HASH_BYTES; i++) {
        hash.bytes[i] = 1;
        cr_expect_not(javm_hash_is_zero(&hash));
        hash.bytes[i] = 0;
    }
}
