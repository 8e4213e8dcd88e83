/* window.c - see window.h.  SPDX-License-Identifier: MIT */
#include "cli/window.h"

#include "base/visible.h"
#include "config/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PATH_SHOWN_MAX = 160 };

/* --- options --- */

/* A date is its first hour, or as an end its last. */
static int parse_hour(const char *flag, const char *text, bool as_end, int32_t *ret,
                      struct ps_err *e)
{
    int32_t day;
    if (ps_time_parse_hour(text, strlen(text), ret))
        return 0;
    if (!ps_time_parse_date(text, strlen(text), &day))
        return ps_fail(e, PS_EINVAL, "%s: \"%s\" is not an hour; write 2025-10-15T14 or 2025-10-15",
                       flag, text);
    *ret = day * 24 + (as_end ? 23 : 0);
    return 0;
}

static int take_last(const char *text, int64_t now_ms, struct ps_window *w, struct ps_err *e)
{
    static const struct ps_value_rule rule = {PS_VALUE_DURATION, 1,
                                              PS_WINDOW_HOURS_MAX * PS_MS_PER_HOUR, NULL};
    int64_t ms;
    if (!ps_value_parse(&rule, text, &ms))
        return ps_fail(e, PS_EINVAL, "--last: \"%s\" is not a time; write 24h, 90m or 7d", text);
    int64_t hours = (ms + PS_MS_PER_HOUR - 1) / PS_MS_PER_HOUR;
    w->to = ps_time_hour(now_ms);
    w->from = w->to - (int32_t)hours + 1;
    return 0;
}

static int take_ends(struct ps_cli *c, struct ps_window *w, struct ps_err *e)
{
    const char *from = NULL, *to = NULL;
    int r = ps_cli_option(c, "--from", &from, e);
    if (r >= 0)
        r = ps_cli_option(c, "--to", &to, e);
    if (r >= 0 && from != NULL)
        r = parse_hour("--from", from, false, &w->from, e);
    if (r >= 0 && to != NULL)
        r = parse_hour("--to", to, true, &w->to, e);
    if (r < 0)
        return r;
    if (w->from > w->to)
        return ps_fail(e, PS_EINVAL, "--from %s comes after --to %s", from, to);
    return from != NULL || to != NULL;
}

int ps_window_options(struct ps_cli *c, bool has_hours, int64_t now_ms, struct ps_window *ret,
                      struct ps_err *e)
{
    struct ps_window w = {.hours = PS_WINDOW_HOURS, .from = INT32_MIN, .to = INT32_MAX};
    const char *last = NULL, *date = NULL;
    int hours = has_hours ? ps_cli_number(c, "--hours", 1, PS_WINDOW_HOURS_MAX, &w.hours, e) : 0;
    int r = hours < 0 ? hours : take_ends(c, &w, e);
    int ends = r;
    if (r >= 0)
        r = ps_cli_option(c, "--last", &last, e);
    if (r >= 0)
        r = ps_cli_option(c, "--date", &date, e);
    if (r >= 0 && hours + ends + (last != NULL) + (date != NULL) > 1)
        r = ps_fail(e, PS_EINVAL, "only one of %s--last, --date, and --from with --to can hold",
                    has_hours ? "--hours, " : "");
    if (r >= 0 && last != NULL)
        r = take_last(last, now_ms, &w, e);
    if (r >= 0 && date != NULL) {
        int32_t day;
        if (!ps_time_parse_date(date, strlen(date), &day))
            return ps_fail(e, PS_EINVAL, "--date: \"%s\" is not a date; write it as 2025-10-15",
                           date);
        w.from = day * 24;
        w.to = w.from + 23;
    }
    if (r < 0)
        return r;
    w.asked = ends > 0 || last != NULL || date != NULL;
    w.hours = w.asked ? 0 : w.hours;
    *ret = w;
    return 0;
}

/* --- where the data lies --- */

struct extent {
    int32_t first_day, last_day, first, last;
    bool any;
};

static int note_day(void *ctx, const struct ps_day *day)
{
    struct extent *x = ctx;
    x->first_day = x->any ? x->first_day : day->day;
    x->last_day = day->day;
    x->any = true;
    return 0;
}

static int note_first(void *ctx, const struct ps_stat_row *row)
{
    struct extent *x = ctx;
    x->first = row->hour;
    x->any = true;
    return PS_ESTOP;
}

static int note_last(void *ctx, const struct ps_stat_row *row)
{
    struct extent *x = ctx;
    x->last = row->hour;
    return 0;
}

int ps_window_extent(struct ps_store *store, struct ps_str path, int32_t *ret_oldest,
                     int32_t *ret_newest, struct ps_err *e)
{
    struct extent x = {.any = false};
    int r = ps_store_days(store, note_day, &x, e);
    struct ps_stats_query q = {.from_hour = x.first_day * 24,
                               .to_hour = x.last_day * 24 + 23,
                               .path = path,
                               .brief = true};
    bool days = x.any;
    x.any = false;
    if (r == 0 && days)
        r = ps_store_stats(store, &q, note_first, &x, e);
    if (r < 0 && r != PS_ESTOP)
        return r;
    if (!x.any)
        return ps_fail(e, PS_ENOENT, "there are no statistics yet");
    /* Most often the newest day has the newest hour; else all rows are passed. */
    x.last = INT32_MIN;
    q.from_hour = x.last_day * 24;
    r = ps_store_stats(store, &q, note_last, &x, e);
    q.from_hour = x.first;
    q.to_hour = x.last_day * 24 - 1;
    if (r == 0 && x.last == INT32_MIN)
        r = ps_store_stats(store, &q, note_last, &x, e);
    if (r < 0)
        return r;
    *ret_oldest = x.first;
    *ret_newest = x.last;
    return 0;
}

int ps_window_place(struct ps_window *w, struct ps_store *store, struct ps_err *e)
{
    int32_t oldest, newest;
    if (w->hours > 0 || w->from == INT32_MIN || w->to == INT32_MAX) {
        int r = ps_window_extent(store, PS_STR_NONE, &oldest, &newest, e);
        if (r < 0)
            return r;
        if (w->hours > 0) {
            w->to = newest;
            w->from = (int32_t)(newest - w->hours + 1);
        }
        if (w->to == INT32_MAX)
            w->to = newest > w->from ? newest : w->from;
        if (w->from == INT32_MIN)
            w->from = oldest < w->to ? oldest : w->to;
    }
    ps_time_format_hour(w->from_text, w->from);
    ps_time_format_hour(w->to_text, w->to);
    return 0;
}

int ps_window_empty(const struct ps_window *w, struct ps_store *store, struct ps_str path,
                    struct ps_err *e)
{
    char shown[PATH_SHOWN_MAX] = "", oldest_text[PS_HOUR_LEN + 1], newest_text[PS_HOUR_LEN + 1];
    int32_t oldest, newest;
    bool one = path.ptr != NULL;
    if (one)
        ps_visible(shown, sizeof shown, path);
    int r = ps_window_extent(store, path, &oldest, &newest, e);
    if (r == PS_ENOENT && one)
        return ps_fail(
            e, r, "there are no requests for %s; `pathstats top` shows the busiest paths", shown);
    if (r < 0)
        return r;
    ps_time_format_hour(oldest_text, oldest);
    ps_time_format_hour(newest_text, newest);
    return ps_fail(
        e, PS_ENOENT, "no requests%s%s from %s to %s (UTC); %s from %s to %s: try --date %.*s",
        one ? " for " : "", shown, w->from_text, w->to_text, one ? "it has some" : "the data lies",
        oldest_text, newest_text, PS_DATE_LEN, newest_text);
}
