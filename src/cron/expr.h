/* expr.h - when a job is due: a five-field cron expression as bit sets, and the minutes it names.
 *
 *     minute 0-59   hour 0-23   day-of-month 1-31   month 1-12|jan-dec   day-of-week 0-7|sun-sat
 *
 * A field is a list of items parted by commas; an item is `*`, a value or a range, and any of them
 * may have a step. `7/10` starts at 7 and goes on to the end of the field. Names are three letters
 * of any case. Sunday is 0 and 7; at the end of a range the name means 7, so `fri-sun` is three
 * days. Instead of the fields: @hourly @daily @weekly @monthly @yearly.
 *
 * Days follow Vixie cron: when neither day field begins with `*`, a day in either of them counts;
 * otherwise it must be in both (so `*` alone asks nothing, and `*` with a step narrows the other).
 *
 * Everything is UTC, in which no minute comes twice or not at all; a clock is never read here.
 * A ps_cron_expr is a plain value: copy it, share it between threads.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CRON_EXPR_H
#define PS_CRON_EXPR_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define PS_MS_PER_MINUTE INT64_C(60000)

/* How far next and prev look. Eight years lie between the leap days of 2096 and 2104. */
#define PS_CRON_SEARCH_DAYS (9 * 366)

/* The times next and prev take: 0001-01-01T00:00 up to the last millisecond of 9999. */
#define PS_CRON_MS_MIN INT64_C(-62135596800000)
#define PS_CRON_MS_MAX INT64_C(253402300799999)

/* Bit n is the value n; Sunday is bit 0 only. All sets hold something. */
struct ps_cron_expr {
    uint64_t minutes;
    uint32_t hours, mdays, months, wdays;
    bool both_days; /* a day must be in mdays and wdays, not just in one of them */
};

/* PS_EINVAL names the field, the text in it and what would be right. A date that never comes, as in
 * `0 0 30 2 *`, is no mistake here: ps_cron_next tells. */
int ps_cron_parse(struct ps_cron_expr *ret, const char *text, struct ps_err *e);

/* The start of the first matching minute strictly after, and of the last one at or before.
 * PS_ENOENT: none within PS_CRON_SEARCH_DAYS; PS_EINVAL: the time is outside PS_CRON_MS_MIN..MAX.
 * What prev returns starts at or before `at_ms`, so the minute that `at_ms` lies in counts. */
int ps_cron_next(const struct ps_cron_expr *x, int64_t after_ms, int64_t *ret_ms);
int ps_cron_prev(const struct ps_cron_expr *x, int64_t at_ms, int64_t *ret_ms);

#endif
