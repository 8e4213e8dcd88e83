/* decode.h - JSON (RFC 8259, strict, UTF-8) to ps_raw_event, without a libc and without allocating.
 *
 * A known key of the wrong type rejects the event; null means absent; an unknown key is ignored; of
 * a repeated key the last counts. Strings with escapes are unescaped into `scratch`.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_DECODE_H
#define PS_CORE_DECODE_H

#include "core/event.h"

/* Decodes one JSON object at text[0..len). On PS_REJECT_NONE *ret_used is how many bytes it took
 * (leading white space included, trailing not). On a rejection *ret_used is the offset where the
 * trouble is (syntax) or the end of the well-formed object (wrong types), so an array can go on.
 * `scratch` has at least `len` bytes and must outlive `ret`. */
enum ps_reject ps_event_from_json(const char *text, size_t len, char *scratch,
                                  struct ps_raw_event *ret, size_t *ret_used);

/* Walks a request body: one object, an array of objects, or NDJSON.
 *
 * Form: '[' first is an array; a body that is one whole object is that; all else is NDJSON, where
 * each line stands alone and empty lines are skipped. A syntax error in an array ends the walk with
 * `fatal` set: refuse the whole body. */
struct ps_body {
    const char *text;
    size_t len, at;
    char *scratch;  /* len bytes; each event's strings stay valid until the body is done */
    unsigned line;  /* 1-based, of the event returned last (line where it starts) */
    unsigned index; /* 0-based, of the event returned last */
    int form;       /* private */
    size_t line_at; /* private: offset up to which lines were counted */
    unsigned lines; /* private */
    bool fatal;
};

void ps_body_init(struct ps_body *body, const char *text, size_t len, char *scratch);
/* 1: an event or a rejection is in *ret / *ret_why. 0: the end. */
int ps_body_next(struct ps_body *body, struct ps_raw_event *ret, enum ps_reject *ret_why);

#endif
