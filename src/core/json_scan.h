/* json_scan.h - a strict JSON scanner (RFC 8259) over memory, private to the decoder.
 *
 * Every function starts at s->at and leaves it after what it read, or at the trouble.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_JSON_SCAN_H
#define PS_CORE_JSON_SCAN_H

#include "base/str.h"
#include "core/reject.h"

struct ps_json_scan {
    const char *at, *end;
    char *scratch; /* strings with escapes are unescaped here */
};

enum ps_json_kind {
    PS_JSON_STRING,
    PS_JSON_NUMBER, /* text is the number as written, valid by the grammar */
    PS_JSON_TRUE,
    PS_JSON_FALSE,
    PS_JSON_NULL,
    PS_JSON_CONTAINER, /* skipped, but checked */
};

void ps_json_space(struct ps_json_scan *s);
enum ps_reject ps_json_string(struct ps_json_scan *s, struct ps_str *ret);
enum ps_reject ps_json_value(struct ps_json_scan *s, unsigned depth, enum ps_json_kind *ret_kind,
                             struct ps_str *ret_text);

#endif
