/* time.c - see time.h.  SPDX-License-Identifier: MIT */
#include "base/time.h"

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}

int32_t ps_time_day(int64_t ms)
{
    return (int32_t)floor_div(ms, PS_MS_PER_DAY);
}

int32_t ps_time_hour(int64_t ms)
{
    return (int32_t)floor_div(ms, PS_MS_PER_HOUR);
}

void ps_time_civil(int32_t day, int *ret_year, int *ret_month, int *ret_mday)
{
    int64_t z = (int64_t)day + 719468;
    int64_t era = floor_div(z, 146097);
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *ret_mday = (int)(doy - (153 * mp + 2) / 5 + 1);
    *ret_month = month;
    *ret_year = (int)(yoe + era * 400 + (month <= 2));
}

int32_t ps_time_from_civil(int year, int month, int mday)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = floor_div(y, 400);
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + mday - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return (int32_t)(era * 146097 + doe - 719468);
}

static char *put_digits(char *to, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + width;
}

void ps_time_format_date(char to[PS_DATE_LEN + 1], int32_t day)
{
    int year, month, mday;
    ps_time_civil(day, &year, &month, &mday);
    to = put_digits(to, year, 4);
    *to++ = '-';
    to = put_digits(to, month, 2);
    *to++ = '-';
    to = put_digits(to, mday, 2);
    *to = '\0';
}

void ps_time_format_hour(char to[PS_HOUR_LEN + 1], int32_t hour)
{
    int32_t day = (int32_t)floor_div(hour, 24);
    ps_time_format_date(to, day);
    to[PS_DATE_LEN] = 'T';
    *put_digits(to + PS_DATE_LEN + 1, hour - (int64_t)day * 24, 2) = '\0';
}

void ps_time_format_iso(char to[PS_ISO_LEN + 1], int64_t ms)
{
    int64_t rest = ms - (int64_t)ps_time_hour(ms) * PS_MS_PER_HOUR;
    ps_time_format_hour(to, ps_time_hour(ms));
    to += PS_HOUR_LEN;
    *to++ = ':';
    to = put_digits(to, rest / 60000, 2);
    *to++ = ':';
    to = put_digits(to, rest / 1000 % 60, 2);
    *to++ = '.';
    to = put_digits(to, rest % 1000, 3);
    *to++ = 'Z';
    *to = '\0';
}

static bool take_digits(const char *text, int width, int *ret)
{
    int value = 0;
    for (int i = 0; i < width; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *ret = value;
    return true;
}

bool ps_time_parse_date(const char *text, size_t len, int32_t *ret_day)
{
    int year, month, mday, back_year, back_month, back_mday;
    if (len != PS_DATE_LEN || text[4] != '-' || text[7] != '-' || !take_digits(text, 4, &year) ||
        !take_digits(text + 5, 2, &month) || !take_digits(text + 8, 2, &mday))
        return false;
    if (month < 1 || month > 12 || mday < 1 || mday > 31)
        return false;
    int32_t day = ps_time_from_civil(year, month, mday);
    ps_time_civil(day, &back_year, &back_month, &back_mday);
    if (back_month != month || back_mday != mday) /* 2025-02-30 rolls over */
        return false;
    *ret_day = day;
    return true;
}

bool ps_time_parse_hour(const char *text, size_t len, int32_t *ret_hour)
{
    int32_t day;
    int hour;
    if (len != PS_HOUR_LEN || text[PS_DATE_LEN] != 'T' ||
        !ps_time_parse_date(text, PS_DATE_LEN, &day) ||
        !take_digits(text + PS_DATE_LEN + 1, 2, &hour) || hour > 23)
        return false;
    *ret_hour = day * 24 + hour;
    return true;
}
