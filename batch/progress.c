#include "batch/progress.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "batch/text.h"

#define BAR_INTERVAL_MS   100
#define PLAIN_INTERVAL_MS 5000
#define TEXT_SIZE         1024
#define ETA_JOBS          64  /* with fewer jobs done ... */
#define ETA_SECONDS       2.0 /* ... or less time passed, a forecast means nothing */
#define BAR_MIN_WIDTH     10  /* a narrower bar is left out */
#define BAR_MAX_WIDTH     53  /* with its ends */

struct progress {
    FILE *to;
    bool bar;
    bool shown;           /* a bar stands on the line */
    pthread_mutex_t lock; /* guards shown and the terminal line */
};

struct progress *progress_new(enum progress_mode mode, FILE *to)
{
    if (mode == PROGRESS_NONE)
        return NULL;
    struct progress *progress = calloc(1, sizeof *progress);
    if (progress == NULL)
        return NULL;
    const char *term = getenv("TERM");
    const bool capable = isatty(fileno(to)) && (term == NULL || strcmp(term, "dumb") != 0);
    progress->to = to;
    progress->bar = mode == PROGRESS_BAR || (mode == PROGRESS_AUTO && capable);
    pthread_mutex_init(&progress->lock, NULL);
    return progress;
}

void progress_free(struct progress *progress)
{
    if (progress == NULL)
        return;
    pthread_mutex_destroy(&progress->lock);
    free(progress);
}

int progress_interval_ms(const struct progress *progress)
{
    if (progress == NULL)
        return -1;
    return progress->bar ? BAR_INTERVAL_MS : PLAIN_INTERVAL_MS;
}

/* "1:02:03" or "4:05". */
static void format_duration(char *text, size_t size, double seconds)
{
    const unsigned long s = seconds > 3.6e6 ? 3600000 : (unsigned long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%lu:%02lu", s / 60, s % 60);
}

enum part { PART_GAS = 1, PART_SPEED = 2, PART_ETA = 4, PART_PERCENT = 8, PART_BAR = 16 };
#define ALL (PART_GAS | PART_SPEED | PART_ETA | PART_PERCENT)
/* What a line shows, and the next one where that is too wide. */
static const unsigned LINES[] = {ALL | PART_BAR,
                                 (ALL | PART_BAR) & ~(unsigned)PART_GAS,
                                 PART_ETA | PART_PERCENT | PART_BAR,
                                 ALL,
                                 ALL & ~(unsigned)PART_GAS,
                                 PART_ETA | PART_PERCENT,
                                 PART_PERCENT,
                                 0};

/* The numbers; what is left and what went wrong last of all. Returns the length. */
static int format_figures(char *text, size_t size, const struct progress_figures *f, unsigned parts)
{
    char number[32], eta[32];
    const double seconds = f->seconds > 0 ? f->seconds : 1e-9;
    const double speed = (double)f->done / seconds;
    int n = snprintf(text, size, "%s", text_grouped(number, f->done));
    if (f->total > 0)
        n += snprintf(text + n, size - (size_t)n, "/%s%s", f->estimated ? "~" : "",
                      text_grouped(number, f->total));
    if (parts & PART_SPEED)
        n += snprintf(text + n, size - (size_t)n, "  %s jobs/s", text_scaled(number, speed));
    if (parts & PART_GAS)
        n += snprintf(text + n, size - (size_t)n, "  %s gas/s",
                      text_scaled(number, (double)f->gas / seconds));
    if ((parts & PART_ETA) && f->total > f->done && f->done >= ETA_JOBS &&
        f->seconds >= ETA_SECONDS) {
        format_duration(eta, sizeof eta, (double)(f->total - f->done) / speed);
        n += snprintf(text + n, size - (size_t)n, "  ETA %s", eta);
    }
    if (f->failed > 0)
        n += snprintf(text + n, size - (size_t)n, "  %s failed", text_grouped(number, f->failed));
    return n;
}

/* "[===>   ] ", `width` columns in all; nothing for a negative share. */
static void format_bar(char *text, int width, double share)
{
    const int bar = width - (int)strlen("[] ");
    const int full = (int)(share * bar);
    *text = '\0';
    if (share < 0)
        return;
    *text++ = '[';
    memset(text, '=', (size_t)full);
    memset(text + full, ' ', (size_t)(bar - full));
    if (full < bar)
        text[full] = '>';
    memcpy(text + bar, "] ", sizeof "] ");
}

void progress_bar_text(char *text, size_t size, int width, const struct progress_figures *f)
{
    char figures[256], bar[BAR_MAX_WIDTH + 8];
    /* One column stays free: some terminals wrap when the last one is written. */
    const int columns = width > 1 ? width - 1 : 1;
    const double share = f->done >= f->total ? 1 : (double)f->done / (double)f->total;
    int room = 0;
    unsigned parts = 0;
    for (size_t i = 0; i < sizeof LINES / sizeof *LINES; i++) {
        parts = f->total > 0 ? LINES[i] : LINES[i] & ~(unsigned)(PART_BAR | PART_PERCENT);
        room = columns - format_figures(figures, sizeof figures, f, parts) -
               (parts & PART_PERCENT ? (int)strlen("100% ") : 0);
        if (room >= (parts & PART_BAR ? BAR_MIN_WIDTH + (int)strlen("[] ") : 0))
            break;
    }
    format_bar(bar, room < BAR_MAX_WIDTH ? room : BAR_MAX_WIDTH, parts & PART_BAR ? share : -1);
    int n = snprintf(text, size, "%s", bar);
    if (parts & PART_PERCENT)
        n += snprintf(text + n, size - (size_t)n, "%3d%% ", (int)(share * 100));
    snprintf(text + n, size - (size_t)n, "%.*s", n < columns ? columns - n : 0, figures);
}

static int terminal_width(FILE *to)
{
    struct winsize size;
    if (ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col > 400 ? 400 : size.ws_col;
    return 80;
}

void progress_show(struct progress *progress, const struct progress_figures *figures)
{
    char text[TEXT_SIZE];
    if (progress == NULL)
        return;
    pthread_mutex_lock(&progress->lock);
    if (progress->bar) {
        progress_bar_text(text, sizeof text, terminal_width(progress->to), figures);
        fprintf(progress->to, "\r%s\033[K", text);
        progress->shown = true;
    } else {
        char elapsed[32];
        format_figures(text, sizeof text, figures, ALL);
        format_duration(elapsed, sizeof elapsed, figures->seconds);
        fprintf(progress->to, "javm-batch: %s: %s\n", elapsed, text);
    }
    fflush(progress->to);
    pthread_mutex_unlock(&progress->lock);
}

void progress_hide(struct progress *progress)
{
    if (progress == NULL)
        return;
    pthread_mutex_lock(&progress->lock);
    if (progress->shown) {
        fputs("\r\033[K", progress->to);
        fflush(progress->to);
    }
    progress->shown = false;
}

void progress_release(struct progress *progress)
{
    if (progress != NULL)
        pthread_mutex_unlock(&progress->lock);
}
