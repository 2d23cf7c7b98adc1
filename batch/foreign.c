#include "batch/foreign.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "batch/text.h"

struct foreign_module {
    struct foreign_module *next;
    struct javm_jit *jit;
    struct javm_pvm_module *module;
};

/* ---- what the host answers --------------------------------------------------------------- */

/* A whole number in decimal or 0x. */
static bool read_number(const char *text, size_t len, uint64_t limit, uint64_t *number)
{
    const bool hex = len > 2 && text[0] == '0' && (text[1] | 32) == 'x';
    const unsigned base = hex ? 16 : 10;
    uint64_t value = 0;
    if (len == 0)
        return false;
    for (size_t i = hex ? 2 : 0; i < len; i++) {
        const int digit = hex_digit(text[i]);
        if (digit < 0 || (unsigned)digit >= base || value > (limit - (unsigned)digit) / base)
            return false;
        value = value * base + (unsigned)digit;
    }
    *number = value;
    return true;
}

bool foreign_stubs_add(struct foreign_stubs *stubs, const char *text, bool *full)
{
    const char *sign = strrchr(text, '=');
    struct foreign_stub stub = {.name = text};
    *full = false;
    if (sign == NULL || sign == text ||
        !read_number(sign + 1, strlen(sign + 1), UINT64_MAX, &stub.value))
        return false;
    stub.name_len = (size_t)(sign - text);
    struct foreign_stub *items = realloc(stubs->items, (stubs->count + 1) * sizeof *items);
    *full = items == NULL;
    if (items == NULL)
        return false;
    stubs->items = items;
    stubs->items[stubs->count++] = stub;
    return true;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t x = ((const struct foreign_answer *)a)->number;
    const uint32_t y = ((const struct foreign_answer *)b)->number;
    return (x > y) - (x < y);
}

const uint64_t *foreign_answer(const struct foreign *foreign, uint32_t number)
{
    const struct foreign_answer key = {number, 0};
    const struct foreign_answer *found =
        foreign->answer_count == 0
            ? NULL
            : bsearch(&key, foreign->answers, foreign->answer_count, sizeof key, by_number);
    return found == NULL ? NULL : &found->value;
}

static bool put_answer(struct foreign *foreign, uint32_t number, uint64_t value)
{
    for (size_t i = 0; i < foreign->answer_count; i++)
        if (foreign->answers[i].number == number) {
            foreign->answers[i].value = value; /* the last one counts */
            return true;
        }
    struct foreign_answer *more =
        realloc(foreign->answers, (foreign->answer_count + 1) * sizeof *more);
    if (more == NULL)
        return false;
    foreign->answers = more;
    foreign->answers[foreign->answer_count++] = (struct foreign_answer){number, value};
    return true;
}

/* A name stands for all imports that have it; what is no import's may be a number. */
static bool take_stubs(struct foreign *foreign, const struct foreign_stubs *stubs)
{
    const struct javm_pvm_program *program = &foreign->program;
    for (size_t s = 0; stubs != NULL && s < stubs->count; s++) {
        const struct foreign_stub *stub = &stubs->items[s];
        bool named = false;
        uint64_t number;
        for (uint32_t i = 0; i < program->import_count; i++) {
            if (program->imports[i].name_len != stub->name_len ||
                memcmp(program->imports[i].name, stub->name, stub->name_len) != 0)
                continue;
            named = true;
            if (!put_answer(foreign, i, stub->value))
                return false;
        }
        if (!named && read_number(stub->name, stub->name_len, UINT32_MAX, &number) &&
            !put_answer(foreign, (uint32_t)number, stub->value))
            return false;
    }
    if (foreign->answer_count > 0)
        qsort(foreign->answers, foreign->answer_count, sizeof *foreign->answers, by_number);
    return true;
}

/* The same on every machine. */
static bool make_hash(struct foreign *foreign, const uint8_t *bytes, size_t len)
{
    uint8_t *form = malloc(foreign->answer_count * 12 + 1);
    if (form == NULL)
        return false;
    for (size_t i = 0; i < foreign->answer_count; i++)
        for (unsigned b = 0; b < 12; b++)
            form[i * 12 + b] = (uint8_t)(b < 4 ? foreign->answers[i].number >> (8 * b)
                                               : foreign->answers[i].value >> (8 * (b - 4)));
    const struct javm_hash file = javm_hash_pieces(&(const struct javm_bytes){bytes, len}, 1);
    const struct javm_bytes all[] = {{"javm.batch.pvm.1", 16},
                                     {file.bytes, sizeof file.bytes},
                                     {form, foreign->answer_count * 12}};
    foreign->hash = javm_hash_pieces(all, 3);
    free(form);
    return true;
}

/* ---- loading ----------------------------------------------------------------------------- */

