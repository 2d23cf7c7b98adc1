/* javm-vectors: checks an engine against files of test vectors (docs/vectors.md). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/vectors_exec.h"
#include "batch/vectors_file.h"
#include "batch/vectors_jar.h"
#include "batch/vectors_static.h"
#include "javm/version.h"

static const char usage[] = "usage: javm-vectors [--engine interp | jit] [options] FILE...\n";
static const char help[] =
    "Runs each test vector of the files (JSON, plain or zstd-compressed; - is standard input),\n"
    "prints what does not match, and ends with \"N passed, N failed\".\n"
    "\n"
    "  --engine NAME  the engine to check: interp (default) or jit, the recompiler\n"
    "  --name TEXT    only vectors whose name contains TEXT\n"
    "  --verbose      print the vectors that pass, too\n"
    "  --quiet        print only the last line\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 all passed, 1 some failed, 2 bad usage or a file that cannot be used.\n";

struct session {
    struct vector_runner runner;
    struct javm_v2 *v2; /* owned */
    struct report report;
    const char *filter; /* NULL: all */
    bool unusable;      /* some file was no good */
};

/* One vector of any kind; `name` is what --name looks at. */
typedef bool vector_check(struct session *s, const struct fields *json,
                          const struct json_node *node, struct problem *problem);

static bool check_execution(struct session *s, const struct fields *json,
                            const struct json_node *node, struct problem *problem)
{
    return vector_execute(&s->runner, json, node, &s->report, problem);
}

static bool check_jar(struct session *s, const struct fields *json, const struct json_node *node,
                      struct problem *problem)
{
    return vector_jar(s->v2, json, node, &s->report, problem);
}

static bool check_blocks(struct session *s, const struct fields *json, const struct json_node *node,
                         struct problem *problem)
{
    return vector_blocks(json, node, &s->report, problem);
}

static bool check_decode32(struct session *s, const struct fields *json,
                           const struct json_node *node, struct problem *problem)
{
    return vector_decode32(json, node, &s->report, problem);
}

static bool check_decode16(struct session *s, const struct fields *json,
                           const struct json_node *node, struct problem *problem)
{
    return vector_decode16(json, node, &s->report, problem);
}

static bool check(struct session *s, const struct fields *json, const struct json_node *node,
                  const char *name, size_t name_len, vector_check *one, struct problem *problem)
{
    if (s->filter != NULL && memmem(name, name_len, s->filter, strlen(s->filter)) == NULL)
        return true;
    report_begin(&s->report, name, name_len);
    if (!one(s, json, node, problem))
        return false;
    report_end(&s->report);
    return true;
}

/* Which instruction set and kind an object belongs to shows in its members. */
static bool check_object(struct session *s, const struct fields *json, const struct json_node *node,
                         struct problem *problem)
{
    const struct json_node *name = vector_member(json, node, "name", problem);
    if (name == NULL || !field_string(name, "name", problem))
        return false;
    if (json_member(json->nodes, node, "blob") != NULL)
        return check(s, json, node, name->text, name->text_len, check_jar, problem);
    const bool executes = json_member(json->nodes, node, "expected") != NULL;
    if (!executes && json_member(json->nodes, node, "starts") == NULL)
        return problem_at(problem, node->offset,
                          "expected a vector, with a member \"expected\" or \"starts\"");
    return check(s, json, node, name->text, name->text_len,
                 executes ? check_execution : check_blocks, problem);
}

static bool check_list(struct session *s, const struct fields *json, const struct json_node *list,
                       struct problem *problem)
{
    for (uint32_t i = list->first; i != 0; i = json->nodes[i].next) {
        const struct json_node *node = &json->nodes[i];
        bool ok;
        if (node->type == JSON_OBJECT) {
            ok = check_object(s, json, node, problem);
        } else if (node->type == JSON_ARRAY && node->count != 0 &&
                   json->nodes[node->first].type == JSON_STRING) {
            const struct json_node *word = &json->nodes[node->first];
            ok = check(s, json, node, word->text, word->text_len, check_decode32, problem);
        } else {
            ok = problem_at(problem, node->offset,
                            "expected a vector: an object, or an array "
                            "that starts with a word in hex");
        }
        if (!ok)
            return false;
    }
    return true;
}

