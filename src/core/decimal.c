/* decimal.c - see decimal.h. The digits are walked once, with the place of each known from the
 * decimal point, the exponent and the shift; places below one only decide the rounding.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/decimal.h"

enum { EXPONENT_MAX = 100000 };

static int64_t parse_exponent(const char *at, const char *end)
{
    bool negative = at < end && *at == '-';
    int64_t value = 0;
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    for (; at < end; at++)
        if (value < EXPONENT_MAX)
            value = value * 10 + (*at - '0');
    return negative ? -value : value;
}

static uint64_t times10_plus(uint64_t value, unsigned digit)
{
    if (value > ((uint64_t)INT64_MAX - digit) / 10)
        return INT64_MAX;
    return value * 10 + digit;
}

int64_t ps_decimal_int64(struct ps_str text, int shift, enum ps_rounding rounding, bool *ret_whole)
{
    const char *at = text.ptr, *end = text.ptr + text.len, *mantissa_end = at;
    bool negative = *at == '-', whole = true, round_up = false;
    int64_t integer_digits = 0;
    at += negative;
    while (mantissa_end < end && *mantissa_end != 'e' && *mantissa_end != 'E')
        mantissa_end++;
    for (const char *p = at; p < mantissa_end && *p != '.'; p++)
        integer_digits++;
    int64_t exponent = mantissa_end < end ? parse_exponent(mantissa_end + 1, end) : 0;
    int64_t place = integer_digits + exponent + shift; /* digits still before the unit's end */
    uint64_t value = 0;
    for (const char *p = at; p < mantissa_end; p++) {
        if (*p == '.')
            continue;
        unsigned digit = (unsigned)(*p - '0');
        if (place > 0)
            value = times10_plus(value, digit);
        else if (place == 0)
            round_up = digit >= 5;
        if (place <= 0 && digit != 0)
            whole = false;
        place--;
    }
    for (; place > 0 && value != 0 && value != INT64_MAX; place--)
        value = times10_plus(value, 0);
    if (rounding == PS_ROUND_HALF_UP && round_up && value != INT64_MAX)
        value++;
    if (ret_whole != NULL)
        *ret_whole = whole;
    return negative ? -(int64_t)value : (int64_t)value;
}
