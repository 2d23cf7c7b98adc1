/* Bytes as the choices of a round of the kernel's lockstep: what the graph is, what its guests are
 * told to do and what the host does. When they are used up a generator that starts from their
 * number goes on. Checked: as in tests/vm/kernel_fuzz.h. */
#include "tests/vm/kernel_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES 4096u

static struct fuzz_session session;

static void close_session(void)
{
    if (session.jit != NULL)
        javm_jit_destroy(session.jit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool open;
    if (size > MAX_BYTES)
        return 0;
    if (!open && javm_engine_available(JAVM_ENGINE_JIT)) {
        REQUIRE(javm_jit_create(NULL, &session.jit, NULL) == JAVM_OK);
        atexit(close_session); /* else the leak checker finds what libgcc keeps for it */
    }
    open = true;
    struct choices choices = {.random = {.state = size}, .bytes = data, .left = size};
    if (!fuzz_round(&session, &choices, 1, "the input"))
        abort();
    return 0;
}
