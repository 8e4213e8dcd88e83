/* value.c - see value.h. Units are tables, so parsing, formatting and messages agree.
 *
 * SPDX-License-Identifier: MIT
 */
#include "config/value.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* The first name of a factor is the one we write. */
static const struct unit size_units[] = {
    {"TB", INT64_C(1) << 40},
    {"T", INT64_C(1) << 40},
    {"TiB", INT64_C(1) << 40},
    {"GB", INT64_C(1) << 30},
    {"G", INT64_C(1) << 30},
    {"GiB", INT64_C(1) << 30},
    {"MB", INT64_C(1) << 20},
    {"M", INT64_C(1) << 20},
    {"MiB", INT64_C(1) << 20},
    {"KB", INT64_C(1) << 10},
    {"K", INT64_C(1) << 10},
    {"KiB", INT64_C(1) << 10},
    {"B", 1},
    {"", 1},
};

/* No bare numbers: 5 of what? */
static const struct unit duration_units[] = {
    {"d", INT64_C(86400000)}, {"h", INT64_C(3600000)}, {"m", INT64_C(60000)},
    {"min", INT64_C(60000)},  {"s", INT64_C(1000)},    {"ms", 1},
};

static const char *const true_words[] = {"true", "yes", "on", "1"};
static const char *const false_words[] = {"false", "no", "off", "0"};

static bool parse_digits(const char **at, int64_t *ret)
{
    int64_t value = 0;
    const char *p = *at;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *p - '0', &value))
            return false;
    if (p == *at)
        return false;
    *at = p;
    *ret = value;
    return true;
}

static bool parse_quantity(const char *text, const struct unit *units, size_t n, int64_t *ret)
{
    int64_t value;
    if (!parse_digits(&text, &value))
        return false;
    text += strspn(text, " ");
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(text, units[i].name) == 0)
            return !__builtin_mul_overflow(value, units[i].factor, ret);
    return false;
}

static bool parse_bool(const char *text, int64_t *ret)
{
    for (size_t i = 0; i < PS_COUNT_OF(true_words); i++) {
        bool yes = strcasecmp(text, true_words[i]) == 0;
        if (yes || strcasecmp(text, false_words[i]) == 0) {
            *ret = yes;
            return true;
        }
    }
    return false;
}

static bool parse_choice(const char *choices, const char *text, int64_t *ret)
{
    size_t len = strlen(text);
    int64_t position = 0;
    for (const char *at = choices;; at++, position++) {
        const char *end = strchrnul(at, '|');
        if ((size_t)(end - at) == len && len > 0 && strncasecmp(at, text, len) == 0) {
            *ret = position;
            return true;
        }
        if (*end == '\0')
            return false;
        at = end;
    }
}

static bool ends_in_port(const char *text)
{
    const char *colon = strrchr(text, ':');
    int64_t port;
    if (colon == NULL || (memchr(text, ':', (size_t)(colon - text)) != NULL && colon[-1] != ']'))
        return false; /* a bare IPv6 address: which colon begins the port? */
    const char *digits = colon + 1;
    return parse_digits(&digits, &port) && *digits == '\0' && port <= 65535;
}

bool ps_value_parse(const struct ps_value_rule *rule, const char *text, int64_t *ret)
{
    int64_t value = 0;
    bool ok = false;
    switch (rule->kind) {
    case PS_VALUE_TEXT:
    case PS_VALUE_SECRET:
    case PS_VALUE_URL:
    case PS_VALUE_LISTEN: {
        int64_t len = (int64_t)strlen(text);
        return len >= rule->min && len <= rule->max &&
               (rule->kind != PS_VALUE_LISTEN || ends_in_port(text));
    }
    case PS_VALUE_INT: ok = parse_digits(&text, &value) && *text == '\0'; break;
    case PS_VALUE_SIZE:
        ok = parse_quantity(text, size_units, PS_COUNT_OF(size_units), &value);
        break;
    case PS_VALUE_DURATION:
        ok = parse_quantity(text, duration_units, PS_COUNT_OF(duration_units), &value);
        break;
    case PS_VALUE_BOOL:
        if (!parse_bool(text, &value))
            return false;
        *ret = value;
        return true;
    case PS_VALUE_CHOICE: return parse_choice(rule->choices, text, ret);
    }
    if (!ok || value < rule->min || value > rule->max)
        return false;
    *ret = value;
    return true;
}

/* In the largest unit that divides it. */
static void format_quantity(const struct unit *units, size_t n, int64_t value, char *to,
                            size_t room)
{
    size_t i = 0;
    while (i + 1 < n && (value == 0 || value % units[i].factor != 0))
        i++;
    snprintf(to, room, "%" PRId64 "%s", value / units[i].factor, units[i].name);
}

void ps_value_format(const struct ps_value_rule *rule, int64_t value, char *to, size_t n)
{
    switch (rule->kind) {
    case PS_VALUE_TEXT:
    case PS_VALUE_SECRET:
    case PS_VALUE_URL:
    case PS_VALUE_LISTEN: PS_ASSERT(!"a text has no number"); break;
    case PS_VALUE_INT: snprintf(to, n, "%" PRId64, value); break;
    case PS_VALUE_SIZE: format_quantity(size_units, PS_COUNT_OF(size_units), value, to, n); break;
    case PS_VALUE_DURATION:
        format_quantity(duration_units, PS_COUNT_OF(duration_units), value, to, n);
        break;
    case PS_VALUE_BOOL: snprintf(to, n, "%s", value != 0 ? "true" : "false"); break;
    case PS_VALUE_CHOICE: {
        const char *at = rule->choices;
        for (int64_t i = 0; i < value; i++)
            at = strchrnul(at, '|') + 1;
        snprintf(to, n, "%.*s", (int)(strchrnul(at, '|') - at), at);
        break;
    }
    }
}

void ps_value_describe(const struct ps_value_rule *rule, char *to, size_t n)
{
    char min[32], max[32];
    const char *what = rule->kind == PS_VALUE_SIZE       ? "a size like 64k, 16MB or 10GB"
                       : rule->kind == PS_VALUE_DURATION ? "a duration like 100ms, 5s or 72h"
                                                         : "a whole number";
    switch (rule->kind) {
    case PS_VALUE_TEXT:
    case PS_VALUE_SECRET:
    case PS_VALUE_URL:
        snprintf(to, n, "%" PRId64 " to %" PRId64 " bytes of text", rule->min, rule->max);
        return;
    case PS_VALUE_LISTEN:
        snprintf(to, n, "HOST:PORT like 127.0.0.1:8787, [::1]:8787 or :8787");
        return;
    case PS_VALUE_BOOL: snprintf(to, n, "true or false"); return;
    case PS_VALUE_CHOICE: snprintf(to, n, "one of %s", rule->choices); return;
    case PS_VALUE_INT:
    case PS_VALUE_SIZE:
    case PS_VALUE_DURATION: break;
    }
    ps_value_format(rule, rule->min, min, sizeof(min));
    ps_value_format(rule, rule->max, max, sizeof(max));
    snprintf(to, n, "%s, from %s to %s", what, min, max);
}
