/* A host of a program that draws, plays and reads files: engine GAME.polkavm [FRAMES].
 *
 * The game is a container of another toolchain. It imports what it needs of a machine: a screen, a
 * loudspeaker, files, a console. This program gives it functions of that name, calls its export
 * `init` once and `tick` for each frame, and pays for each call. The game's memory stays from call
 * to call. Built like embed.c:
 *     cc engine.c $(pkg-config --cflags --libs javm) -o engine
 *     ./engine game.polkavm 300 */
#include <inttypes.h>
#include <javm/load.h>
#include <javm/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAS_PER_CALL   UINT64_C(50000000)
#define PAGE           16384u /* what the game was built for */
#define MAX_PIXELS     (1920u * 1080u)
#define MAX_SOUND      65536u
#define MAX_TEXT       1024u
#define PRICE_OF_VIDEO 1000u

/* ---- the machine that the game sees --------------------------------------------------------- */

struct machine {
    uint32_t *screen; /* MAX_PIXELS */
    uint64_t frames, sound_bytes, checksum;
};

/* video_present(pixels, width, height): 4 bytes a pixel. */
static enum javm_pvm_answer video_present(void *context, struct javm_pvm_host_call *call)
{
    struct machine *machine = context;
    const uint64_t width = call->regs[8], height = call->regs[9];
    if (!javm_pvm_charge(call, PRICE_OF_VIDEO))
        return JAVM_PVM_NO_GAS;
    if (width == 0 || width > MAX_PIXELS || height > MAX_PIXELS / width ||
        !javm_pvm_instance_read(call->instance, call->regs[7], machine->screen, width * height * 4))
        return JAVM_PVM_TRAP; /* a bad pointer or size: the game is broken */
    for (uint64_t i = 0; i < width * height; i++)
        machine->checksum = machine->checksum * 31 + machine->screen[i];
    machine->frames++;
    call->regs[7] = 0;
    return JAVM_PVM_ANSWERED;
}

/* audio_push(samples, bytes) */
static enum javm_pvm_answer audio_push(void *context, struct javm_pvm_host_call *call)
{
    struct machine *machine = context;
    uint8_t samples[4096];
    uint64_t left = call->regs[8], at = call->regs[7];
    if (left > MAX_SOUND || !javm_pvm_charge(call, left))
        return left > MAX_SOUND ? JAVM_PVM_TRAP : JAVM_PVM_NO_GAS;
    while (left > 0) {
        const uint64_t part = left < sizeof samples ? left : sizeof samples;
        if (!javm_pvm_instance_read(call->instance, at, samples, part))
            return JAVM_PVM_TRAP;
        machine->sound_bytes += part; /* a real one plays them */
        at += part;
        left -= part;
    }
    return JAVM_PVM_ANSWERED;
}

/* file_read(name, name length, to, room): bytes, or -1. There is one file. */
static enum javm_pvm_answer file_read(void *context, struct javm_pvm_host_call *call)
{
    static const char NAME[] = "palette.bin";
    char name[sizeof NAME - 1];
    uint32_t palette[16];
    (void)context;
    for (uint32_t i = 0; i < 16; i++)
        palette[i] = i * 0x00101112u;
    const uint64_t room = call->regs[10];
    const uint64_t bytes = room < sizeof palette ? room : sizeof palette;
    const bool known = call->regs[8] == sizeof name &&
                       javm_pvm_instance_read(call->instance, call->regs[7], name, sizeof name) &&
                       memcmp(name, NAME, sizeof name) == 0;
    const bool good =
        known && javm_pvm_instance_write(call->instance, call->regs[9], palette, bytes);
    call->regs[7] = good ? bytes : UINT64_MAX;
    return JAVM_PVM_ANSWERED;
}

