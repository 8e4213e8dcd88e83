/* cron_test.c - expressions, their messages, and next/prev against a walk minute by minute (I9).
 *
 * The oracle shares nothing with the code: it draws an expression together with the values that
 * each field means, takes the calendar from the C library, and then goes one minute at a time.
 * PS_TEST_SEED=n repeats a run.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/time.h"
#include "cron/expr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct ps_cron_expr parse(const char *text)
{
    struct ps_cron_expr x;
    struct ps_err e;
    if (ps_cron_parse(&x, text, &e) != PS_OK)
        fail_msg("%s: %s", text, e.text);
    return x;
}

/* "2024-02-29 12:30" and, for milliseconds on top, add to it. */
static int64_t at(const char *text)
{
    struct tm tm = {0};
    assert_int_equal(sscanf(text, "%d-%d-%d %d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                            &tm.tm_hour, &tm.tm_min),
                     5);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) * 1000;
}

static void check_same(const char *what, int64_t got_ms, int64_t right_ms)
{
    char got[PS_ISO_LEN + 1], right[PS_ISO_LEN + 1];
    ps_time_format_iso(got, got_ms);
    ps_time_format_iso(right, right_ms);
    if (got_ms != right_ms)
        fail_msg("%s: got %s, expected %s", what, got, right);
}

static uint64_t span(int first, int last)
{
    uint64_t set = 0;
    for (int v = first; v <= last; v++)
        set |= UINT64_C(1) << v;
    return set;
}

static uint64_t bits(const char *list)
{
    uint64_t set = 0;
    for (char *end; *list != '\0'; list = end + (*end == ' '))
        set |= UINT64_C(1) << strtoul(list, &end, 10);
    return set;
}

static void check_set(const char *text, const char *field, uint64_t got, uint64_t right)
{
    if (got != right)
        fail_msg("%s: %s is %llx, expected %llx", text, field, (unsigned long long)got,
                 (unsigned long long)right);
}

static void test_fields(void **state)
{
    /* NULL: the whole field */
    static const struct {
        const char *text, *minutes, *hours, *mdays, *months, *wdays;
    } cases[] = {
        {"* * * * *", NULL, NULL, NULL, NULL, NULL},
        {"0 2 * * *", "0", "2", NULL, NULL, NULL},
        {" \t59\t23  31 12 6 ", "59", "23", "31", "12", "6"},
        {"*/15 */6 */10 */4 */2", "0 15 30 45", "0 6 12 18", "1 11 21 31", "1 5 9", "0 2 4 6"},
        {"10-30/5 0-23/12 1-3 11-12 1-5", "10 15 20 25 30", "0 12", "1 2 3", "11 12", "1 2 3 4 5"},
        {"7/10 20/2 25/5 9/1 4/1", "7 17 27 37 47 57", "20 22", "25 30", "9 10 11 12", "4 5 6"},
        {"1,2,3,2,1 0,5-7,*/20 1,31 1,12 0,3", "1 2 3", "0 5 6 7 20", "1 31", "1 12", "0 3"},
        {"*/60 */24 */31 */12 */7", "0", "0", "1", "1", "0"},
        {"5-5 5-5/3 5-6/9 5/7 5-6/7", "5", "5", "5", "5 12", "5"},
        {"00 007 01 012 06", "0", "7", "1", "12", "6"},
        {"59/1 23/1 31/1 12/1 6/1", "59", "23", "31", "12", "6"},
        {"0 0 * jan,FEB,Mar,aPr *", "0", "0", NULL, "1 2 3 4", NULL},
        {"0 0 * may-AUG,sep,Oct-dec *", "0", "0", NULL, "5 6 7 8 9 10 11 12", NULL},
        {"0 0 * jun-12/2,jul,4-may *", "0", "0", NULL, "4 5 6 7 8 10 12", NULL},
        {"0 0 * jan/6 sun/3", "0", "0", NULL, "1 7", "0 3 6"},
        {"0 0 * * sun,MON,Tue", "0", "0", NULL, NULL, "0 1 2"},
        {"0 0 * * wed-SAT", "0", "0", NULL, NULL, "3 4 5 6"},
        {"0 0 * * 0", "0", "0", NULL, NULL, "0"},
        {"0 0 * * 7", "0", "0", NULL, NULL, "0"},
        {"0 0 * * 7/2", "0", "0", NULL, NULL, "0"},
        {"0 0 * * 0-7", "0", "0", NULL, NULL, NULL},
        {"0 0 * * 5-7", "0", "0", NULL, NULL, "5 6 0"},
        {"0 0 * * 1-7/2", "0", "0", NULL, NULL, "1 3 5 0"},
        {"0 0 * * fri-sun", "0", "0", NULL, NULL, "5 6 0"},
        {"0 0 * * sat-Sun/1", "0", "0", NULL, NULL, "6 0"},
        {"0 0 * * sun-tue", "0", "0", NULL, NULL, "0 1 2"},
        {"0 0 * * sun-sun", "0", "0", NULL, NULL, "0"},
        {"@hourly", "0", NULL, NULL, NULL, NULL},
        {"@daily", "0", "0", NULL, NULL, NULL},
        {" @Weekly ", "0", "0", NULL, NULL, "0"},
        {"@monthly", "0", "0", "1", NULL, NULL},
        {"@YEARLY", "0", "0", "1", "1", NULL},
    };
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
#define CHECK(field, first, last)                                                                  \
    check_set(cases[i].text, #field, x.field,                                                      \
              cases[i].field != NULL ? bits(cases[i].field) : span(first, last))
        struct ps_cron_expr x = parse(cases[i].text);
        CHECK(minutes, 0, 59);
        CHECK(hours, 0, 23);
        CHECK(mdays, 1, 31);
        CHECK(months, 1, 12);
        CHECK(wdays, 0, 6);
#undef CHECK
    }
}

