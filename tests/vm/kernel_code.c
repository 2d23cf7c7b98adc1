/* The code of random guests: between loads, stores, loops and branches they ask the host what to do
 * next, or do something that was decided when they were made. */
#include "tests/vm/kernel_fuzz.h"

/* x numbers. φ7 is x10. */
enum { ASKED = 5, ADDRESS, VALUE, SUM, COUNTER, A0, A1, A2, A3, A4, A5 };

#define ENOUGH 700u /* words, after which only what is open is closed */

struct writer {
    struct guest_code *code;
    struct choices *choices;
    unsigned loops; /* that are open */
};

static void emit(struct writer *w, uint32_t word)
{
    REQUIRE(w->code->count < CODE(w->code->words));
    w->code->words[w->code->count++] = word;
}

static void load_number(struct writer *w, unsigned x, uint32_t value)
{
    const int32_t low = (int32_t)(value << 20) >> 20;
    if ((uint32_t)low == value) {
        emit(w, ADDI(x, 0, low));
        return;
    }
    emit(w, LUI(x, value - (uint32_t)low));
    emit(w, op(PVM2_ADDIW, x, x, 0, low));
}

/* ---- memory ----------------------------------------------------------------------------- */

static uint32_t any_address(struct writer *w, bool write)
{
    static const struct {
        uint32_t bit, start, pages;
    } places[] = {{M_WINDOW, AT_WINDOW, 1}, {M_STATE, AT_STATE, 2},   {M_NODE, AT_NODE, 1},
                  {M_SCRAP, AT_SCRAP, 2},   {M_PINNED, AT_PINNED, 1}, {M_WIDE, AT_WIDE, WIDE}};
    const uint64_t first = choose(w->choices, 6);
    for (uint64_t i = 0; i < 6; i++) {
        const uint64_t k = (first + i) % 6;
        if ((w->code->mappings & places[k].bit) && !(write && places[k].bit == M_PINNED))
            return places[k].start + (uint32_t)choose(w->choices, places[k].pages) * PAGE +
                   8 * (uint32_t)choose(w->choices, 12);
    }
    return 0;
}

static void memory_access(struct writer *w)
{
    const bool write = likely(w->choices, 60);
    uint32_t address = any_address(w, write);
    if (choose(w->choices, 300) == 0) /* elsewhere, read-only, across an edge */
        address = AT_WINDOW + (uint32_t)choose(w->choices, 0x41000);
    if (address == 0)
        return;
    load_number(w, ADDRESS, address);
    if (!write) {
        emit(w, LD(VALUE, 0, ADDRESS));
        emit(w, ADD(SUM, SUM, VALUE));
    } else {
        emit(w, SD(VALUE + (unsigned)choose(w->choices, 5), 0, ADDRESS));
    }
}

/* ---- operations ------------------------------------------------------------------------- */

static void asked(struct writer *w)
{
    static const uint8_t likely_ones[] = {CALL, CALL, CALL,  YIELD, YIELD, RESUME,
                                          COPY, MOVE, SPAWN, SWAP,  DROP,  MINT_DATA};
    uint32_t number;
    if (likely(w->choices, 60)) {
        emit(w, ECALLI(ASK_ANY));
        emit(w, op(PVM2_BEQ, 0, ASKED, 0, 8));
        emit(w, ECALL_JAR);
        return;
    }
    do {
        number = likely(w->choices, 50) ? likely_ones[choose(w->choices, sizeof likely_ones)]
                                        : (uint32_t)between(w->choices, 1, OPERATIONS - 1);
    } while (number > SET_WIDE && number < YIELD);
    emit(w, ECALLI(ASK_OP + (int32_t)number));
    emit(w, op(PVM2_BEQ, 0, ASKED, 0, 8));
    emit(w, ECALLI((int32_t)number));
}

/* Operands by the conventions; what is there when it runs is another matter. */
static void unasked(struct writer *w)
{
    static const struct {
        uint8_t number, from, to, second; /* φ7 is from..to, φ8 starts at second */
    } shapes[] = {{COPY, 1, 20, 27},      {MOVE, 13, 20, 27},       {MINT_CNODE, 27, 31, 0},
                  {SWAP, 13, 19, 13},     {CALL, 13, 19, 0},        {TYPE_OF, 13, 19, 27},
                  {CHAIN, 13, 19, 27},    {MAKE_IMAGE, 24, 25, 27}, {YIELD, 20, 23, 1},
                  {READ_DATA, 2, 4, 0},   {DROP, 13, 31, 0},        {RESUME, 0, 1, 0},
                  {DROP_RESUME, 0, 0, 0}, {SET_IMAGE, 6, 7, 0},     {64, 0, 1, 0}};
    const size_t k = (size_t)choose(w->choices, sizeof shapes / sizeof *shapes);
    uint32_t address = any_address(w, true);
    load_number(w, A0, (uint32_t)between(w->choices, shapes[k].from, shapes[k].to));
    load_number(w, A1,
                shapes[k].second + (shapes[k].second != 0 ? (uint32_t)choose(w->choices, 4) : 0));
    load_number(w, A2, shapes[k].number == READ_DATA ? address : (uint32_t)choose(w->choices, 32));
    load_number(w, A3, (uint32_t)choose(w->choices, 64));
    if (likely(w->choices, 30)) {
        load_number(w, A4, shapes[k].number);
        emit(w, ECALL_JAR);
    } else {
        emit(w, ECALLI(shapes[k].number));
    }
}