static bool check_document(struct session *s, const struct fields *json, struct problem *problem)
{
    const struct json_node *root = &json->nodes[0];
    if (root->type == JSON_ARRAY)
        return check_list(s, json, root, problem);
    if (root->type != JSON_OBJECT)
        return problem_at(problem, root->offset, "expected an array of vectors");
    const struct json_node *list = json_member(json->nodes, root, "vectors");
    if (list != NULL && list->type == JSON_ARRAY)
        return check_list(s, json, list, problem);
    if (json_member(json->nodes, root, "code") != NULL ||
        json_member(json->nodes, root, "blob") != NULL)
        return check_object(s, json, root, problem);
    for (uint32_t i = root->first; i != 0; i = json->nodes[i].next) {
        const struct json_node *node = &json->nodes[i];
        if (!check(s, json, node, node->key, node->key_len, check_decode16, problem))
            return false;
    }
    return true;
}

static void check_file(struct session *s, const char *path)
{
    struct vectors_file file;
    struct problem problem;
    if (!vectors_file_open(&file, path)) {
        s->unusable = true;
        return;
    }
    s->report.path = path;
    if (!check_document(s, &file.json, &problem)) {
        vectors_file_complain(&file, &problem);
        s->unusable = true;
    }
    vectors_file_close(&file);
}

static bool parse_engine(const char *name, enum javm_engine *engine)
{
    if (strcmp(name, "interp") == 0)
        *engine = JAVM_ENGINE_INTERP;
    else if (strcmp(name, "jit") == 0)
        *engine = JAVM_ENGINE_JIT;
    else {
        fprintf(stderr,
                "javm-vectors: --engine: there is no engine \"%s\"; expected interp or jit\n",
                name);
        return false;
    }
    if (javm_engine_available(*engine))
        return true;
    fprintf(stderr, "javm-vectors: --engine: %s is not in this build; expected interp\n", name);
    return false;
}

enum parsed { PARSED_GO, PARSED_DONE, PARSED_BAD };

static enum parsed parse_options(int argc, char **argv, struct session *s)
{
    static const struct option options[] = {{"engine", required_argument, NULL, 'e'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case 'e':
            if (!parse_engine(optarg, &s->runner.engine))
                return PARSED_BAD;
            break;
        case 'n':
            s->filter = optarg;
            break;
        case 'v':
            s->report.verbose = true;
            break;
        case 'q':
            s->report.quiet = true;
            break;
        case 'h':
            printf("%s\n%s", usage, help);
            return PARSED_DONE;
        case 'V':
            printf("javm-vectors %s\n%s", JAVM_VERSION, javm_build_facts());
            return PARSED_DONE;
        default:
            fputs(usage, stderr);
            return PARSED_BAD;
        }
    }
    if (optind < argc)
        return PARSED_GO;
    fprintf(stderr, "javm-vectors: no file named\n%s", usage);
    return PARSED_BAD;
}

static bool make_engines(struct session *s, struct javm_error *err)
{
    struct vector_runner *r = &s->runner;
    if (javm_memory_create(&r->memory, err) != JAVM_OK ||
        (r->engine == JAVM_ENGINE_JIT && javm_jit_create(NULL, &r->jit, err) != JAVM_OK))
        return false;
    const struct javm_v2_options options = {.engine = r->engine, .jit = r->jit};
    return javm_v2_create(&options, &s->v2, err) == JAVM_OK;
}

static void free_engines(struct session *s)
{
    vector_clear(&s->runner.vector);
    javm_memory_destroy(s->runner.memory);
    javm_v2_destroy(s->v2);
    if (s->runner.jit != NULL)
        javm_jit_destroy(s->runner.jit);
}

int main(int argc, char **argv)
{
    struct session s = {.runner = {.engine = JAVM_ENGINE_INTERP}};
    struct javm_error err;
    const enum parsed parsed = parse_options(argc, argv, &s);
    if (parsed == PARSED_BAD)
        return 2;
    if (parsed == PARSED_DONE)
        return fflush(stdout) == 0 ? 0 : 2;
    if (!make_engines(&s, &err)) {
        fprintf(stderr, "javm-vectors: %s\n", err.text);
        free_engines(&s);
        return 2;
    }
    for (int i = optind; i < argc; i++)
        check_file(&s, argv[i]);
    free_engines(&s);
    printf("%llu passed, %llu failed\n", (unsigned long long)s.report.passed,
           (unsigned long long)s.report.failed);
    if (fflush(stdout) != 0) {
        perror("javm-vectors: standard output");
        return 2;
    }
    if (!s.unusable && s.report.passed + s.report.failed == 0) {
        fputs("javm-vectors: no vector was run\n", stderr);
        return 2;
    }
    if (s.unusable)
        return 2;
    return s.report.failed != 0;
}
