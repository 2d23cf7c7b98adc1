/* The command line again, with --resume, as a shell reads it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/diag.h"
#include "batch/options.h"

static void put_word(FILE *to, const char *word)
{
    static const char PLAIN[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=./:,@%";
    fputc(' ', to);
    if (word[0] != '\0' && word[strspn(word, PLAIN)] == '\0') {
        fputs(word, to);
        return;
    }
    fputc('\'', to);
    for (; *word != '\0'; word++)
        if (*word == '\'')
            fputs("'\\''", to);
        else
            fputc(*word, to);
    fputc('\'', to);
}

char *options_resume_command(const struct options *options)
{
    char *text = NULL;
    size_t len = 0;
    if (options->command != COMMAND_RUN || strcmp(options->output, "-") == 0 ||
        options->word_count < 1)
        return NULL;
    FILE *memory = open_memstream(&text, &len);
    if (memory == NULL)
        return NULL;
    if (options->ranks > 0)
        fprintf(memory, "mpirun -n %u ", options->ranks);
    fputs("javm-batch run", memory);
    if (!options->resume)
        fputs(" --resume", memory);
    for (int i = 1; i < options->word_count; i++)
        put_word(memory, options->words[i]);
    if (fclose(memory) == 0)
        return text;
    free(text);
    return NULL;
}
