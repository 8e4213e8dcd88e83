/* value.h - one option's value: text to number and back. Used by options.c alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CONFIG_VALUE_H
#define PS_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ps_value_kind {
    PS_VALUE_TEXT,
    PS_VALUE_LISTEN, /* text that ends in :port */
    PS_VALUE_SECRET, /* text that is never shown */
    PS_VALUE_URL,    /* text of which scheme and host are shown */
    PS_VALUE_INT,
    PS_VALUE_SIZE,     /* bytes */
    PS_VALUE_DURATION, /* milliseconds */
    PS_VALUE_BOOL,
    PS_VALUE_CHOICE, /* the position in "error|warn|info" */
};

struct ps_value_rule {
    enum ps_value_kind kind;
    int64_t min, max; /* of the numbers; text: bytes at least and at most */
    const char *choices;
};

/* False when `text` breaks the rule. Texts leave *ret alone. */
bool ps_value_parse(const struct ps_value_rule *rule, const char *text, int64_t *ret);

/* "a size from 1MB to 64MB, like 16MB": what would be right. Cut to `n` bytes with the NUL. */
void ps_value_describe(const struct ps_value_rule *rule, char *to, size_t n);

/* The text of a number, such that parsing gives it back. */
void ps_value_format(const struct ps_value_rule *rule, int64_t value, char *to, size_t n);

#endif
