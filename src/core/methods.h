/* methods.h - how often each HTTP method came; see aggregate.h.
 *
 * A fixed table, so that no client can make it grow (I8): names compare byte for byte as RFC 9110
 * has them, everything else is `other`. An event without a method counts nowhere.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_METHODS_H
#define PS_CORE_METHODS_H

#include "base/str.h"
#include "core/alloc.h"
#include "core/limits.h"

/* GET HEAD POST PUT PATCH DELETE OPTIONS, then all others together; see methods.h. */
enum { PS_METHODS_COUNT = 8 };

struct ps_methods {
    uint64_t counts[PS_METHODS_COUNT];
};

/* Longest text: each name, a colon, 20 digits and a comma. */
enum { PS_METHODS_TEXT_MAX = PS_METHODS_COUNT * (7 + 1 + 20 + 1) };

/* `method` may be absent. */
void ps_methods_put(struct ps_methods *m, struct ps_str method);
void ps_methods_merge(struct ps_methods *dst, const struct ps_methods *src);
/* "GET:12,POST:1" in order of the table, without zeros; writes at most PS_METHODS_TEXT_MAX bytes,
 * returns how many. */
size_t ps_methods_format(const struct ps_methods *m, char *to);
/* The strict inverse: false for any other text, or when the counts add up to more than `max`. */
bool ps_methods_parse(struct ps_str text, uint64_t max, struct ps_methods *ret);
/* The most frequent, of equals the first in the table; absent when nothing was counted. */
struct ps_str ps_methods_top(const struct ps_methods *m);

#endif
