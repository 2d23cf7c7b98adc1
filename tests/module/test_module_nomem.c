/* Modules and instances when there is no memory: each allocation fails once, and so does each page.
 *
 * Would catch: a crash or a leak after any of them; an instance that runs on with half of its
 * memory; one that cannot be reset once there is memory again. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/mman.h>

#include "tests/module/module_support.h"
#include "tests/vm/refusing_malloc.h"

static unsigned pages_left; /* so many mprotects succeed; 0: all */
static bool page_refused;

int __real_mprotect(void *at, size_t len, int protection);
int __wrap_mprotect(void *at, size_t len, int protection);
int __wrap_mprotect(void *at, size_t len, int protection)
{
    /* What takes access away always works. */
    if (pages_left != 0 && protection != PROT_NONE && --pages_left == 0) {
        pages_left = 1; /* as do all that follow */
        page_refused = true;
        errno = ENOMEM;
        return -1;
    }
    return __real_mprotect(at, len, protection);
}

static const uint8_t input[] = "input";

static void open_program(struct javm_pvm_program *program)
{
    struct pvm_text t = {.len = 0};
    uint8_t starts[PVM_CODE];
    PVM(&t, 101, 0x92);                     /* t0 = sbrk(a2) */
    PVM(&t, 120, 0x22, 0);                  /* [t0] = t0 */
    PVM(&t, 62, 7, 0xF8, 0xFF, 0xFD, 0xFE); /* the stack's last 8 bytes */
    RETURN(&t);
    const struct spi_source source = {
        .code = source_of(&t, starts), .stack = 4096, .heap_pages = 1};
    load(spi_make(&source), program);
}

static enum javm_status use(struct javm_pvm_instance *instance, struct javm_pvm_call *call)
{
    uint8_t *bytes;
    uint64_t len;
    *call = (struct javm_pvm_call){.gas = 100, .args = {0, 0, 8192}, .arg_count = 3};
    enum javm_status status = javm_pvm_instance_reset(instance, input, sizeof input, NULL);
    if (status == JAVM_OK)
        status = javm_pvm_instance_call(instance, 0, call, NULL);
    if (status == JAVM_OK)
        status = javm_pvm_instance_output(instance, 100, &bytes, &len, NULL);
    if (status == JAVM_OK)
        free(bytes);
    return status;
}

static enum javm_status live(const struct javm_pvm_program *program, unsigned engine,
                             struct javm_jit *jit)
{
    const struct javm_pvm_module_options options = {.engine = (enum javm_engine)engine, .jit = jit};
    struct javm_pvm_module *module = NULL;
    struct javm_pvm_instance *instance = NULL;
    struct javm_pvm_call call;
    enum javm_status status = javm_pvm_module_open(program, &options, &module, NULL);
    if (status == JAVM_OK)
        status = javm_pvm_instance_create(module, NULL, 0, &instance, NULL);
    if (status == JAVM_OK)
        status = use(instance, &call);
    if (status != JAVM_OK && instance != NULL) {
        countdown = pages_left = 0;
        REQUIRE(use(instance, &call) == JAVM_OK);
        cr_assert_eq(call.end, JAVM_PVM_RETURNED);
    }
    javm_pvm_instance_destroy(instance);
    javm_pvm_module_close(module);
    return status;
}

Test(module_nomem, each_allocation_and_each_page)
{
    struct javm_pvm_program program;
    open_program(&program);
    for (unsigned engine = 0; engine < 2; engine++) {
        struct javm_jit *jit;
        REQUIRE(javm_jit_create(NULL, &jit, NULL) == JAVM_OK);
        unsigned failures = 0;
        for (uint64_t n = 1;; n++) {
            countdown = n;
            refused = false;
            const enum javm_status status = live(&program, engine, jit);
            countdown = 0;
            if (!refused)
                break;
            /* Arrays that cannot be made smaller stay; the recompiler does without some. */
            cr_assert(status == JAVM_E_NOMEM || status == JAVM_OK, "engine %u, allocation %u: %d",
                      engine, (unsigned)n, status);
            failures += status != JAVM_OK;
        }
        cr_assert_gt(failures, 3);
        failures = 0;
        for (unsigned n = 1;; n++) {
            pages_left = n;
            page_refused = false;
            const enum javm_status status = live(&program, engine, jit);
            pages_left = 0;
            if (!page_refused)
                break;
            failures += status == JAVM_E_NOMEM;
        }
        cr_assert_gt(failures, 3);
        javm_jit_destroy(jit);
    }
    javm_pvm_clear(&program);
    REQUIRE_NO_LEAKS();
}
