/* statuses.h - how often each status code came; see aggregate.h.
 *
 * A sorted array of the codes that came, at most one for each of PS_STATUS_MIN .. PS_STATUS_MAX
 * (I8). An event without a status counts nowhere. Without it 4xx and 5xx cannot be told apart once
 * a day's events are archived.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_STATUSES_H
#define PS_CORE_STATUSES_H

#include "base/str.h"
#include "core/alloc.h"
#include "core/limits.h"

/* One entry for each status code that came; see statuses.h. */
enum { PS_STATUSES_MAX = PS_STATUS_MAX - PS_STATUS_MIN + 1 };

struct ps_status_count {
    uint64_t count; /* > 0 */
    uint32_t code;
};

struct ps_statuses {
    struct ps_status_count *items; /* by code, ascending */
    uint32_t len, cap;
};

/* Longest text: for each code three digits, a colon, 20 digits and a comma. */
enum { PS_STATUSES_TEXT_MAX = PS_STATUSES_MAX * (3 + 1 + 20 + 1) };

int ps_statuses_reserve(struct ps_statuses *s, size_t more, const struct ps_alloc *alloc);
/* Room must have been reserved. */
void ps_statuses_put(struct ps_statuses *s, uint32_t code, uint64_t count);
/* "200:12,404:1" by code; writes at most PS_STATUSES_TEXT_MAX bytes, returns how many. */
size_t ps_statuses_format(const struct ps_statuses *s, char *to);
/* The strict inverse into an empty `ret`: PS_ECORRUPT for any other text, or when the counts add up
 * to more than `max`; PS_ENOMEM. */
int ps_statuses_parse(struct ps_str text, uint64_t max, const struct ps_alloc *alloc,
                      struct ps_statuses *ret);

#endif
