/* Modules, and which function answers which import. */
#include "vm/module/module.h"

#include <stdlib.h>
#include <string.h>

static enum javm_status ready(struct javm_pvm_module *module,
                              const struct javm_pvm_module_options *options, struct javm_error *err)
{
    const struct javm_pvm_code *code = &module->program->code;
    const struct javm_program_key key = javm_pvm_key(code, options->memory_pages);
    if (module->engine == JAVM_ENGINE_INTERP)
        return javm_program_decode(code->code, code->code_len, &key, &module->decoded, err);
    if (!javm_engine_available(module->engine) || options->jit == NULL)
        return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         options->jit == NULL ? "module: the recompiler needs a store (jit)"
                                              : "module: no recompiler for this machine");
    struct javm_hash name;
    if (options->owner != NULL)
        name = javm_pvm_name(code);
    return javm_native_open(options->jit, options->owner != NULL ? &name : NULL, code->code,
                            code->code_len, &key, options->owner, &module->native, err);
}

enum javm_status javm_pvm_module_open(const struct javm_pvm_program *program,
                                      const struct javm_pvm_module_options *options,
                                      struct javm_pvm_module **module, struct javm_error *err)
{
    static const struct javm_pvm_module_options none;
    struct javm_pvm_memory memory;
    options = options == NULL ? &none : options;
    const struct javm_pvm_setup setup = {.page_size = options->page_size};
    enum javm_status status = javm_pvm_memory(program, &setup, &memory, err);
    if (status != JAVM_OK)
        return status;
    struct javm_pvm_module *m = calloc(1, sizeof *m);
    if (m == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "module: out of memory");
    m->program = program;
    m->engine = options->engine;
    m->page_size = options->page_size;
    status = ready(m, options, err);
    if (status != JAVM_OK) {
        javm_pvm_module_close(m);
        return status;
    }
    *module = m;
    return JAVM_OK;
}

void javm_pvm_module_close(struct javm_pvm_module *module)
{
    if (module == NULL)
        return;
    javm_program_free(module->decoded);
    if (module->native != NULL)
        javm_native_close(module->native);
    free(module);
}

const struct javm_pvm_symbol *javm_pvm_export(const struct javm_pvm_program *program,
                                              const char *name, size_t len)
{
    for (uint32_t i = 0; i < program->export_count; i++) {
        const struct javm_pvm_symbol *symbol = &program->exports[i];
        if (symbol->name_len == len && (len == 0 || memcmp(symbol->name, name, len) == 0))
            return symbol;
    }
    return NULL;
}
