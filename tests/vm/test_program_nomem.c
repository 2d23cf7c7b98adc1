/* Every allocation of decoding a program fails once: an error, and nothing is written where there
 * is no room.
 *
 * Would catch: one of the two lists of instructions that grows when the other could not. Shows in a
 * sanitizer build. */
#include <criterion/criterion.h>

#include "tests/vm/refusing_malloc.h"
#include "tests/vm/support.h"

#define C_ADDI 0x0421u /* c.addi x8, 8 */

/* Short instructions: more of them than a first guess by the length of the code has room for; the
 * list of blocks grows too. */
Test(program_nomem, every_allocation_once)
{
    uint16_t code[4000];
    const struct javm_program_key key = {.cow_cost = 300};
    for (size_t i = 0; i < CODE(code); i++)
        code[i] = C_ADDI;
    for (size_t i = 0; i + 2 < CODE(code); i += 10)
        memcpy(&code[i], &(uint32_t){FALLTHROUGH}, 4);
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        struct javm_program *program = NULL;
        struct javm_error err;
        refused = false;
        countdown = n;
        const enum javm_status status =
            javm_program_decode_pvm2((const uint8_t *)code, sizeof code, &key, &program, &err);
        countdown = 0;
        if (status == JAVM_OK) {
            javm_program_free(program);
            if (!refused)
                break;
            continue; /* the lists were not made smaller */
        }
        cr_assert(refused);
        cr_assert_eq(status, JAVM_E_NOMEM, "allocation %u: %s", (unsigned)n, err.text);
        failures++;
    }
    cr_expect_gt(failures, 8);
    REQUIRE_NO_LEAKS();
}