#define NAME_MAX_BYTES 100u

/* Names can be any bytes, of any length. */
static bool take_names(struct foreign *foreign)
{
    const uint32_t count = foreign->program.import_count;
    foreign->names = calloc((size_t)count + 1, sizeof *foreign->names);
    for (uint32_t i = 0; foreign->names != NULL && i < count; i++) {
        const struct javm_pvm_symbol *import = &foreign->program.imports[i];
        const size_t len = import->name_len < NAME_MAX_BYTES ? import->name_len : NAME_MAX_BYTES;
        foreign->names[i] = malloc(len + 1);
        if (foreign->names[i] == NULL)
            return false;
        for (size_t k = 0; k < len; k++)
            foreign->names[i][k] =
                import->name[k] < ' ' || import->name[k] > '~' ? '?' : (char)import->name[k];
        foreign->names[i][len] = '\0';
    }
    return foreign->names != NULL;
}

const char *foreign_import(const struct foreign *foreign, uint64_t number)
{
    return number < foreign->program.import_count ? foreign->names[number] : NULL;
}

static bool keep_file(struct foreign *foreign, const uint8_t *bytes, size_t len)
{
    foreign->file = malloc(len + 1);
    if (foreign->file != NULL && len > 0)
        memcpy(foreign->file, bytes, len);
    return foreign->file != NULL;
}

enum javm_status foreign_load(const uint8_t *bytes, size_t len, const struct foreign_stubs *stubs,
                              bool keep, struct foreign **foreign, struct javm_error *err)
{
    if (javm_pvm_sniff(bytes, len) == JAVM_PVM_JAR)
        return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "a JAR v2 blob, which jobs run with the fields program and v2");
    struct foreign *f = calloc(1, sizeof *f);
    if (f == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    atomic_init(&f->count, 1);
    f->bytes = len;
    pthread_mutex_init(&f->lock, NULL);
    enum javm_status status = javm_pvm_load(bytes, len, JAVM_PVM_ANY, &f->program, err);
    if (status == JAVM_OK && !(take_stubs(f, stubs) && make_hash(f, bytes, len) && take_names(f) &&
                               (!keep || keep_file(f, bytes, len))))
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    if (status != JAVM_OK) {
        foreign_free(f);
        return status;
    }
    *foreign = f;
    return JAVM_OK;
}

static void retain(void *object)
{
    struct foreign *foreign = object;
    /* Relaxed: whoever counts up has it already. */
    atomic_fetch_add_explicit(&foreign->count, 1, memory_order_relaxed);
}

static void release(void *object)
{
    struct foreign *foreign = object;
    /* Release: what this thread read happens before another frees it; acquire: for that one. */
    if (atomic_fetch_sub_explicit(&foreign->count, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; foreign->names != NULL && i < foreign->program.import_count; i++)
        free(foreign->names[i]);
    free(foreign->names);
    free(foreign->file);
    free(foreign->answers);
    javm_pvm_clear(&foreign->program);
    pthread_mutex_destroy(&foreign->lock);
    free(foreign);
}

void foreign_close(struct foreign *foreign)
{
    while (foreign != NULL && foreign->modules != NULL) {
        struct foreign_module *module = foreign->modules;
        foreign->modules = module->next;
        javm_pvm_module_close(module->module);
        free(module);
    }
}

void foreign_free(struct foreign *foreign)
{
    foreign_close(foreign);
    if (foreign != NULL)
        release(foreign);
}

static enum javm_status open_module(struct foreign *foreign, enum javm_engine engine,
                                    struct javm_jit *jit, struct foreign_module **module,
                                    struct javm_error *err)
{
    const struct javm_owner owner = {foreign, foreign->bytes, retain, release};
    const struct javm_pvm_module_options options = {.engine = engine, .jit = jit, .owner = &owner};
    struct foreign_module *made = calloc(1, sizeof *made);
    if (made == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    const enum javm_status status =
        javm_pvm_module_open(&foreign->program, &options, &made->module, err);
    if (status != JAVM_OK) {
        free(made);
        return status;
    }
    made->jit = jit;
    made->next = foreign->modules;
    foreign->modules = made;
    *module = made;
    return JAVM_OK;
}

enum javm_status foreign_module(struct foreign *foreign, enum javm_engine engine,
                                struct javm_jit *jit, struct javm_pvm_module **module,
                                struct javm_error *err)
{
    enum javm_status status = JAVM_OK;
    pthread_mutex_lock(&foreign->lock);
    struct foreign_module *at = foreign->modules;
    while (at != NULL && at->jit != jit)
        at = at->next;
    if (at == NULL)
        status = open_module(foreign, engine, jit, &at, err);
    pthread_mutex_unlock(&foreign->lock);
    if (status == JAVM_OK)
        *module = at->module;
    return status;
}
