/* reject.h - why an event was refused, or a field of one was not used. One table; API, CLI, metrics
 * and dead letters derive from it.
 *
 * The numbers are in the dead letters on disk: new reasons come last.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_REJECT_H
#define PS_CORE_REJECT_H

#include <stdbool.h>
#include <stddef.h>

enum ps_reject {
    PS_REJECT_NONE,
    PS_REJECT_JSON_SYNTAX,
    PS_REJECT_JSON_UTF8,
    PS_REJECT_JSON_DEPTH,
    PS_REJECT_NOT_AN_OBJECT,
    PS_REJECT_TOO_LARGE,
    PS_REJECT_ID_TYPE,
    PS_REJECT_ID_INVALID,
    PS_REJECT_TIMESTAMP_MISSING,
    PS_REJECT_TIMESTAMP_TYPE,
    PS_REJECT_TIMESTAMP_RANGE,
    PS_REJECT_TIMESTAMP_FUTURE,
    PS_REJECT_PATH_MISSING,
    PS_REJECT_PATH_TYPE,
    PS_REJECT_METHOD_TYPE,
    PS_REJECT_METHOD_INVALID,
    PS_REJECT_STATUS_TYPE,
    PS_REJECT_STATUS_RANGE,
    PS_REJECT_RESPONSE_TIME_TYPE,
    PS_REJECT_RESPONSE_TIME_RANGE,
    PS_REJECT_CLIENT_TYPE,
    PS_REJECT_CLIENT_INVALID,
    PS_REJECT_USER_AGENT_TYPE,
    PS_REJECT_COUNTRY_TYPE,
    PS_REJECT_COUNTRY_INVALID,
    PS_REJECT_IS_ERROR_TYPE,
    PS_REJECT_REQUEST_ID_TYPE,
    PS_REJECT_REQUEST_ID_INVALID,
    PS_REJECT_LINE_SYNTAX,   /* a log line that is not in the format */
    PS_REJECT_CLOSED_DAY,    /* the day was archived (I6) */
    PS_REJECT_TOO_MANY_DAYS, /* of old dead letters; nothing is refused for it any more */
    PS_REJECT_STORE,         /* the store refuses this event alone, again and again */
    PS_REJECT_RECORD,        /* a queue record that does not decode */
    PS_REJECT_TIMESTAMP_SECONDS,
    PS_REJECT_TIMESTAMP_MICROSECONDS,
    PS_REJECT_TIMESTAMP_NANOSECONDS,
    PS_REJECT_UNKNOWN_FIELD,
    PS_REJECT_RESPONSE_BYTES_TYPE,
    PS_REJECT_RESPONSE_BYTES_RANGE,
    PS_REJECT_COUNT,
};

/* "timestamp_future": stable, for machines. Static. */
const char *ps_reject_name(enum ps_reject why);
/* PS_REJECT_NONE: there is none of that name. */
enum ps_reject ps_reject_find(const char *name, size_t len);
/* One sentence for a person: what is wrong and what to do. Static. */
const char *ps_reject_text(enum ps_reject why);
/* It costs the field alone, and is a warning (core/warnings.h): the event counts without it. */
bool ps_reject_costs_field(enum ps_reject why);

#endif
