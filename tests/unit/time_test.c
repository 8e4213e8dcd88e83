/* time_test.c - calendar arithmetic and its texts, against the C library's UTC functions.
 *
 * Nothing here may depend on TZ (I9); the suite runs under an awkward one.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/time.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    DAY_0000_01_01 = -719528,
    DAY_9999_12_31 = 2932896,
};

static void broken_down(int32_t day, struct tm *ret)
{
    time_t seconds = (time_t)day * 86400;
    assert_non_null(gmtime_r(&seconds, ret));
}

static bool parse_date(const char *text, int32_t *ret)
{
    size_t len = strlen(text);
    char *exact = malloc(len > 0 ? len : 1); /* no NUL: reading past the end shows */
    assert_non_null(exact);
    memcpy(exact, text, len);
    bool ok = ps_time_parse_date(exact, len, ret);
    free(exact);
    return ok;
}

static bool parse_hour(const char *text, int32_t *ret)
{
    size_t len = strlen(text);
    char *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    memcpy(exact, text, len);
    bool ok = ps_time_parse_hour(exact, len, ret);
    free(exact);
    return ok;
}

/* Every day of ten thousand years: cheap, so no sampling. */
static void test_every_day_like_the_library(void **state) /* I9 */
{
    (void)state;
    for (int32_t day = DAY_0000_01_01; day <= DAY_9999_12_31; day++) {
        struct tm tm;
        int year, month, mday;
        broken_down(day, &tm);
        ps_time_civil(day, &year, &month, &mday);
        if (year != tm.tm_year + 1900 || month != tm.tm_mon + 1 || mday != tm.tm_mday ||
            ps_time_from_civil(year, month, mday) != day)
            fail_msg("day %d is %d-%d-%d", day, year, month, mday);
    }
}

static void test_from_civil_like_timegm(void **state)
{
    (void)state;
    for (int year = 0; year <= 9999; year += 7)
        for (int month = 1; month <= 12; month++) {
            struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 28};
            assert_int_equal(ps_time_from_civil(year, month, 28), timegm(&tm) / 86400);
        }
}

/* A prime stride, to meet every month, weekday and part of the leap cycle. */
static void test_dates_go_round(void **state)
{
    (void)state;
    for (int32_t day = DAY_0000_01_01; day <= DAY_9999_12_31; day += 13) {
        char text[PS_DATE_LEN + 1], expected[32];
        int32_t back = 0;
        struct tm tm;
        ps_time_format_date(text, day);
        broken_down(day, &tm);
        snprintf(expected, sizeof expected, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday);
        assert_string_equal(text, expected);
        assert_true(parse_date(text, &back));
        assert_int_equal(back, day);
    }
}

static void test_hours_go_round(void **state)
{
    (void)state;
    for (int64_t hour = DAY_0000_01_01 * INT64_C(24); hour < (DAY_9999_12_31 + 1) * INT64_C(24);
         hour += 331) {
        char text[PS_HOUR_LEN + 1], expected[32];
        int32_t back = 0;
        time_t seconds = hour * 3600;
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        ps_time_format_hour(text, (int32_t)hour);
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour);
        assert_string_equal(text, expected);
        assert_true(parse_hour(text, &back));
        assert_int_equal(back, hour);
    }
}

static void test_iso_text(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {INT64_C(-3600001), "1969-12-31T22:59:59.999Z"},
        {INT64_C(946684800000), "2000-01-01T00:00:00.000Z"},
        {INT64_C(1709210096789), "2024-02-29T12:34:56.789Z"},
        {INT64_C(1760536987123), "2025-10-15T14:03:07.123Z"},
        {INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
        {DAY_0000_01_01 * PS_MS_PER_DAY, "0000-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        char text[PS_ISO_LEN + 1];
        ps_time_format_iso(text, cases[i].ms);
        assert_string_equal(text, cases[i].text);
    }
}

/* Rounding is towards the past: a moment before 1970 belongs to the hour that has begun. */
static void test_days_and_hours_round_down(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        int32_t day, hour;
    } cases[] = {
        {0, 0, 0},
        {3599999, 0, 0},
        {3600000, 0, 1},
        {86399999, 0, 23},
        {86400000, 1, 24},
        {-1, -1, -1},
        {-3600000, -1, -1},
        {-3600001, -1, -2},
        {-86400000, -1, -24},
        {-86400001, -2, -25},
        {INT64_C(253402300799999), DAY_9999_12_31, DAY_9999_12_31 * 24 + 23},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        assert_int_equal(ps_time_day(cases[i].ms), cases[i].day);
        assert_int_equal(ps_time_hour(cases[i].ms), cases[i].hour);
    }
}

