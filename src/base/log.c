/* log.c - see log.h.  SPDX-License-Identifier: MIT */
#include "base/log.h"

#include "base/time.h"
#include "base/visible.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024 };

static _Atomic int most_verbose = PS_LOG_INFO;

static const struct {
    const char *name;
    int priority; /* syslog(3) */
} levels[] = {{"error", 3}, {"warn", 4}, {"info", 6}, {"debug", 7}};

void ps_log_set_level(enum ps_log_level level)
{
    most_verbose = (int)level;
}

static int put_prefix(char *to, size_t size, enum ps_log_level level)
{
    char iso[PS_ISO_LEN + 1];
    struct timespec now;
    if (getenv("JOURNAL_STREAM") != NULL)
        return snprintf(to, size, "<%d>", levels[level].priority);
    clock_gettime(CLOCK_REALTIME, &now);
    ps_time_format_iso(iso, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    return snprintf(to, size, "%s %-5s ", iso, levels[level].name);
}

void ps_log(enum ps_log_level level, const char *format, ...)
{
    char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
    va_list args;
    if ((int)level > most_verbose)
        return;
    size_t n = (size_t)put_prefix(line, sizeof line, level);
    va_start(args, format);
    int m = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t len = m < 0 ? 0 : (size_t)m < sizeof text ? (size_t)m : sizeof text - 1;
    n += ps_visible(line + n, sizeof line - n - 1, (struct ps_str){text, len});
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0)
        return; /* nowhere left to say it */
}
