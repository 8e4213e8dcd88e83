/* warnings.h - what of the events counted was not used: fields nobody knows, values that make no
 * sense. An answer says so, because an event counted without its status looks like one that had
 * none.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_WARNINGS_H
#define PS_CORE_WARNINGS_H

#include "base/str.h"
#include "core/reject.h"

enum {
    PS_WARNING_FIELD_MAX = 48,    /* bytes of a field's name that are kept */
    PS_WARNINGS_UNKNOWN_MAX = 16, /* names of unknown fields told of; more are only counted */
    PS_WARNINGS_MAX = PS_WARNINGS_UNKNOWN_MAX + 32, /* all that known fields can give fit beside */
    PS_WARNING_TEXT_MAX = 160,
};

struct ps_warning {
    uint64_t count;     /* times it was seen */
    enum ps_reject why; /* one that costs the field */
    uint8_t len;
    char field[PS_WARNING_FIELD_MAX];
};

/* All zeros is empty. */
struct ps_warnings {
    size_t count;
    uint64_t unlisted; /* unknown fields, for which there was no place in the list */
    struct ps_warning list[PS_WARNINGS_MAX];
};

/* Counts one; `w` may be NULL, for those who do not want to know. */
void ps_warnings_add(struct ps_warnings *w, struct ps_str field, enum ps_reject why);
/* One sentence: "unknown field statusCode: did you mean status?". `to` has PS_WARNING_TEXT_MAX
 * bytes; it ends with a NUL. */
void ps_warning_text(const struct ps_warning *warning, char to[PS_WARNING_TEXT_MAX]);

/* The known field that somebody who wrote `name` most likely meant, or absent. */
struct ps_str ps_field_near(struct ps_str name);

#endif
