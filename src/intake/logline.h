/* logline.h - common and combined log format lines to ps_raw_event, each with an id of its own.
 *
 * Format: Apache's common ("%h %l %u %t \"%r\" %>s %b") and combined (plus referer and user agent),
 * as Apache and nginx write them; an optional trailing field of digits with a decimal point is the
 * time taken in seconds (nginx $request_time), one of digits alone microseconds (Apache %D).
 *
 * The id's hash is of the whole line, the source label and the occurrence number among identical
 * lines, counted by struct ps_occurrences: importing a file or its rotated, gzipped copy again
 * makes the same ids. Start with fresh occurrences for each file.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_INTAKE_LOGLINE_H
#define PS_INTAKE_LOGLINE_H

#include "core/event.h"

/* Identical lines further apart than this many distinct lines count as one occurrence. */
enum { PS_OCCURRENCES_MAX = 1 << 20 };

struct ps_occurrences; /* lines seen lately, by hash, in two generations */
struct ps_occurrences *ps_occurrences_open(void); /* NULL: no memory */
void ps_occurrences_close(struct ps_occurrences *o);
void ps_occurrences_reset(struct ps_occurrences *o);
/* Says that `next` will be called for this hash soon. */
void ps_occurrences_prefetch(const struct ps_occurrences *o, uint64_t line_hash);
/* Sets *ret to 0 for the first, 1 for the second ... Returns 0: open reserved all memory. */
int ps_occurrences_next(struct ps_occurrences *o, uint64_t line_hash, uint32_t *ret);

/* One line without its newline (a trailing \r is ignored). Strings point into the line or, where
 * \" and \xHH escapes were undone, into `scratch` (len bytes). */
enum ps_reject ps_logline_parse(const char *line, size_t len, char *scratch,
                                struct ps_raw_event *ret);
/* The line's hash, for ps_logline_identify. */
uint64_t ps_logline_hash(const char *line, size_t len);
/* Fills id_hash. Call it in the order of the lines. */
void ps_logline_identify(struct ps_raw_event *raw, uint64_t line_hash, struct ps_str source,
                         struct ps_occurrences *seen);
/* All three in turn. */
enum ps_reject ps_logline_event(const char *line, size_t len, struct ps_str source,
                                struct ps_occurrences *seen, char *scratch,
                                struct ps_raw_event *ret);

#endif