/* Each message has the field, the text in it and what would be right. */
static void test_mistakes(void **state)
{
    static const struct {
        const char *text, *parts[3];
    } cases[] = {
        {"60 * * * *", {"minute", "\"60\"", "0-59"}},
        {"-1 * * * *", {"minute", "\"-1\"", "missing, expected * or 0-59"}},
        {"+1 * * * *", {"minute", "\"+1\"", "0-59"}},
        {"1- * * * *", {"minute", "\"1-\"", "missing, expected * or 0-59"}},
        {"1-2-3 * * * *", {"minute", "\"2-3\"", "0-59"}},
        {"** * * * *", {"minute", "\"**\"", "0-59"}},
        {"*-5 * * * *", {"minute", "\"*\"", "0-59"}},
        {"mon * * * *", {"minute", "\"mon\"", "0-59"}},
        {"*/0 * * * *", {"minute", "\"/0\"", "1-60"}},
        {"*/90 * * * *", {"minute", "\"/90\"", "1-60"}},
        {"*/ * * * *", {"minute", "\"/\"", "1-60"}},
        {"*/5/5 * * * *", {"minute", "\"/5/5\"", "1-60"}},
        {"/5 * * * *", {"minute", "\"/5\"", "missing, expected * or 0-59"}},
        {"50-10 * * * *", {"minute", "\"50-10\"", "50-59,0-10"}},
        {"4294967296 * * * *", {"minute", "\"4294967296\"", "0-59"}},
        {"18446744073709551621 * * * *", {"minute", "\"18446744073709551621\"", "0-59"}},
        {"0 24 * * *", {"hour", "\"24\"", "0-23"}},
        {"0 */25 * * *", {"hour", "\"/25\"", "1-24"}},
        {"0 1,,2 * * *", {"hour", "empty", "0-23"}},
        {"0 1, * * *", {"hour", "empty", "0-23"}},
        {"0 ,1 * * *", {"hour", "empty", "0-23"}},
        {"0 0 0 * *", {"day-of-month", "\"0\"", "1-31"}},
        {"0 0 32 * *", {"day-of-month", "\"32\"", "1-31"}},
        {"0 0 L * *", {"day-of-month", "\"L\"", "1-31"}},
        {"0 0 ? * *", {"day-of-month", "\"?\"", "1-31"}},
        {"0 0 * 0 *", {"month", "\"0\"", "1-12 or jan-dec"}},
        {"0 0 * 13 *", {"month", "\"13\"", "1-12 or jan-dec"}},
        {"0 0 * janu *", {"month", "\"janu\"", "1-12 or jan-dec"}},
        {"0 0 * anf *", {"month", "\"anf\"", "1-12 or jan-dec"}},
        {"0 0 * nov-feb *", {"month", "\"nov-feb\"", "11-12,1-2"}},
        {"0 0 * * 8", {"day-of-week", "\"8\"", "0-7 (0 and 7 are Sunday) or sun-sat"}},
        {"0 0 * * jan", {"day-of-week", "\"jan\"", "sun-sat"}},
        {"0 0 * * 5-0", {"day-of-week", "\"5-0\"", "5-7,0-0"}},
        {"0 0 * * fri-mon", {"day-of-week", "\"fri-mon\"", "5-7,0-1"}},
        {"0 0 * * 1-6/8", {"day-of-week", "\"/8\"", "1-7"}},
        {"", {"\"\"", "0 fields", "minute hour day-of-month month day-of-week"}},
        {"5", {"\"5\"", "1 field,", "expected 5"}},
        {"0 2 * *", {"\"0 2 * *\"", "4 fields", "expected 5"}},
        {"0 0 2 * * *", {"\"0 0 2 * * *\"", "6 fields", "expected 5"}},
        {"@daily *", {"\"@daily *\"", "2 fields", "expected 5"}},
        {"@reboot", {"\"@reboot\"", "@hourly, @daily,", "@yearly"}},
        {"@", {"\"@\"", "@hourly", "@yearly"}},
        {"@dailyy", {"\"@dailyy\"", "@hourly", "@yearly"}},
        {"0 2 * * *\n", {"day-of-week", "\"*?\"", "sun-sat"}},
        {"\xc3\xa4 * * * *", {"minute", "\"\?\?\"", "0-59"}},
        {"1111111111222222222233333333334444444444X * * * *",
         {"minute", "4444444444...\"", "0-59"}},
    };
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        struct ps_cron_expr x, before;
        struct ps_err e = {0};
        memset(&before, 0x5a, sizeof before);
        memcpy(&x, &before, sizeof x);
        if (ps_cron_parse(&x, cases[i].text, &e) != PS_EINVAL)
            fail_msg("\"%s\" is taken", cases[i].text);
        assert_int_equal(e.code, PS_EINVAL);
        assert_memory_equal(&x, &before, sizeof x);
        for (size_t k = 0; k < 3; k++)
            if (strstr(e.text, cases[i].parts[k]) == NULL)
                fail_msg("\"%s\": no %s in: %s", cases[i].text, cases[i].parts[k], e.text);
        assert_int_equal(ps_cron_parse(&x, cases[i].text, NULL), PS_EINVAL);
    }
}

