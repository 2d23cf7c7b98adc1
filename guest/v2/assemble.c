/* Writes the JAR v2 programs of the README: javm-v2-guests FOLDER. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOVE = 100, OR = 212, ADD = 200, ADD_IMM = 149, SHIFT_LEFT_IMM = 151 };
enum { BRANCH_EQ = 81, LOAD_IND = 130, STORE_IND = 123, LOAD = 58, STORE = 62 };
enum { A0 = 7, A1, A2, A3, A4, A5, S0 = 5, S1 = 6, T2 = 4 }; /* φ7 and so on */

#define CODE_MAX   2048u
#define LABELS     300u
#define FULL       (-5)
#define KEY        0x20000
#define KEY_LEN    5
#define SUM        0x20100
#define RECORD_LEN 56
#define PAGE       4096u

struct program {
    uint8_t code[CODE_MAX], starts[CODE_MAX];
    uint32_t len;
    uint32_t labels[LABELS]; /* where they stand */
    struct {
        uint32_t instruction, at, label; /* the four bytes at `at` are the way there */
    } jumps[LABELS];
    uint32_t jump_count;
};

static void put(struct program *p, uint64_t value, unsigned bytes)
{
    if (p->len + bytes > CODE_MAX)
        abort();
    for (unsigned i = 0; i < bytes; i++)
        p->code[p->len++] = (uint8_t)(value >> (8 * i));
}

static void begin(struct program *p, unsigned op)
{
    p->starts[p->len] = 1;
    put(p, op, 1);
}

static void label(struct program *p, uint32_t label)
{
    p->labels[label] = p->len;
}

static void way(struct program *p, uint32_t instruction, uint32_t to)
{
    p->jumps[p->jump_count].instruction = instruction;
    p->jumps[p->jump_count].at = p->len;
    p->jumps[p->jump_count++].label = to;
    put(p, 0, 4);
}

static void jump(struct program *p, uint32_t to)
{
    const uint32_t here = p->len;
    begin(p, 40);
    way(p, here, to);
}

static void branch_eq(struct program *p, unsigned reg, int value, uint32_t to)
{
    const uint32_t here = p->len;
    begin(p, BRANCH_EQ);
    put(p, reg | 4u << 4, 1);
    put(p, (uint64_t)(int64_t)value, 4);
    way(p, here, to);
}

static void load_imm(struct program *p, unsigned reg, int value)
{
    begin(p, 51);
    put(p, reg, 1);
    put(p, (uint64_t)(int64_t)value, 4);
}

/* a := memory at an address, or the other way round. */
static void direct(struct program *p, unsigned op, unsigned reg, uint32_t address)
{
    begin(p, op);
    put(p, reg, 1);
    put(p, address, 4);
}

static void with_imm(struct program *p, unsigned op, unsigned a, unsigned b, uint32_t imm)
{
    begin(p, op);
    put(p, a | b << 4, 1);
    put(p, imm, 4);
}

static void three(struct program *p, unsigned op, unsigned d, unsigned a, unsigned b)
{
    begin(p, op);
    put(p, a | b << 4, 1);
    put(p, d, 1);
}

static void move(struct program *p, unsigned to, unsigned from)
{
    begin(p, MOVE);
    put(p, to | from << 4, 1);
}

static void call(struct program *p, unsigned service)
{
    begin(p, 10);
    put(p, service, 1);
}

static void trap(struct program *p)
{
    begin(p, 0);
}

/* ---- blobs ------------------------------------------------------------------------------ */

struct data {
    unsigned slot;
    uint32_t first_page, pages;
    unsigned writable;
    const char *content;
};

static void write_le(FILE *file, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        fputc((int)(value >> (8 * i) & 0xFF), file);
}

static void write_entry(FILE *file, const struct data *data, unsigned is_data, uint64_t offset,
                        uint64_t len)
{
    write_le(file, data->slot, 1);
    write_le(file, is_data, 1);
    write_le(file, data->first_page, 4);
    write_le(file, data->pages, 4);
    write_le(file, data->writable, 1);
    write_le(file, offset, 4);
    write_le(file, len, 4);
}

static void resolve(struct program *p)
{
    for (uint32_t i = 0; i < p->jump_count; i++) {
        const uint32_t offset = p->labels[p->jumps[i].label] - p->jumps[i].instruction;
        for (unsigned k = 0; k < 4; k++)
            p->code[p->jumps[i].at + k] = (uint8_t)(offset >> (8 * k));
    }
}

