/* mkgame FILE: a container as docs/examples/engine.c expects it, of the size that a game engine of
 * another toolchain has: 17 MB of data, half a megabyte of code, which is mostly never reached. It
 * draws 320x200 pixels a tick out of 16 colours that it reads from a file at its start. */
#include <string.h>

#include "javm/load.h"
#include "tests/loaders/pvm_maker.h"

#define CODE_BYTES (512u << 10)
#define RO         0x10000
#define RW         0x30000
#define RW_BYTES   (17u << 20)
#define PALETTE    RW
#define SOUND      (RW + 0x800)
#define COUNTER    (RW + 0xFF0)
#define FRAME      (RW + 0x1000)

enum { RA = 0, T0 = 2, T1 = 3, T2 = 4, S0 = 5, A0 = 7, A1 = 8, A2 = 9, A3 = 10 };
enum { VIDEO, AUDIO, FILES, CONSOLE };

static uint8_t code[CODE_BYTES + 64], starts[CODE_BYTES + 64];
static uint32_t at;

static void put(const uint8_t *bytes, size_t len)
{
    starts[at] = 1;
    memcpy(code + at, bytes, len);
    at += (uint32_t)len;
}
#define OP(...) put((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define LE(n)   (uint8_t)(n), (uint8_t)((n) >> 8), (uint8_t)((n) >> 16), (uint8_t)((n) >> 24)

static void set(uint8_t r, uint32_t value)
{
    OP(51, r, LE(value));
}

static uint32_t put_init(void)
{
    const uint32_t begin = at;
    set(A0, RO);
    set(A1, 11);
    set(A2, PALETTE);
    set(A3, 64);
    OP(10, FILES);
    set(A0, RO + 16);
    set(A1, 16);
    OP(10, CONSOLE);
    OP(50, RA);
    return begin;
}

static uint32_t put_tick(void)
{
    const uint32_t begin = at;
    OP(56, T0, LE(COUNTER));
    OP(149, T0 << 4 | T0, 1);
    OP(61, T0, LE(COUNTER));
    set(T1, FRAME);
    set(T2, 0);
    OP(1); /* what a jump leads to begins a block */
    const uint32_t loop = at;
    OP(200, T0 << 4 | T2, S0); /* pixel i shows colour (i + tick) mod 16 */
    OP(132, S0 << 4 | S0, 15);
    OP(151, S0 << 4 | S0, 2);
    OP(128, S0 << 4 | S0, LE(PALETTE));
    OP(122, T1 << 4 | S0, 0);
    OP(149, T1 << 4 | T1, 4);
    OP(149, T2 << 4 | T2, 1);
    OP(83, 4 << 4 | T2, LE(320 * 200), (uint8_t)(loop - at));
    set(A0, FRAME);
    set(A1, 320);
    set(A2, 200);
    OP(10, VIDEO);
    set(A0, SOUND);
    set(A1, 800);
    OP(10, AUDIO);
    OP(100, T0 << 4 | A0);
    OP(50, RA);
    return begin;
}

int main(int argc, char **argv)
{
    static const char *const imports[] = {"video_present", "audio_push", "file_read",
                                          "console_write", NULL};
    struct pvm_export exports[] = {{0, "init"}, {0, "tick"}, {0}};
    struct javm_error err;
    REQUIRE(argc == 2);
    exports[0].pc = put_init();
    exports[1].pc = put_tick();
    while (at < CODE_BYTES) {
        OP(149, A0 << 4 | A0, 1);
        OP(50, RA);
    }
    const struct polkavm_source source = {
        .code = {code, starts, at, NULL, 0, 0},
        .version = 2,
        .ro_size = 64,
        .rw_size = RW_BYTES,
        .stack_size = 65536,
        .ro = (const uint8_t *)"palette.bin\0\0\0\0\0engine is ready\n",
        .ro_len = 32,
        .imports = imports,
        .exports = exports};
    struct blob blob = polkavm_make(&source);
    REQUIRE(javm_file_write(argv[1], blob.bytes, blob.len, &err) == JAVM_OK);
    blob_free(&blob);
    return 0;
}
