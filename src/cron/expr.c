/* expr.c - see expr.h. One table says what a field may hold; the parser and its messages read it.
 *
 * next and prev walk days, not minutes: a day either matches or not, and within a matching day the
 * first minute comes from the bit sets. The worst case is thus some three thousand cheap steps.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cron/expr.h"

#include "base/check.h"
#include "base/time.h"

#include <stddef.h>
#include <string.h>

enum { FIELDS = 5, QUOTE_MAX = 40, NUMBER_MAX = 9999, NAME_LEN = 3, SUNDAY_AGAIN = 7 };
enum { MINUTE, HOUR, MDAY, MONTH, WDAY };

struct field {
    const char *name;
    int first, last; /* what may be written */
    int open_last;   /* where `*` and a step without a range end */
    const char *names, *right;
    int names_from;
};

static const struct field fields[FIELDS] = {
    [MINUTE] = {"minute", 0, 59, 59, "", "0-59", 0},
    [HOUR] = {"hour", 0, 23, 23, "", "0-23", 0},
    [MDAY] = {"day-of-month", 1, 31, 31, "", "1-31", 0},
    [MONTH] = {"month", 1, 12, 12, "janfebmaraprmayjunjulaugsepoctnovdec", "1-12 or jan-dec", 1},
    [WDAY] = {"day-of-week", 0, 7, 6, "sunmontuewedthufrisat",
              "0-7 (0 and 7 are Sunday) or sun-sat", 0},
};

static const struct {
    const char *name, *text;
} nicknames[] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
};

struct quote {
    char text[QUOTE_MAX + 4];
};