/* 2025-10-15 is a Wednesday. `prev` is the last at or before `from`; both NULL: never. */
static const struct {
    const char *text, *from, *next, *prev;
} times[] = {
    {"* * * * *", "2025-10-15 14:03", "2025-10-15 14:04", "2025-10-15 14:03"},
    {"0 2 * * *", "2025-10-15 01:59", "2025-10-15 02:00", "2025-10-14 02:00"},
    {"0 2 * * *", "2025-10-15 02:00", "2025-10-16 02:00", "2025-10-15 02:00"},
    {"30 */6 * * *", "2025-10-15 12:15", "2025-10-15 12:30", "2025-10-15 06:30"},
    /* the year's end, in both directions */
    {"* * * * *", "2025-12-31 23:59", "2026-01-01 00:00", "2025-12-31 23:59"},
    {"59 23 31 12 *", "2025-12-31 23:59", "2026-12-31 23:59", "2025-12-31 23:59"},
    {"@yearly", "2026-01-01 00:00", "2027-01-01 00:00", "2026-01-01 00:00"},
    {"@yearly", "2025-12-31 23:59", "2026-01-01 00:00", "2025-01-01 00:00"},
    {"@monthly", "2025-10-15 00:00", "2025-11-01 00:00", "2025-10-01 00:00"},
    {"@weekly", "2025-10-15 00:00", "2025-10-19 00:00", "2025-10-12 00:00"},
    {"0 0 31 * *", "2025-08-31 00:00", "2025-10-31 00:00", "2025-08-31 00:00"},
    /* leap days: 2000 had one, 2100 has none */
    {"0 0 29 2 *", "2023-06-01 00:00", "2024-02-29 00:00", "2020-02-29 00:00"},
    {"0 0 29 2 *", "2024-02-29 00:00", "2028-02-29 00:00", "2024-02-29 00:00"},
    {"0 0 29 2 *", "2096-02-29 00:00", "2104-02-29 00:00", "2096-02-29 00:00"},
    {"0 0 29 2 *", "2104-02-28 23:59", "2104-02-29 00:00", "2096-02-29 00:00"},
    {"0 0 29 2 *", "1999-12-31 23:59", "2000-02-29 00:00", "1996-02-29 00:00"},
    {"0 0 * * *", "2100-02-28 00:00", "2100-03-01 00:00", "2100-02-28 00:00"},
    {"0 0 * 2 *", "2100-03-01 00:00", "2101-02-01 00:00", "2100-02-28 00:00"},
    {"0 0 * 2 *", "2024-03-01 00:00", "2025-02-01 00:00", "2024-02-29 00:00"},
    /* one day field alone */
    {"0 0 13 * *", "2025-10-14 00:00", "2025-11-13 00:00", "2025-10-13 00:00"},
    {"0 0 * * 5", "2025-10-15 00:00", "2025-10-17 00:00", "2025-10-10 00:00"},
    {"0 0 * * 7", "2025-10-15 00:00", "2025-10-19 00:00", "2025-10-12 00:00"},
    /* both: either counts; but with `*` in front of one, both must hold */
    {"0 0 13 * 5", "2025-10-13 12:00", "2025-10-17 00:00", "2025-10-13 00:00"},
    {"0 0 13 * 5", "2025-10-11 00:00", "2025-10-13 00:00", "2025-10-10 00:00"},
    {"0 0 1-31 * 5", "2025-10-13 12:00", "2025-10-14 00:00", "2025-10-13 00:00"},
    {"0 0 */2 * 5", "2025-10-13 12:00", "2025-10-17 00:00", "2025-10-03 00:00"},
    {"0 0 13 * */5", "2025-10-13 12:00", "2026-02-13 00:00", "2025-07-13 00:00"},
    {"0 0 30 2 1", "2025-02-01 00:00", "2025-02-03 00:00", "2024-02-26 00:00"},
    /* before 1970 */
    {"0 12 * * *", "1969-12-31 18:00", "1970-01-01 12:00", "1969-12-31 12:00"},
    {"0 12 * * *", "1968-02-29 11:59", "1968-02-29 12:00", "1968-02-28 12:00"},
    /* dates that do not exist, and one rarer than the search is long (next: 2032) */
    {"0 0 30 2 *", "2025-10-15 00:00", NULL, NULL},
    {"0 0 31 4,6,9,11 *", "2025-10-15 00:00", NULL, NULL},
    {"0 0 29 2 */7", "2016-02-29 00:00", NULL, NULL},
};

