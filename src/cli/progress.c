/* progress.c - one line on standard error that is written over and over. See cli.h.
 *
 * It never wraps: a terminal that scrolls would be left with a line for each tenth of a second. So
 * the line is made as long as the terminal is wide at that moment, and what matters least goes
 * first: the bar, then the middle of the name.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/cli.h"

#include "cli/term.h"
#include "port/clock.h"

#include "backend/registry.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_CELLS = 24, WHAT_LEAST = 12, PROGRESS_EVERY_US = 100000, LINE_BYTES_MAX = 16 * 1024 };

static int64_t now_us(void)
{
    return ps_clock_monotonic_us(ps_clock_system());
}

void ps_progress_start(struct ps_progress *p, const char *what, bool wanted)
{
    *p = (struct ps_progress){.what = what, .started_us = now_us()};
    p->on = wanted && isatty(STDERR_FILENO);
}

/* "  12 %  30 s left  4,096 lines" */
static void put_numbers(struct ps_buf *to, double share, double seconds, const char *note)
{
    if (share >= 0)
        ps_buf_format(to, " %3.0f %%", share * 100);
    if (share > 0.02 && share < 1)
        ps_buf_format(to, "  %.0f s left", seconds / share - seconds);
    if (note != NULL)
        ps_buf_format(to, "  %s", note);
}

void ps_progress_write(struct ps_buf *line, const char *what, double share, double seconds,
                       const char *note, int columns)
{
    struct ps_buf numbers;
    ps_buf_init(&numbers, LINE_BYTES_MAX);
    put_numbers(&numbers, share, seconds, note);
    struct ps_str name = {what, strlen(what)}, rest = ps_buf_str(&numbers);
    int bar = share >= 0 ? BAR_CELLS + 3 : 0, room = columns - ps_term_width(rest);
    if (bar > 0 && room < bar + WHAT_LEAST)
        bar = 0;
    room -= bar;
    if (room >= WHAT_LEAST || room >= ps_term_width(name))
        ps_term_fit(line, name, room);
    if (bar > 0) {
        int cells = (int)(share * BAR_CELLS);
        ps_buf_text(line, " [");
        for (int i = 0; i < BAR_CELLS; i++)
            ps_buf_text(line, i < cells ? "█" : "·");
        ps_buf_text(line, "]");
    }
    ps_term_cut(line, rest, columns < ps_term_width(rest) ? columns : ps_term_width(rest));
    ps_buf_done(&numbers);
}

void ps_progress_show(struct ps_progress *p, uint64_t done, uint64_t total, const char *note)
{
    int64_t now = now_us();
    if (!p->on || now - p->shown_us < PROGRESS_EVERY_US)
        return;
    p->shown_us = now;
    struct ps_buf line;
    ps_buf_init(&line, LINE_BYTES_MAX);
    double share = total == 0 ? -1 : done < total ? (double)done / (double)total : 1;
    /* The last column stays empty: some terminals wrap as soon as it is written. */
    ps_progress_write(&line, p->what, share, (double)(now - p->started_us) / 1e6, note,
                      ps_term_columns(STDERR_FILENO) - 1);
    fprintf(stderr, "\r\033[K%.*s", (int)line.len, line.ptr == NULL ? "" : line.ptr);
    fflush(stderr);
    ps_buf_done(&line);
}

void ps_progress_end(struct ps_progress *p)
{
    if (p->on && p->shown_us != 0)
        fputs("\r\033[K", stderr);
    p->on = false;
}