/* Messages end up on terminals and in JSON: what is no plain ASCII shows as a question mark. */
static struct quote quote(const char *text, size_t len)
{
    struct quote q;
    size_t n = len < QUOTE_MAX ? len : QUOTE_MAX;
    for (size_t i = 0; i < n; i++)
        q.text[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    strcpy(q.text + n, n < len ? "..." : "");
    return q;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_word(const char *text, size_t len, const char *word, size_t word_len)
{
    if (len != word_len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (lower(text[i]) != word[i])
            return false;
    return true;
}

/* -1 unless all of it is digits; what is too long to be right is NUMBER_MAX. */
static int read_number(const char *text, size_t len)
{
    int value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value > NUMBER_MAX / 10 ? NUMBER_MAX : value * 10 + (text[i] - '0');
    }
    return len > 0 ? value : -1;
}

static int read_name(const struct field *f, const char *text, size_t len)
{
    for (const char *name = f->names; *name != '\0'; name += NAME_LEN)
        if (same_word(text, len, name, NAME_LEN))
            return f->names_from + (int)(name - f->names) / NAME_LEN;
    return -1;
}

static int parse_value(const struct field *f, const char *text, size_t len, int *ret,
                       struct ps_err *e)
{
    int value = read_number(text, len);
    if (value < 0)
        value = read_name(f, text, len);
    if (value < f->first || value > f->last)
        return ps_fail(e, PS_EINVAL, "%s \"%s\": expected %s", f->name, quote(text, len).text,
                       f->right);
    *ret = value;
    return PS_OK;
}

/* A step past the field's size looks like an interval, which it is not: `*` with the step 90 as
 * minute would mean every hour. */
static int parse_step(const struct field *f, const char *text, size_t len, int *ret,
                      struct ps_err *e)
{
    int step = read_number(text, len), size = f->open_last - f->first + 1;
    if (step < 1 || step > size)
        return ps_fail(e, PS_EINVAL, "%s \"/%s\": expected a step of 1-%d after the slash", f->name,
                       quote(text, len).text, size);
    *ret = step;
    return PS_OK;
}

struct range {
    int first, last, step;
};

static int parse_span(const struct field *f, const char *text, size_t len, struct range *ret,
                      struct ps_err *e)
{
    struct range r = {.step = 1};
    const char *dash = memchr(text, '-', len);
    size_t head = dash != NULL ? (size_t)(dash - text) : len;
    int code = parse_value(f, text, head, &r.first, e);
    if (code < 0)
        return code;
    r.last = r.first;
    if (dash != NULL) {
        code = parse_value(f, dash + 1, len - head - 1, &r.last, e);
        if (code < 0)
            return code;
        if (f == &fields[WDAY] && lower(dash[1]) == 's' && r.last == 0 && r.first > 0)
            r.last = SUNDAY_AGAIN;
    }
    if (r.last < r.first)
        return ps_fail(e, PS_EINVAL, "%s \"%s\": the range runs backwards, expected %d-%d,%d-%d",
                       f->name, quote(text, len).text, r.first, f->last, f->first, r.last);
    *ret = r;
    return PS_OK;
}

/* One item of a list: a span and perhaps its step. */
static int parse_item(const struct field *f, const char *text, size_t len, uint64_t *set,
                      struct ps_err *e)
{
    struct range r = {f->first, f->open_last, 1};
    const char *slash = memchr(text, '/', len);
    size_t span = slash != NULL ? (size_t)(slash - text) : len;
    int code = PS_OK;
    if (len == 0)
        return ps_fail(e, PS_EINVAL, "%s: an empty item in the list, expected %s", f->name,
                       f->right);
    if (span == 0 || text[0] == '-' || text[span - 1] == '-')
        return ps_fail(e, PS_EINVAL, "%s \"%s\": a value is missing, expected * or %s", f->name,
                       quote(text, len).text, f->right);
    if (span != 1 || text[0] != '*')
        code = parse_span(f, text, span, &r, e);
    if (code == PS_OK && slash != NULL) {
        if (r.first == r.last && memchr(text, '-', span) == NULL && r.last < f->open_last)
            r.last = f->open_last;
        code = parse_step(f, slash + 1, len - span - 1, &r.step, e);
    }
    if (code < 0)
        return code;
    for (int v = r.first; v <= r.last; v += r.step)
        *set |= UINT64_C(1) << (f == &fields[WDAY] && v == SUNDAY_AGAIN ? 0 : v);
    return PS_OK;
}

static int parse_field(const struct field *f, const char *text, size_t len, uint64_t *ret,
                       struct ps_err *e)
{
    uint64_t set = 0;
    for (;;) {
        const char *comma = memchr(text, ',', len);
        size_t item = comma != NULL ? (size_t)(comma - text) : len;
        int code = parse_item(f, text, item, &set, e);
        if (code < 0)
            return code;
        if (comma == NULL)
            break;
        text += item + 1;
        len -= item + 1;
    }
    *ret = set;
    return PS_OK;
}

/* Cuts at blanks; counts on past FIELDS, so that the message can tell how many there are. */
static int split(const char *text, const char *parts[FIELDS], size_t lens[FIELDS])
{
    int n = 0;
    for (;;) {
        while (is_blank(*text))
            text++;
        if (*text == '\0')
            return n;
        const char *start = text;
        while (*text != '\0' && !is_blank(*text))
            text++;
        if (n < FIELDS) {
            parts[n] = start;
            lens[n] = (size_t)(text - start);
        }
        n++;
    }
}

static int parse_fields(struct ps_cron_expr *ret, const char *text, struct ps_err *e)
{
    const char *parts[FIELDS];
    size_t lens[FIELDS];
    uint64_t sets[FIELDS];
    int n = split(text, parts, lens);
    if (n != FIELDS)
        return ps_fail(e, PS_EINVAL,
                       "\"%s\" has %d field%s, expected 5: minute hour day-of-month month "
                       "day-of-week, e.g. \"0 2 * * *\"",
                       quote(text, strlen(text)).text, n, n == 1 ? "" : "s");
    for (int i = 0; i < FIELDS; i++) {
        int code = parse_field(&fields[i], parts[i], lens[i], &sets[i], e);
        if (code < 0)
            return code;
    }
    *ret = (struct ps_cron_expr){
        .minutes = sets[MINUTE],
        .hours = (uint32_t)sets[HOUR],
        .mdays = (uint32_t)sets[MDAY],
        .months = (uint32_t)sets[MONTH],
        .wdays = (uint32_t)sets[WDAY],
        .both_days = parts[MDAY][0] == '*' || parts[WDAY][0] == '*',
    };
    return PS_OK;
}

int ps_cron_parse(struct ps_cron_expr *ret, const char *text, struct ps_err *e)
{
    const char *parts[FIELDS];
    size_t lens[FIELDS];
    int n = split(text, parts, lens);
    if (n != 1 || parts[0][0] != '@')
        return parse_fields(ret, text, e);
    for (size_t i = 0; i < PS_COUNT_OF(nicknames); i++)
        if (same_word(parts[0], lens[0], nicknames[i].name, strlen(nicknames[i].name)))
            return parse_fields(ret, nicknames[i].text, e);
    return ps_fail(e, PS_EINVAL,
                   "\"%s\" is not known, expected @hourly, @daily, @weekly, @monthly or @yearly",
                   quote(parts[0], lens[0]).text);
}

static bool has(uint32_t set, int value)
{
    return (set >> value & 1) != 0;
}

static bool day_matches(const struct ps_cron_expr *x, int32_t day)
{
    int year, month, mday, wday = (int)(((int64_t)day % 7 + 7 + 4) % 7); /* day 0 was a Thursday */
    ps_time_civil(day, &year, &month, &mday);
    if (!has(x->months, month))
        return false;
    bool a = has(x->mdays, mday), b = has(x->wdays, wday);
    return x->both_days ? a && b : a || b;
}

/* The lowest bit at or above `from`, the highest at or below `to`; -1 when there is none. */
static int bit_from(uint64_t set, int from)
{
    uint64_t rest = from > 63 ? 0 : set >> from << from;
    return rest == 0 ? -1 : __builtin_ctzll(rest);
}

static int bit_to(uint64_t set, int to)
{
    uint64_t rest = to < 0 ? 0 : set << (63 - to) >> (63 - to);
    return rest == 0 ? -1 : 63 - __builtin_clzll(rest);
}

/* Minutes of the day: the first matching one at or after `from`, the last at or before `to`. */
static int minute_from(const struct ps_cron_expr *x, int from)
{
    int hour = bit_from(x->hours, from / 60), minute = -1;
    if (hour == from / 60)
        minute = bit_from(x->minutes, from % 60);
    if (minute < 0 && hour == from / 60)
        hour = bit_from(x->hours, from / 60 + 1);
    if (hour < 0)
        return -1;
    return hour * 60 + (minute >= 0 ? minute : bit_from(x->minutes, 0));
}

static int minute_to(const struct ps_cron_expr *x, int to)
{
    int hour = bit_to(x->hours, to / 60), minute = -1;
    if (hour == to / 60)
        minute = bit_to(x->minutes, to % 60);
    if (minute < 0 && hour == to / 60)
        hour = bit_to(x->hours, to / 60 - 1);
    if (hour < 0)
        return -1;
    return hour * 60 + (minute >= 0 ? minute : bit_to(x->minutes, 59));
}

static int64_t ms_of(int32_t day, int minute)
{
    return day * PS_MS_PER_DAY + minute * PS_MS_PER_MINUTE;
}

int ps_cron_next(const struct ps_cron_expr *x, int64_t after_ms, int64_t *ret_ms)
{
    if (after_ms < PS_CRON_MS_MIN || after_ms > PS_CRON_MS_MAX)
        return PS_EINVAL;
    int32_t first = ps_time_day(after_ms);
    int from = (int)((after_ms - ms_of(first, 0)) / PS_MS_PER_MINUTE) + 1;
    for (int32_t day = first; day <= first + PS_CRON_SEARCH_DAYS; day++, from = 0) {
        int minute = day_matches(x, day) ? minute_from(x, from) : -1;
        if (minute >= 0) {
            *ret_ms = ms_of(day, minute);
            return PS_OK;
        }
    }
    return PS_ENOENT;
}

int ps_cron_prev(const struct ps_cron_expr *x, int64_t at_ms, int64_t *ret_ms)
{
    if (at_ms < PS_CRON_MS_MIN || at_ms > PS_CRON_MS_MAX)
        return PS_EINVAL;
    int32_t last = ps_time_day(at_ms);
    int to = (int)((at_ms - ms_of(last, 0)) / PS_MS_PER_MINUTE);
    for (int32_t day = last; day >= last - PS_CRON_SEARCH_DAYS; day--, to = 24 * 60 - 1) {
        int minute = day_matches(x, day) ? minute_to(x, to) : -1;
        if (minute >= 0) {
            *ret_ms = ms_of(day, minute);
            return PS_OK;
        }
    }
    return PS_ENOENT;
}
