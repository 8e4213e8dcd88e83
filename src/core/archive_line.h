/* archive_line.h - an event as a line of an archived day: JSON with the public column names.
 *
 *     {"id":"…","path":"/a","method":"GET","status":200,"response_time":1.5,"client_ip_hash":"…",
 *      "timestamp":1760529600000,"event_date":"2025-10-15","user_agent":"…","country":"DE",
 *      "is_error":0,"response_bytes":1042}
 *
 * Every column is written in this order, null when absent, so two archives of one day are equal
 * byte for byte. Reading goes by the names: any order, columns of a later version are skipped,
 * those of an earlier one are absent. response_time is milliseconds with up to three decimals:
 * exact. Part of the file format.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_ARCHIVE_LINE_H
#define PS_CORE_ARCHIVE_LINE_H

#include "core/event.h"

/* Every byte of a text may become six ("\u001f"), a broken one three. */
enum {
    PS_ARCHIVE_LINE_MAX =
        6 * (PS_ID_MAX + PS_PATH_MAX + PS_METHOD_MAX + PS_USER_AGENT_MAX + PS_COUNTRY_MAX) + 512,
};

/* The line and its newline; returns the length. `to` has PS_ARCHIVE_LINE_MAX bytes. Bytes that are
 * not UTF-8 become U+FFFD. */
size_t ps_archive_line_write(const struct ps_event *event, char *to);

/* The event of a line without its newline. Strings are views into the line or, where escapes were
 * undone, into `scratch` (len bytes). 0 or PS_ECORRUPT: then *ret is untouched. */
int ps_archive_line_parse(const char *line, size_t len, char *scratch, struct ps_event *ret);

#endif
