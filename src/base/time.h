/* time.h - UTC calendar arithmetic and its text forms (I9). Freestanding; reads no clock.
 *
 * Days and hours are counted from 1970-01-01T00 UTC and may be negative. The calendar algorithm is
 * Howard Hinnant's civil_from_days / days_from_civil.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BASE_TIME_H
#define PS_BASE_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PS_MS_PER_HOUR INT64_C(3600000)
#define PS_MS_PER_DAY INT64_C(86400000)

enum { PS_DATE_LEN = 10, PS_HOUR_LEN = 13, PS_ISO_LEN = 24 };

int32_t ps_time_day(int64_t ms);
int32_t ps_time_hour(int64_t ms);

/* Year, month 1-12 and day 1-31 of a day number, and back. */
void ps_time_civil(int32_t day, int *ret_year, int *ret_month, int *ret_mday);
int32_t ps_time_from_civil(int year, int month, int mday);

/* "2025-10-15", "2025-10-15T14", "2025-10-15T14:03:07.123Z". A NUL follows; years 0000-9999. */
void ps_time_format_date(char to[PS_DATE_LEN + 1], int32_t day);
void ps_time_format_hour(char to[PS_HOUR_LEN + 1], int32_t hour);
void ps_time_format_iso(char to[PS_ISO_LEN + 1], int64_t ms);

/* The strict inverses: false unless all of `text` is a real date / hour bucket. */
bool ps_time_parse_date(const char *text, size_t len, int32_t *ret_day);
bool ps_time_parse_hour(const char *text, size_t len, int32_t *ret_hour);

#endif
