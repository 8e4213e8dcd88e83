/* json.h - write JSON into a ps_buf. Commas are kept by the writer; errors stick in the buffer.
 *
 *     ps_json_open(&w, '{'); ps_json_key(&w, "n"); ps_json_int(&w, 1); ps_json_close(&w, '}');
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BASE_JSON_H
#define PS_BASE_JSON_H

#include "base/buf.h"

struct ps_json {
    struct ps_buf *out;
    bool comma; /* the next value needs one before it */
};

void ps_json_init(struct ps_json *w, struct ps_buf *out);
void ps_json_open(struct ps_json *w, char bracket);  /* '{' or '[' */
void ps_json_close(struct ps_json *w, char bracket); /* '}' or ']' */
void ps_json_key(struct ps_json *w, const char *key);
/* Invalid UTF-8 in `s` is written as U+FFFD, what a terminal must not get (base/visible.h) as
 * \uXXXX; absent (ptr NULL) as null. */
void ps_json_str(struct ps_json *w, struct ps_str s);
void ps_json_text(struct ps_json *w, const char *text);
void ps_json_int(struct ps_json *w, int64_t value);
void ps_json_uint(struct ps_json *w, uint64_t value);
void ps_json_bool(struct ps_json *w, bool value);
void ps_json_null(struct ps_json *w);
/* Microseconds as milliseconds with at most three decimals: 1500 -> 1.5. */
void ps_json_us_as_ms(struct ps_json *w, int64_t us);
/* A finite number with `decimals` places. */
void ps_json_double(struct ps_json *w, double value, int decimals);

#endif
