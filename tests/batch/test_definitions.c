/* Defects that this would catch: a name that is lost when the table grows, that can be defined
 * twice or reaches the wrong image; a definition that is refused and leaves something behind; slots
 * that are filled wrongly or not at all; a hash that does not find what was loaded. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "javm/directory.h"
#include "jobs.h"

#define IMAGE "{\"image\":\"d\",\"load\":\"d.jimg\"}"

static const struct target *target_of(const char *name)
{
    char line[256];
    snprintf(line, sizeof line, "{\"invoke\":\"%s\"}", name);
    return jobs_job(line)->target;
}

static bool same_instance(const char *a, const char *b)
{
    return javm_hash_equal(&target_of(a)->instance, &target_of(b)->instance);
}

Test(definitions, names_survive_growth, .init = jobs_set_up, .fini = jobs_tear_down)
{
    char line[128], name[32];
    jobs_define(IMAGE);
    for (int i = 0; i < 500; i++) {
        snprintf(line, sizeof line,
                 "{\"instance\":\"i%d\",\"image\":\"d\",\"slots\":{\"5\":{\"data\":\"0x%04x\"}}}",
                 i, i + 1);
        jobs_define(line);
    }
    const struct target *first = target_of("i0");
    for (int i = 1; i < 500; i++) {
        snprintf(name, sizeof name, "i%d", i);
        cr_expect_not(javm_hash_equal(&target_of(name)->instance, &first->instance), "%s", name);
    }
    cr_expect_eq(target_of("i0"), first, "targets never move");
    jobs_refuse("{\"instance\":\"i499\",\"image\":\"d\"}", 12,
                "instance: the name \"i499\" is already defined");
}

Test(definitions, what_is_refused_defines_nothing, .init = jobs_set_up, .fini = jobs_tear_down)
{
    jobs_define(IMAGE);
    jobs_refuse("{\"image\":\"e\",\"load\":\"small.bin\"}", 20, "load: ");
    jobs_refuse("{\"image\":\"e\",\"load\":\"d.jimg\",\"y\":1}", 29, "unknown field \"y\"");
    jobs_refuse("{\"instance\":\"e\",\"image\":\"d\",\"slots\":{\"5\":{\"data\":\"0x0\"}}}", 49,
                "data: odd number");
    jobs_refuse("{\"invoke\":\"e\"}", 10, "invoke: the name \"e\" is not defined");
    jobs_define("{\"image\":\"e\",\"load\":\"d.jimg\"}");
    cr_expect(same_instance("d", "e"), "one image under two names");
}

Test(definitions, names_are_exact, .init = jobs_set_up, .fini = jobs_tear_down)
{
    jobs_define("{\"image\":\"caf\\u00e9\",\"load\":\"d.jimg\",\"x-note\":[1,{}]}");
    jobs_define("{\"image\":\"a\\u0000b\",\"load\":\"d.jimg\"}");
    jobs_job("{\"invoke\":\"caf\xC3\xA9\"}");
    jobs_job("{\"invoke\":\"a\\u0000b\"}");
    jobs_refuse("{\"invoke\":\"a\"}", 10, "invoke: the name \"a\" is not defined");
    jobs_refuse("{\"invoke\":\"cafe\"}", 10, "invoke: the name \"cafe\" is not defined");
    jobs_refuse("{\"image\":\"0Xab\",\"load\":\"d.jimg\"}", 9,
                "image: a name cannot start with 0x");
}

Test(definitions, slots, .init = jobs_set_up, .fini = jobs_tear_down)
{
    jobs_define(IMAGE);
    jobs_define("{\"instance\":\"none\",\"image\":\"d\",\"slots\":{}}");
    cr_expect(same_instance("none", "d"));
    jobs_define("{\"instance\":\"a\",\"image\":\"d\",\"slots\":{\"5\":{\"data\":\"0x010203\"}}}");
    jobs_define(
        "{\"instance\":\"b\",\"image\":\"d\",\"slots\":{\"0x5\":{\"data\":\"small.bin\"}}}");
    cr_expect(same_instance("a", "b"), "hex and a file, 5 and 0x5");
    cr_expect_not(same_instance("a", "d"));
    jobs_define("{\"instance\":\"p\",\"image\":\"d\",\"slots\":{\"18446744073709551615\":{"
                "\"image\":\"d\"}}}");
    jobs_define("{\"instance\":\"q\",\"image\":\"d\",\"slots\":{\"0xffffffffffffffff\":{\"image\":"
                "\"d\"}}}");
    cr_expect(same_instance("p", "q"));
    jobs_define("{\"instance\":\"r\",\"image\":\"d\",\"slots\":{\"6\":{\"instance\":\"a\"}}}");

    struct javm_cap *r = javm_directory_get(jobs_dir(), &target_of("r")->instance);
    cr_assert(r != NULL && javm_cap_kind(r) == JAVM_INSTANCE);
    const struct javm_target *root = &javm_instance_of(r)->root_cnode;
    cr_assert_eq(root->kind, JAVM_TARGET_HASH);
    struct javm_cap *cnode = javm_directory_get(jobs_dir(), &root->hash);
    const struct javm_key six = javm_key_from_u64(6), five = javm_key_from_u64(5);
    cr_assert(cnode != NULL);
    const struct javm_target *slot = javm_cnode_get(cnode, &six);
    cr_assert(slot != NULL && slot->kind == JAVM_TARGET_HASH);
    cr_expect(javm_hash_equal(&slot->hash, &target_of("a")->instance));
    cr_expect_null(javm_cnode_get(cnode, &five));
    javm_cap_release(cnode);
    javm_cap_release(r);
}

Test(definitions, hashes, .init = jobs_set_up, .fini = jobs_tear_down)
{
    char line[256], text[JAVM_HASH_TEXT];
    jobs_define(IMAGE);
    jobs_define("{\"instance\":\"a\",\"image\":\"d\",\"slots\":{\"5\":{\"data\":\"0x01\"}}}");
    const struct target *a = target_of("a");
    javm_hash_format(&a->instance, text);
    snprintf(line, sizeof line, "{\"invoke\":\"%s\"}", text);
    cr_expect(javm_hash_equal(&jobs_job(line)->target->instance, &a->instance));
    for (char *at = text + 2; *at != '\0'; at++) /* digits of either case are the same hash */
        if (*at >= 'a' && *at <= 'f')
            *at = (char)(*at - 32);
    snprintf(line, sizeof line, "{\"invoke\":\"%s\"}", text);
    cr_expect_eq(jobs_job(line)->target, jobs_job(line)->target, "found again, not made again");
    cr_expect(javm_hash_equal(&jobs_job(line)->target->instance, &a->instance));
    struct javm_hash image;
    cr_assert_eq(javm_cap_hash(a->image, &image), JAVM_OK);
    javm_hash_format(&image, text);
    snprintf(line, sizeof line, "{\"invoke\":\"%s\"}", text);
    cr_expect(javm_hash_equal(&jobs_job(line)->target->instance, &target_of("d")->instance));
    /* The name of a hash cannot be taken by a definition. */
    snprintf(line, sizeof line, "{\"instance\":\"%s\",\"image\":\"d\"}", text);
    jobs_refuse(line, 12, "instance: a name cannot start with 0x");
}
