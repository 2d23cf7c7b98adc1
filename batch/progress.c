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

/* The part with the numbers. */
static void format_figures(char *text, size_t size, const struct progress_figures *f)
{
    char done[32], total[32], rate[32], gas[32], eta[32] = "";
    const double seconds = f->seconds > 0 ? f->seconds : 1e-9;
    const double speed = (double)f->done / seconds;
    text_grouped(done, f->done);
    text_grouped(total, f->total);
    text_scaled(rate, speed);
    text_scaled(gas, (double)f->gas / seconds);
    int n = f->total > 0 ? snprintf(text, size, "%s/%s%s", done, f->estimated ? "~" : "", total)
                         : snprintf(text, size, "%s", done);
    n += snprintf(text + n, size - (size_t)n, "  %s jobs/s  %s gas/s", rate, gas);
    if (f->total > f->done && f->done >= ETA_JOBS && f->seconds >= ETA_SECONDS) {
        format_duration(eta, sizeof eta, (double)(f->total - f->done) / speed);
        n += snprintf(text + n, size - (size_t)n, "  ETA %s", eta);
    }
    if (f->failed > 0)
        snprintf(text + n, size - (size_t)n, "  %s failed", text_grouped(done, f->failed));
}

void progress_bar_text(char *text, size_t size, int width, const struct progress_figures *f)
{
    char figures[256];
    format_figures(figures, sizeof figures, f);
    /* One column stays free: some terminals wrap when the last one is written. */
    const int room = width - 1 - (int)strlen(figures) - (int)strlen("[] 100% ");
    if (f->total == 0 || room < BAR_MIN_WIDTH) {
        snprintf(text, size, "%.*s", width > 1 ? width - 1 : 1, figures);
        return;
    }
    const double share = f->done >= f->total ? 1 : (double)f->done / (double)f->total;
    const int bar = room > 50 ? 50 : room;
    const int full = (int)(share * bar);
    char line[64];
    memset(line, ' ', (size_t)bar);
    memset(line, '=', (size_t)full);
    if (full < bar)
        line[full] = '>';
    snprintf(text, size, "[%.*s] %3d%% %s", bar, line, (int)(share * 100), figures);
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
        format_figures(text, sizeof text, figures);
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
