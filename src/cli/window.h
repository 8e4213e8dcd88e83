/* window.h - the hours a question is about: --last, --date, --from, --to, --hours.
 *
 * Hours are UTC buckets and both ends are included. Without any option it is the newest 24 hours
 * that have data, wherever in time they lie: an imported log of last year is answered at once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CLI_WINDOW_H
#define PS_CLI_WINDOW_H

#include "base/time.h"
#include "cli/cli.h"

enum { PS_WINDOW_HOURS = 24, PS_WINDOW_HOURS_MAX = 24 * 366 * 100 };

struct ps_window {
    bool asked;       /* by an option other than --hours */
    int64_t hours;    /* so many up to the newest one with data; 0: from and to hold */
    int32_t from, to; /* INT32_MIN and INT32_MAX: open; ps_window_place closes them */
    char from_text[PS_HOUR_LEN + 1], to_text[PS_HOUR_LEN + 1];
};

/* Takes the options. `has_hours`: the command lists --hours. */
int ps_window_options(struct ps_cli *c, bool has_hours, int64_t now_ms, struct ps_window *ret,
                      struct ps_err *e);

/* The oldest and newest hour with statistics, of one path or (absent) of all. PS_ENOENT: none. */
int ps_window_extent(struct ps_store *store, struct ps_str path, int32_t *ret_oldest,
                     int32_t *ret_newest, struct ps_err *e);

/* Closes open ends at where the data begins and ends, and fills in the texts. PS_ENOENT: there is
 * no data at all. */
int ps_window_place(struct ps_window *w, struct ps_store *store, struct ps_err *e);

/* PS_ENOENT for a window without data: where the data lies, and which option shows it. */
int ps_window_empty(const struct ps_window *w, struct ps_store *store, struct ps_str path,
                    struct ps_err *e);

#endif