/* The code is in slot 127, first in the data section. */
static void save(const char *folder, const char *name, struct program *p, const struct data *data,
                 unsigned count)
{
    static const struct data code = {.slot = 127};
    const uint32_t bitmask = (p->len + 7) / 8, code_len = 9 + p->len + bitmask;
    uint32_t pages = 0, offset = code_len;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    resolve(p);
    for (unsigned i = 0; i < count; i++)
        pages += data[i].pages;
    fwrite("JAR\2", 1, 4, file);
    write_le(file, 2 * pages, 4);
    write_le(file, count + 1, 1);
    write_le(file, code.slot, 1);
    write_entry(file, &code, 0, 0, code_len);
    for (unsigned i = 0; i < count; i++) {
        write_entry(file, &data[i], 1, offset, strlen(data[i].content));
        offset += (uint32_t)strlen(data[i].content);
    }
    write_le(file, 0, 4); /* no jump table */
    write_le(file, 1, 1);
    write_le(file, p->len, 4);
    fwrite(p->code, 1, p->len, file);
    for (uint32_t i = 0; i < bitmask; i++) {
        unsigned byte = 0;
        for (unsigned k = 0; k < 8 && 8 * i + k < p->len; k++)
            byte |= (unsigned)p->starts[8 * i + k] << k;
        write_le(file, byte, 1);
    }
    for (unsigned i = 0; i < count; i++)
        fwrite(data[i].content, 1, strlen(data[i].content), file);
    if (fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

/* ---- the programs ----------------------------------------------------------------------- */

static void make_counter(const char *folder)
{
    enum { REFINE, NO_ROOM };
    static const struct data data[] = {{0, 0x10, 1, 1, ""}, {64, KEY / PAGE, 1, 1, "count"}};
    static struct program p;
    branch_eq(&p, A0, 0, REFINE);
    with_imm(&p, LOAD_IND, S1, A1, 0);
    load_imm(&p, A0, -1);
    load_imm(&p, A1, KEY);
    load_imm(&p, A2, KEY_LEN);
    load_imm(&p, A3, SUM);
    load_imm(&p, A4, 0);
    load_imm(&p, A5, 8);
    call(&p, 4);
    direct(&p, LOAD, A0, SUM);
    three(&p, ADD, S1, S1, A0);
    direct(&p, STORE, S1, SUM);
    load_imm(&p, A0, KEY);
    load_imm(&p, A1, KEY_LEN);
    load_imm(&p, A2, SUM);
    load_imm(&p, A3, 8);
    call(&p, 5);
    branch_eq(&p, A0, FULL, NO_ROOM);
    move(&p, A0, S1);
    load_imm(&p, A1, 0);
    call(&p, 0);
    label(&p, NO_ROOM);
    trap(&p);
    label(&p, REFINE);
    with_imm(&p, SHIFT_LEFT_IMM, A0, A1, 32);
    three(&p, OR, A0, A0, A2);
    call(&p, 0);
    save(folder, "counter.jar", &p, data, 2);
}

static void make_caller(const char *folder)
{
    enum { SERVICES = 28, LOOP = 100, BACK, END, READ, FOREVER, LEAVE };
    static const struct data data[] = {
        {0, 0x10, 4, 1, ""}, {64, 0x20, 2, 1, ""}, {65, 0x30, 1, 0, "count"}};
    static struct program p;
    move(&p, S0, A1);
    label(&p, LOOP);
    with_imm(&p, LOAD_IND, S1, S0, 0);
    for (unsigned i = 0; i < 6; i++)
        with_imm(&p, LOAD_IND, A0 + i, S0, 8 + 8 * i);
    branch_eq(&p, S1, 0, END);
    for (unsigned id = 1; id <= SERVICES; id++)
        branch_eq(&p, S1, (int)id, id);
    branch_eq(&p, S1, 255, LEAVE);
    branch_eq(&p, S1, 254, READ);
    branch_eq(&p, S1, 252, FOREVER);
    trap(&p);
    for (unsigned id = 1; id <= SERVICES; id++) {
        label(&p, id);
        call(&p, id);
        jump(&p, BACK);
    }
    label(&p, READ);
    with_imm(&p, LOAD_IND, A0, A0, 0);
    label(&p, BACK);
    with_imm(&p, STORE_IND, A0, S0, 0);
    with_imm(&p, STORE_IND, A1, S0, 8);
    move(&p, T2, A0);
    with_imm(&p, ADD_IMM, S0, S0, RECORD_LEN);
    jump(&p, LOOP);
    label(&p, FOREVER);
    jump(&p, FOREVER);
    label(&p, END);
    move(&p, A0, T2);
    load_imm(&p, A1, 0);
    label(&p, LEAVE);
    call(&p, 0);
    save(folder, "caller.jar", &p, data, 3);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: javm-v2-guests FOLDER\n");
        return 2;
    }
    make_counter(argv[1]);
    make_caller(argv[1]);
    return 0;
}