/* console_write(text, bytes) */
static enum javm_pvm_answer console_write(void *context, struct javm_pvm_host_call *call)
{
    char text[MAX_TEXT];
    const uint64_t len = call->regs[8];
    (void)context;
    if (len > sizeof text || !javm_pvm_instance_read(call->instance, call->regs[7], text, len))
        return JAVM_PVM_TRAP;
    fwrite(text, 1, len, stdout);
    return JAVM_PVM_ANSWERED;
}

/* ---- playing --------------------------------------------------------------------------------- */

static enum javm_status call(struct javm_pvm_instance *instance, const char *export, uint64_t *gas,
                             uint64_t *value, struct javm_error *err)
{
    struct javm_pvm_call call = {.gas = GAS_PER_CALL};
    const enum javm_status status = javm_pvm_instance_call_export(instance, export, &call, err);
    if (status != JAVM_OK)
        return status;
    if (call.end != JAVM_PVM_RETURNED)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "%s: %s at 0x%" PRIx64, export,
                         javm_pvm_end_name(call.end), call.pc);
    *gas += GAS_PER_CALL - call.gas;
    *value = call.value;
    return JAVM_OK;
}

static enum javm_status play(const struct javm_pvm_module *module, uint64_t frames,
                             struct javm_error *err)
{
    struct machine machine = {.screen = malloc(MAX_PIXELS * sizeof *machine.screen)};
    const struct javm_pvm_import functions[] = {{"video_present", video_present, &machine},
                                                {"audio_push", audio_push, &machine},
                                                {"file_read", file_read, &machine},
                                                {"console_write", console_write, &machine}};
    struct javm_pvm_instance *instance = NULL;
    uint64_t gas = 0, value = 0;
    enum javm_status status =
        machine.screen != NULL
            ? javm_pvm_instance_create(module, functions, 4, &instance, err)
            : javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory for the screen");
    if (status == JAVM_OK)
        status = call(instance, "init", &gas, &value, err);
    for (uint64_t i = 0; i < frames && status == JAVM_OK; i++)
        status = call(instance, "tick", &gas, &value, err);
    if (status == JAVM_OK)
        printf("tick %" PRIu64 ": %" PRIu64 " frames shown, checksum %016" PRIx64 ", %" PRIu64
               " bytes of sound, gas %" PRIu64 "\n",
               value, machine.frames, machine.checksum, machine.sound_bytes, gas);
    javm_pvm_instance_destroy(instance);
    free(machine.screen);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 3) {
        fputs("usage: engine GAME.polkavm [FRAMES]\n", stderr);
        return 2;
    }
    struct javm_error err = {.text = "out of memory"};
    struct javm_pvm_program program = {.container = JAVM_PVM_ANY};
    struct javm_pvm_module_options options = {.engine = JAVM_ENGINE_INTERP, .page_size = PAGE};
    struct javm_pvm_module *module = NULL;
    uint8_t *bytes = NULL;
    size_t len = 0;
    /* Without the recompiler it is only slower. JAVM_INTERP is there to compare. */
    if (getenv("JAVM_INTERP") == NULL && javm_jit_create(NULL, &options.jit, NULL) == JAVM_OK)
        options.engine = JAVM_ENGINE_JIT;
    enum javm_status status = javm_file_read(argv[1], 0, &bytes, &len, &err);
    if (status == JAVM_OK)
        status = javm_pvm_load(bytes, len, JAVM_PVM_ANY, &program, &err);
    free(bytes); /* the program has copies */
    if (status == JAVM_OK)
        status = javm_pvm_module_open(&program, &options, &module, &err);
    if (status == JAVM_OK)
        status = play(module, argc == 3 ? strtoull(argv[2], NULL, 0) : 300, &err);
    if (status != JAVM_OK)
        fprintf(stderr, "engine: %s\n", err.text);
    javm_pvm_module_close(module);
    javm_pvm_clear(&program);
    if (options.jit != NULL)
        javm_jit_destroy(options.jit);
    return status == JAVM_OK ? 0 : 1;
}