static void check_time(const char *text, int code, int64_t got_ms, const char *right)
{
    if (code != (right != NULL ? PS_OK : PS_ENOENT))
        fail_msg("%s: %s", text, ps_code_name(code));
    check_same(text, got_ms, right != NULL ? at(right) : -1); /* -1: left alone */
}

static void test_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(times); i++) {
        struct ps_cron_expr x = parse(times[i].text);
        static const int64_t offsets_ms[] = {0, 1, 30000, 59999};
        for (size_t k = 0; k < PS_COUNT_OF(offsets_ms); k++) {
            int64_t next_ms = -1, prev_ms = -1, from_ms = at(times[i].from) + offsets_ms[k];
            int code = ps_cron_next(&x, from_ms, &next_ms);
            check_time(times[i].text, code, next_ms, times[i].next);
            code = ps_cron_prev(&x, from_ms, &prev_ms);
            check_time(times[i].text, code, prev_ms, times[i].prev);
        }
    }
}

static void test_just_before_a_minute(void **state)
{
    struct ps_cron_expr x = parse("0 2 * * *");
    int64_t ms, two = at("2025-10-15 02:00");
    (void)state;
    assert_int_equal(ps_cron_next(&x, two - 1, &ms), PS_OK);
    check_same("next", ms, two);
    assert_int_equal(ps_cron_prev(&x, two - 1, &ms), PS_OK);
    check_same("prev", ms, two - PS_MS_PER_DAY);
}