static void test_leap_years(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool real;
    } cases[] = {
        {"2024-02-29", true},  {"2023-02-29", false}, {"2000-02-29", true}, {"1900-02-29", false},
        {"2100-02-29", false}, {"2400-02-29", true},  {"0000-02-29", true}, {"2024-02-30", false},
        {"0100-02-29", false}, {"9996-02-29", true},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        int32_t day = 77;
        if (parse_date(cases[i].text, &day) != cases[i].real)
            fail_msg("%s", cases[i].text);
        if (!cases[i].real)
            assert_int_equal(day, 77); /* untouched */
    }
}

static void test_known_dates(void **state)
{
    (void)state;
    int32_t value;
    assert_true(parse_date("1970-01-01", &value) && value == 0);
    assert_true(parse_date("1969-12-31", &value) && value == -1);
    assert_true(parse_date("2000-03-01", &value) && value == 11017);
    assert_true(parse_date("9999-12-31", &value) && value == DAY_9999_12_31);
    assert_true(parse_date("0000-01-01", &value) && value == DAY_0000_01_01);
    assert_true(parse_hour("1970-01-02T05", &value) && value == 29);
    assert_true(parse_hour("1969-12-31T23", &value) && value == -1);
    assert_true(parse_hour("9999-12-31T23", &value) && value == DAY_9999_12_31 * 24 + 23);
}

static void test_dates_are_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2025",
        "2025-10",
        "2025-10-1",
        "2025-10-155",
        "2025-10-15 ",
        " 2025-10-15",
        "2025-1-015",
        "2025/10/15",
        "2025-10/15",
        "2025-00-15",
        "2025-13-01",
        "2025-10-00",
        "2025-10-32",
        "2025-04-31",
        "2025-06-31",
        "2025-11-31",
        "+025-10-15",
        "-025-10-15",
        "2025-+1-15",
        "2025-10--1",
        "2o25-10-15",
        "2025-10- 5",
        "0x25-10-15",
        "20251015",
        "12025-10-15",
        "2025-10-15T14",
    };
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        int32_t day = 77;
        if (parse_date(bad[i], &day) || day != 77)
            fail_msg("taken: \"%s\"", bad[i]);
    }
}

static void test_hours_are_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2025-10-15",
        "2025-10-15T",
        "2025-10-15T1",
        "2025-10-15T24",
        "2025-10-15T99",
        "2025-10-15t14",
        "2025-10-15 14",
        "2025-10-15T-1",
        "2025-10-15T+1",
        "2025-10-15T1x",
        "2025-10-15T014",
        "2025-10-15T14Z",
        "2025-10-15T14:00",
        "2025-02-29T14",
        "2025-13-01T00",
    };
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        int32_t hour = 77;
        if (parse_hour(bad[i], &hour) || hour != 77)
            fail_msg("taken: \"%s\"", bad[i]);
    }
}

/* A date with any one byte replaced is refused unless the byte is another digit. */
static void test_any_other_byte_is_refused(void **state)
{
    (void)state;
    for (size_t at = 0; at < PS_HOUR_LEN; at++)
        for (int byte = 0; byte < 256; byte++) {
            char text[] = "2025-10-15T14";
            int32_t value;
            if (byte == text[at] || (byte >= '0' && byte <= '9'))
                continue;
            text[at] = (char)byte;
            if (ps_time_parse_hour(text, PS_HOUR_LEN, &value))
                fail_msg("byte %d at %zu", byte, at);
            if (at < PS_DATE_LEN)
                assert_false(ps_time_parse_date(text, PS_DATE_LEN, &value));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_day_like_the_library),
        cmocka_unit_test(test_from_civil_like_timegm),
        cmocka_unit_test(test_dates_go_round),
        cmocka_unit_test(test_hours_go_round),
        cmocka_unit_test(test_iso_text),
        cmocka_unit_test(test_days_and_hours_round_down),
        cmocka_unit_test(test_leap_years),
        cmocka_unit_test(test_known_dates),
        cmocka_unit_test(test_dates_are_strict),
        cmocka_unit_test(test_hours_are_strict),
        cmocka_unit_test(test_any_other_byte_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