static void operation(struct writer *w)
{
    if (w->code->silent || choose(w->choices, 250) == 0)
        unasked(w);
    else
        asked(w);
}

/* ---- control ---------------------------------------------------------------------------- */

static void piece(struct writer *w);

static void arithmetic(struct writer *w)
{
    static const enum pvm2_op ops[] = {PVM2_ADD, PVM2_SUB, PVM2_XOR, PVM2_MUL, PVM2_SLTU};
    emit(w, op(ops[choose(w->choices, 5)], VALUE, VALUE + (unsigned)choose(w->choices, 6),
               SUM + (unsigned)choose(w->choices, 5), 0));
}

/* Over a piece, when φ7 or φ8 is (not) zero. */
static void branch(struct writer *w)
{
    const uint32_t at = w->code->count;
    const enum pvm2_op kind = likely(w->choices, 50) ? PVM2_BEQ : PVM2_BNE;
    const unsigned x = likely(w->choices, 60) ? A1 : A0;
    emit(w, 0);
    piece(w);
    emit(w, FALLTHROUGH);
    w->code->words[at] = op(kind, 0, x, 0, 4 * (int32_t)(w->code->count - at));
}

static void loop(struct writer *w)
{
    load_number(w, COUNTER, (uint32_t)between(w->choices, 2, 6));
    emit(w, FALLTHROUGH);
    const uint32_t top = w->code->count;
    w->loops++;
    for (uint64_t n = between(w->choices, 1, 3); n != 0; n--)
        piece(w);
    w->loops--;
    emit(w, ADDI(COUNTER, COUNTER, -1));
    emit(w, BNE(COUNTER, 0, 4 * ((int32_t)top - (int32_t)w->code->count)));
}

/* What faults, or runs until the gas is used up. */
static void odd(struct writer *w)
{
    switch (choose(w->choices, 5)) {
    case 0:
        emit(w, TRAP);
        break;
    case 1:
        emit(w, RESERVED);
        break;
    case 2:
        emit(w, FALLTHROUGH);
        emit(w, JAL(0, 0));
        break;
    case 3:
        load_number(w, ADDRESS, 0x20000000u);
        emit(w, SD(VALUE, 0, ADDRESS));
        break;
    default:
        emit(w, ECALLI((int32_t)between(w->choices, 8, 15))); /* no such operation */
    }
}

static void piece(struct writer *w)
{
    if (w->code->count > ENOUGH)
        return;
    const uint64_t k = choose(w->choices, 100);
    if (k < 58)
        operation(w);
    else if (k < 78)
        memory_access(w);
    else if (k < 84)
        arithmetic(w);
    else if (k < 91)
        branch(w);
    else if (k < 98 && w->loops == 0)
        loop(w);
    else if (k == 99 && likely(w->choices, 15))
        odd(w);
    else
        operation(w);
}

void code_make(struct guest_code *code, struct choices *choices)
{
    struct writer w = {.code = code, .choices = choices};
    code->count = code->endpoint_count = 0;
    for (uint64_t n = between(choices, 1, 3); n != 0; n--) {
        if (code->count != 0)
            emit(&w, FALLTHROUGH); /* what follows it starts a block */
        struct javm_endpoint *e = &code->endpoints[code->endpoint_count];
        *e = (struct javm_endpoint){.index = code->endpoint_count, .entry_pc = 4 * code->count};
        if (likely(choices, 20))
            e->stack_top = AT_SCRAP + 2 * PAGE;
        if (likely(choices, 20))
            e->initial_regs[6] = choose(choices, 100);
        code->endpoint_count++;
        for (uint64_t pieces = between(choices, 2, 20); pieces != 0; pieces--)
            piece(&w);
        if (!likely(choices, 5)) /* else on into the next one, or off the end */
            emit(&w, REPLY);
    }
}