static void test_edges_of_time(void **state)
{
    struct ps_cron_expr x = parse("* * * * *");
    int64_t ms = 5;
    (void)state;
    assert_int_equal(PS_CRON_MS_MIN, at("1-1-1 00:00"));
    assert_int_equal(PS_CRON_MS_MAX, at("10000-01-01 00:00") - 1);
    assert_int_equal(ps_cron_next(&x, PS_CRON_MS_MIN - 1, &ms), PS_EINVAL);
    assert_int_equal(ps_cron_next(&x, PS_CRON_MS_MAX + 1, &ms), PS_EINVAL);
    assert_int_equal(ps_cron_next(&x, INT64_MAX, &ms), PS_EINVAL);
    assert_int_equal(ps_cron_prev(&x, INT64_MIN, &ms), PS_EINVAL);
    assert_int_equal(ms, 5);
    assert_int_equal(ps_cron_next(&x, PS_CRON_MS_MAX, &ms), PS_OK);
    assert_int_equal(ms, PS_CRON_MS_MAX + 1);
    assert_int_equal(ps_cron_prev(&x, PS_CRON_MS_MIN, &ms), PS_OK);
    assert_int_equal(ms, PS_CRON_MS_MIN);
}

/* --- the oracle ------------------------------------------------------------------------------ */

enum { ROUNDS = 1500, WALK_DAYS = 400, MINUTES_PER_DAY = 1440 };

static uint64_t random_state;

static int draw(int first, int last)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return first + (int)((random_state >> 16) % (uint64_t)(last - first + 1));
}

struct drawn {
    char text[160];
    bool values[5][60];
    bool star[5];
};

static const struct {
    int first, last;
    const char *const *names;
} kinds[5] = {
    {0, 59, NULL},
    {0, 23, NULL},
    {1, 31, NULL},
    {1, 12,
     (const char *const[]){"", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct",
                           "nov", "dec"}},
    {0, 6, (const char *const[]){"sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"}},
};

static void write_value(char *to, int field, int value)
{
    if (kinds[field].names == NULL || draw(0, 1) == 0) {
        sprintf(to + strlen(to), "%d", value);
        return;
    }
    for (const char *name = kinds[field].names[value]; *name != '\0'; name++)
        sprintf(to + strlen(to), "%c", draw(0, 1) == 0 ? *name : *name - 'a' + 'A');
}

static void draw_item(struct drawn *d, int field)
{
    int first = kinds[field].first, last = kinds[field].last, step = 1, shape = draw(0, 5);
    if (shape >= 2) { /* a value, perhaps the beginning of a range */
        int sunday_again = field == 4 && draw(0, 7) == 0;
        first = draw(first, last);
        if (shape >= 4)
            last = sunday_again && first > 0 ? 7 : draw(first, last);
        write_value(d->text, field, first);
        if (shape >= 4) {
            strcat(d->text, "-");
            write_value(d->text, field, last);
        } else if (shape == 2) {
            last = first;
        }
    } else {
        strcat(d->text, "*");
    }
    if (shape % 2 == 1) {
        step = draw(1, kinds[field].last - kinds[field].first + 1);
        sprintf(d->text + strlen(d->text), "/%d", step);
    }
    for (int v = first; v <= last; v += step)
        d->values[field][field == 4 ? v % 7 : v] = true;
}

