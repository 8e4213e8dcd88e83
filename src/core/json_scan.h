/* json_scan.h - a strict JSON scanner (RFC 8259) over memory, private to the decoder.
 *
 * Every function starts at s->at and leaves it after what it read, or at the trouble.
 *
 * With `mend`, characters that are none cost nothing but themselves: half of a surrogate pair, as
 * JavaScript's slice() makes them, becomes U+FFFD, and a byte that is not UTF-8 is left where it is
 * (its string would not fit into `scratch` otherwise). Both set `mended`.
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
    bool mend, mended;
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
/* All of it is one number by the grammar. */
bool ps_json_is_number(struct ps_str text);

#endif
