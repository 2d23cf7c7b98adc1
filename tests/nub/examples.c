#include "tests/nub/examples.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/require.h"

/* The bytes at the start of an indented line, up to two blanks or its end. */
static void add_row(const char *line, struct example *example)
{
    const char *c = line + 4;
    while (*c != '\n' && *c != '\0' && !(c[0] == ' ' && c[1] == ' ')) {
        if (*c == ' ') {
            c++;
            continue;
        }
        const char digits[3] = {c[0], c[1], 0};
        unsigned long times = 1;
        REQUIRE(isxdigit((unsigned char)c[0]) && isxdigit((unsigned char)c[1]));
        c += 2;
        if (*c == '*') {
            char *end;
            times = strtoul(c + 1, &end, 10);
            c = end;
        }
        for (; times > 0; times--) {
            REQUIRE(example->len < EXAMPLE_MAX);
            example->bytes[example->len++] = (uint8_t)strtoul(digits, NULL, 16);
        }
    }
}

void example_read(const char *name, struct example *example)
{
    char marker[64], line[256];
    FILE *file = fopen(JAVM_SOURCE_DIR "/docs/nub.md", "r");
    REQUIRE(file != NULL);
    snprintf(marker, sizeof marker, "<!-- golden %s -->\n", name);
    example->len = 0;
    while (fgets(line, sizeof line, file) != NULL && strcmp(line, marker) != 0)
        continue;
    while (fgets(line, sizeof line, file) != NULL && strncmp(line, "<!--", 4) != 0)
        if (strncmp(line, "    ", 4) == 0)
            add_row(line, example);
    fclose(file);
    REQUIRE(example->len > 0);
}