static void draw_expression(struct drawn *d)
{
    memset(d, 0, sizeof *d);
    for (int field = 0; field < 5; field++) {
        size_t start = strlen(d->text);
        if (draw(0, 2) == 0) {
            strcat(d->text, "*");
            for (int v = kinds[field].first; v <= kinds[field].last; v++)
                d->values[field][v] = true;
        } else {
            for (int n = draw(1, 3); n > 0; n--) {
                draw_item(d, field);
                strcat(d->text, n > 1 ? "," : "");
            }
        }
        d->star[field] = d->text[start] == '*';
        strcat(d->text, field < 4 ? " " : "");
    }
}

static bool day_is_right(const struct drawn *d, int64_t day)
{
    time_t seconds = (time_t)day * 86400;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    bool a = d->values[2][tm.tm_mday], b = d->values[4][tm.tm_wday];
    bool right = d->star[2] || d->star[4] ? a && b : a || b;
    return right && d->values[3][tm.tm_mon + 1];
}

/* From minute `from` on, one minute `by` the other; -1 when there is none in WALK_DAYS. */
static int64_t walk(const struct drawn *d, int64_t from, int by)
{
    int64_t known_day = -1;
    bool day_right = false;
    for (int64_t i = 0, m = from; i < (int64_t)WALK_DAYS * MINUTES_PER_DAY; i++, m += by) {
        if (m / MINUTES_PER_DAY != known_day) {
            known_day = m / MINUTES_PER_DAY;
            day_right = day_is_right(d, known_day);
        }
        if (day_right && d->values[1][m / 60 % 24] && d->values[0][m % 60])
            return m;
    }
    return -1;
}

static void compare(const struct drawn *d, int code, int64_t got_ms, int64_t from, int64_t right)
{
    if (right >= 0) {
        assert_int_equal(code, PS_OK);
        check_same(d->text, got_ms, right * 60000);
    } else if (code == PS_OK && llabs(got_ms / 60000 - from) < WALK_DAYS * MINUTES_PER_DAY) {
        fail_msg("%s: %lld from minute %lld, expected none near", d->text, (long long)got_ms,
                 (long long)from);
    }
}

static void test_against_the_walk(void **state)
{
    const char *given = getenv("PS_TEST_SEED");
    unsigned long long seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    int found = 0;
    (void)state;
    printf("# PS_TEST_SEED=%llu\n", seed);
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (int i = 0; i < ROUNDS; i++) {
        struct drawn d;
        draw_expression(&d);
        struct ps_cron_expr x = parse(d.text);
        int64_t from = (int64_t)draw(1990 - 1970, 2105 - 1970) * 365 * MINUTES_PER_DAY +
                       draw(0, 366 * MINUTES_PER_DAY),
                next_ms = -1, prev_ms = -1, right = walk(&d, from + 1, 1);
        found += right >= 0;
        int code = ps_cron_next(&x, from * 60000 + draw(0, 59999), &next_ms);
        compare(&d, code, next_ms, from, right);
        code = ps_cron_prev(&x, from * 60000 + draw(0, 59999), &prev_ms);
        compare(&d, code, prev_ms, from, walk(&d, from, -1));
    }
    assert_true(found > ROUNDS * 9 / 10); /* or else it compares nothing with nothing */
}

/* Every day of 400 years, which is the calendar's period, is reached once and in order. */
static void test_every_day_of_an_era(void **state)
{
    struct ps_cron_expr daily = parse("@daily"), leap = parse("0 0 29 2 *");
    int64_t ms = at("1999-12-31 00:00"), first_ms = ms;
    int leaps = 0;
    (void)state;
    for (int i = 1; i <= 146097; i++) {
        assert_int_equal(ps_cron_next(&daily, ms, &ms), PS_OK);
        assert_int_equal(ms, first_ms + i * PS_MS_PER_DAY);
    }
    for (ms = first_ms; ps_cron_next(&leap, ms, &ms) == PS_OK && ms < at("2400-01-01 00:00");)
        leaps++;
    assert_int_equal(leaps, 97);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_just_before_a_minute),
        cmocka_unit_test(test_edges_of_time),
        cmocka_unit_test(test_against_the_walk),
        cmocka_unit_test(test_every_day_of_an_era),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
